"""Likely faults of a complete split: noted, and repaired on request.

The evidence is strong, but the annotations could be meant as they are.

``convert --repair`` applies the repairs; otherwise they are notes.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from centernet.data.annotations import DatasetSplit
from centernet.data.entries import FLAGS, as_flag, image_sides, short
from centernet.data.formats.coco_repair import contradict, finite_numbers, polygons_box
from centernet.data.formats.image_sizes import REMEDY, repair_sizes

# Fewer boxes are no evidence of another format.
_MIN_BOXES = 5
# Share of boxes as width and height that leave their image, which corners explain.
_MANY = 0.3


def repair(splits: Sequence[DatasetSplit], *, apply: bool) -> list[DatasetSplit]:
    """Find such faults, and repair them or note how to.

    - All annotations are marked ``iscrowd``, which would ignore them: they become objects.
    - ``bbox`` has two corners instead of a corner, width and height.
    - ``bbox`` has fractions of the image instead of pixels.
    - A box contradicts its polygons: it becomes that of the polygons.
    - Images were scaled or rotated after they were labeled, see :func:`.repair_sizes`.

    Classes whose names differ only in case or blanks are noted.

    Args:
        splits: splits of a dataset.
        apply: whether to repair.
    """
    repaired = []
    for split in splits:
        notes = [*split.notes, *_similar_names(split)]
        annotations = [a for a in split.coco["annotations"] if isinstance(a, dict)]
        sizes = _sizes(split)
        for fault, find, change in (
            ("is marked iscrowd and so ignored", _all_crowds, _to_objects),
            ("has fractions of the image as bbox", _has_fractions, _to_pixels),
            ("has corners as bbox, not width and height", _has_corners, _to_width_height),
        ):
            if not find(annotations, sizes):
                continue
            if apply:
                for annotation in annotations:
                    change(annotation, sizes)
            outcome = "repaired" if apply else REMEDY
            notes.append(f"{split.source}: every annotation {fault}: {outcome}")
        notes += _repair_contradictions(split, annotations, apply=apply)
        notes += repair_sizes(split, apply=apply)
        repaired.append(replace(split, notes=notes))
    return repaired


def _repair_contradictions(
    split: DatasetSplit, annotations: Sequence[dict[str, Any]], *, apply: bool
) -> list[str]:
    """Find boxes that contradict their polygons, and give them those of the polygons."""
    wrong = [
        (annotation, outline)
        for annotation in annotations
        if annotation.get("segmentation")
        and (box := _box(annotation))
        and (outline := polygons_box(annotation["segmentation"]))
        and contradict(box, outline)
    ]
    if not wrong:
        return []
    for annotation, outline in wrong if apply else ():
        annotation["bbox"] = outline
    return [
        f"{split.source}: {len(wrong)} boxes contradict their polygons, such as that of annotation "
        f"{short(wrong[0][0].get('id'))}: {'repaired' if apply else REMEDY}"
    ]


Sizes = dict[Any, tuple[float, float]]


def _sizes(split: DatasetSplit) -> Sizes:
    images = (image for image in split.coco["images"] if isinstance(image, dict))
    return {str(image.get("id")): image_sides(image) for image in images}


def _box(annotation: dict[str, Any]) -> list[float] | None:
    """The four numbers of a bbox; None if it is malformed."""
    box = annotation.get("bbox")
    return finite_numbers(box) if isinstance(box, list) and len(box) == 4 else None


def _all_crowds(annotations: Sequence[dict[str, Any]], sizes: Sizes) -> bool:
    return len(annotations) >= _MIN_BOXES and all(as_flag(a.get("iscrowd")) for a in annotations)


def _to_objects(annotation: dict[str, Any], sizes: Sizes) -> None:
    for flag in FLAGS:
        annotation.pop(flag, None)
    annotation["iscrowd"] = 0


def _has_fractions(annotations: Sequence[dict[str, Any]], sizes: Sizes) -> bool:
    boxes = (box for a in annotations if (box := _box(a)))
    are_small = all(max(box) <= 1 and min(box) >= 0 for box in boxes)
    return (
        are_small
        and sum(_box(a) is not None for a in annotations) >= _MIN_BOXES
        and all(math.isfinite(sum(_size(a, sizes))) for a in annotations)
    )


def _to_pixels(annotation: dict[str, Any], sizes: Sizes) -> None:
    if box := _box(annotation):
        width, height = _size(annotation, sizes)
        annotation["bbox"] = [box[0] * width, box[1] * height, box[2] * width, box[3] * height]
        annotation.pop("area", None)


def _has_corners(annotations: Sequence[dict[str, Any]], sizes: Sizes) -> bool:
    """Whether all boxes fit as corners, but many leave their image as width and height."""
    rows = [(box, _size(a, sizes)) for a in annotations if (box := _box(a))]
    outside = sum(x + w > width + 1 or y + h > height + 1 for (x, y, w, h), (width, height) in rows)
    return (
        len(rows) >= _MIN_BOXES
        and outside > _MANY * len(rows)
        and all(
            x < x2 <= width + 1 and y < y2 <= height + 1 for (x, y, x2, y2), (width, height) in rows
        )
    )


def _to_width_height(annotation: dict[str, Any], sizes: Sizes) -> None:
    if box := _box(annotation):
        annotation["bbox"] = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
        annotation.pop("area", None)


def _size(annotation: dict[str, Any], sizes: Sizes) -> tuple[float, float]:
    return sizes.get(str(annotation.get("image_id")), (math.inf, math.inf))


def _similar_names(split: DatasetSplit) -> list[str]:
    """A note for each group of classes whose names differ only in case or blanks."""
    spellings: defaultdict[str, list[str]] = defaultdict(list)
    for category in split.coco["categories"]:
        if isinstance(category, dict) and isinstance(name := category.get("name"), str):
            spellings["".join(name.split()).casefold()].append(name)
    return [
        f"{Path(split.source)}: the classes {' and '.join(map(repr, names))} differ only in case "
        f"or blanks: if they are one class, use --rename '{names[0]}={names[1]}'"
        for names in spellings.values()
        if len(names) > 1
    ]
