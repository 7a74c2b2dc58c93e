"""Prepare splits for writing: drop invalid boxes, fill in image sizes, merge splits."""

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from centernet.data.annotations import DatasetSplit, check_coco
from centernet.data.boxes import annotation_box, annotation_region
from centernet.data.entries import FLAGS, annotation_area, as_flag, box_error, image_sides
from centernet.data.images import image_size
from centernet.data.points import is_point, point_entry


def clean(split: DatasetSplit) -> tuple[DatasetSplit, list[str]]:
    """Drop boxes that training cannot use, and fill in the sizes of images.

    Returns:
        The split, and one line for each box that was dropped.

    Raises:
        InputError: an annotation has no box or is of an unknown image or class, or an image of
            unknown size cannot be read.
    """
    check_coco(split.source, split.coco)
    images = [image | _size(split, image) for image in split.coco["images"]]
    image_of = {image["id"]: image for image in images}
    name_of = {c["id"]: c["name"] for c in split.coco["categories"]}
    kept, dropped = [], []
    for annotation in split.coco["annotations"]:
        image = image_of[annotation["image_id"]]
        sides = image_sides(image)
        box = annotation_box(split.source, annotation, sides)
        region = annotation_region(split.source, annotation, sides)  # validates it
        is_center = is_point(annotation) and not region
        if error := box_error(box, sides, is_point=is_center):
            shown = ", ".join(f"{value:g}" for value in box)
            dropped.append(
                f"{image['file_name']}: left out a box of {name_of[annotation['category_id']]!r} "
                f"[{shown}], it is {error}"
            )
            continue
        flags = {key: int(bool(as_flag(annotation[key]))) for key in FLAGS if key in annotation}
        more = {"bbox": box, "area": annotation_area(annotation, box)}
        more |= point_entry(*box[:2]) if is_center else {}
        kept.append({"iscrowd": 0} | annotation | flags | more)
    ids = {annotation.get("id") for annotation in kept}
    if len(ids) < len(kept) or not all(isinstance(i, int) and i > 0 for i in ids):
        kept = [annotation | {"id": number} for number, annotation in enumerate(kept, 1)]
    return replace(split, coco=split.coco | {"images": images, "annotations": kept}), dropped


def without_points(split: DatasetSplit) -> tuple[DatasetSplit, list[str]]:
    """Drop the points of a split, for a format that has boxes only.

    Returns:
        The split, and a line with their number, if there are any.
    """
    annotations = split.coco["annotations"]
    kept = [annotation for annotation in annotations if not is_point(annotation)]
    if len(kept) == len(annotations):
        return split, []
    lost = f"{split.name}: {len(annotations) - len(kept)} points left out, which have no size"
    return replace(split, coco=split.coco | {"annotations": kept}), [lost]


def _size(split: DatasetSplit, image: dict[str, Any]) -> dict[str, int]:
    if all(map(math.isfinite, image_sides(image))):
        return {}
    height, width = image_size(split.images / image["file_name"])
    return {"width": width, "height": height}


def merge(name: str, splits: Sequence[DatasetSplit]) -> DatasetSplit:
    """Merge splits into one with new ids; classes of equal names become one class."""
    root = Path(os.path.commonpath([split.images for split in splits]))
    names = list(dict.fromkeys(str(c["name"]) for s in splits for c in s.coco["categories"]))
    number = {name: i for i, name in enumerate(names, 1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for split in splits:
        prefix = split.images.relative_to(root)
        class_of = {c["id"]: str(c["name"]) for c in split.coco["categories"]}
        image_id = {}
        for image in split.coco["images"]:
            image_id[image["id"]] = len(images) + 1
            file = (prefix / image["file_name"]).as_posix()
            images.append(image | {"id": len(images) + 1, "file_name": file})
        for annotation in split.coco["annotations"]:
            new = {
                "id": len(annotations) + 1,
                "image_id": image_id[annotation["image_id"]],
                "category_id": number[class_of[annotation["category_id"]]],
            }
            annotations.append(annotation | new)
    categories = [{"id": number, "name": name} for number, name in enumerate(names, 1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    notes = [note for split in splits for note in split.notes]
    return DatasetSplit(name, root, content, splits[0].source, notes)
