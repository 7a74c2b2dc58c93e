"""Prepare splits for writing: drop invalid boxes, fill in image sizes, merge splits."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from centernet.data.annotations import (
    DatasetSplit,
    annotation_area,
    annotation_box,
    annotation_region,
    box_error,
    check_coco,
    image_sides,
)
from centernet.data.entries import FLAGS, as_flag
from centernet.data.images import image_size


def clean(split: DatasetSplit) -> tuple[DatasetSplit, list[str]]:
    """The split without boxes that nothing can learn from, every image with its size.

    Returns:
        The split, and one line for each box that was left out.

    Raises:
        InputError: an annotation has no box or is of an unknown image or class, or an image whose
            size is not given cannot be read.
    """
    check_coco(split.source, split.coco)
    images = [image | _size(split, image) for image in split.coco["images"]]
    image_of = {image["id"]: image for image in images}
    class_of = {c["id"]: c["name"] for c in split.coco["categories"]}
    kept, left_out = [], []
    for annotation in split.coco["annotations"]:
        image = image_of[annotation["image_id"]]
        box = annotation_box(split.source, annotation)
        annotation_region(split.source, annotation)
        fault = box_error(box, image_sides(image))
        if fault:
            shown = ", ".join(f"{value:g}" for value in box)
            left_out.append(
                f"{image['file_name']}: left out a box of {class_of[annotation['category_id']]!r} "
                f"[{shown}], it is {fault}"
            )
            continue
        flags = {key: int(as_flag(annotation[key])) for key in FLAGS if key in annotation}
        more = {"bbox": box, "area": annotation_area(annotation, box)}
        kept.append({"iscrowd": 0} | annotation | flags | more)
    ids = {annotation.get("id") for annotation in kept}
    if len(ids) < len(kept) or not all(isinstance(i, int) and i > 0 for i in ids):
        kept = [annotation | {"id": number} for number, annotation in enumerate(kept, 1)]
    content = split.coco | {"images": images, "annotations": kept}
    return DatasetSplit(split.name, split.images, content, split.source, split.notes), left_out


def _size(split: DatasetSplit, image: dict[str, Any]) -> dict[str, int]:
    if all(np.isfinite(image_sides(image))):
        return {}
    height, width = image_size(split.images / image["file_name"])
    return {"width": width, "height": height}


def join(name: str, splits: Sequence[DatasetSplit]) -> DatasetSplit:
    """One split of several, ids anew; classes of the same name are the same."""
    root = Path(os.path.commonpath([split.images for split in splits]))
    names = list(dict.fromkeys(str(c["name"]) for s in splits for c in s.coco["categories"]))
    number = {name: i for i, name in enumerate(names, 1)}
    images, annotations = [], []
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
