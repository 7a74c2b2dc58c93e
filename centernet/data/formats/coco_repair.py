"""Repair COCO content that other tools write differently, where the meaning is certain."""

import math
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from centernet.data.entries import as_number, short
from centernet.data.points import is_point, point_entry
from centernet.errors import InputError

_NUMBER = re.compile(r"\s*-?\d+(\.\d+)?([eE][-+]?\d+)?\s*")
_MAX_DIGITS = 18  # of an id
_PLAIN_NUMBERS = {int, float}
# IoU of a box and the one that encloses its polygons, below which they contradict each other.
_MIN_AGREEMENT = 0.5
_NUMBERS = {
    "images": ("width", "height"),
    "annotations": ("area", "iscrowd", "ignore"),
}


def repair(path: Path, content: dict[str, Any], notes: list[str]) -> None:
    """Repair the content of a COCO file in place, and note what changed.

    Numbers written as text become numbers; an annotation without a box takes that of its polygons,
    or is a point if it has a single keypoint; one with an empty box is left out; annotations
    without a class are of the only one; a missing list of annotations is an empty one.

    Args:
        path: the file, for notes.
        content: the content, in which ``images`` and ``categories`` are lists.
        notes: list to which a line for each kind of change is appended.

    Raises:
        InputError: no annotation has a class.
    """
    if "annotations" not in content:
        content["annotations"] = []
        notes.append(f"{path}: has no list of annotations, so no image has objects")
    annotations = [a for a in _list(content, "annotations") if isinstance(a, dict)]
    _fill_classes(path, content, annotations, notes)
    texts = sum(map(_parse_numbers, annotations)) + _parse_ids(content)
    for image in _list(content, "images"):
        if isinstance(image, dict):
            texts += _parse(image, _NUMBERS["images"])
    if texts:
        notes.append(f"{path}: {texts} numbers are written as text, and read as numbers")
    boxes = sum(map(_box_of_polygons, annotations))
    if boxes:
        notes.append(f"{path}: {boxes} annotations have no bbox, and take that of their polygon")
    points = sum(map(_point_of_keypoint, annotations))
    if points:
        notes.append(f"{path}: {points} annotations have a keypoint and no box: read as points")
    if empty := [a for a in annotations if a.get("bbox") == []]:
        content["annotations"] = [
            a
            for a in _list(content, "annotations")
            if not (isinstance(a, dict) and a.get("bbox") == [])
        ]
        notes.append(
            f"{path}: left out {len(empty)} annotations with an empty bbox, such as "
            f"{short(empty[0].get('id'))}"
        )


def _fill_classes(
    path: Path,
    content: dict[str, Any],
    annotations: Sequence[dict[str, Any]],
    notes: list[str],
) -> None:
    """Give annotations without a class the only one, if no annotation has one."""
    if not annotations or any("category_id" in annotation for annotation in annotations):
        return
    classes = [c for c in _list(content, "categories") if isinstance(c, dict)]
    if len(classes) != 1:
        raise InputError(
            f"{path}: no annotation has a category_id, and there are {len(classes)} classes: VIA "
            "writes such files if its classes are not options of one attribute: give its own JSON"
        )
    for annotation in annotations:
        annotation["category_id"] = classes[0].get("id")
    notes.append(
        f"{path}: no annotation has a category_id, so all are {short(classes[0].get('name'))}"
    )


def _list(content: dict[str, Any], part: str) -> list[Any]:
    return content[part] if isinstance(content.get(part), list) else []


def _parse_numbers(annotation: dict[str, Any]) -> int:
    """Convert the numbers of an annotation that are text; return how many."""
    changed = _parse(annotation, _NUMBERS["annotations"])
    box = annotation.get("bbox")
    if isinstance(box, list) and len(box) == 4 and any(isinstance(v, str) for v in box):
        numbers = [_number(value) for value in box]
        if None not in numbers:
            annotation["bbox"] = numbers
            changed += 1
    return changed


def _parse(entry: dict[str, Any], keys: Iterable[str]) -> int:
    changed = 0
    for key in keys:
        if isinstance(entry.get(key), str) and (number := _number(entry[key])) is not None:
            entry[key] = number
            changed += 1
    return changed


def _number(value: Any) -> Any:
    """A number from text; None for other text; other values unchanged."""
    if not isinstance(value, str):
        return value
    if not _NUMBER.fullmatch(value):
        return None
    number = float(value)
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _parse_ids(content: dict[str, Any]) -> int:
    """Convert ids that are digits, if all of their kind are, and stay different."""
    changed = 0
    for part, key in (("images", "image_id"), ("categories", "category_id")):
        own = [e for e in _list(content, part) if isinstance(e, dict) and "id" in e]
        users = [e for e in _list(content, "annotations") if isinstance(e, dict) and key in e]
        values = [e["id"] for e in own] + [e[key] for e in users]
        if not any(isinstance(value, str) for value in values):
            continue
        if all(_is_id(value) for value in values) and _are_different(e["id"] for e in own):
            changed += sum(isinstance(value, str) for value in values)
            for entry in own:
                entry["id"] = int(entry["id"])
            for entry in users:
                entry[key] = int(entry[key])
    return changed


def _is_id(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().isdecimal() and len(value.strip()) <= _MAX_DIGITS
    return isinstance(value, int) and not isinstance(value, bool)


def _are_different(ids: Iterable[Any]) -> bool:
    numbers = [int(value) for value in ids]
    return len(set(numbers)) == len(numbers)


def _box_of_polygons(annotation: dict[str, Any]) -> bool:
    """Give an annotation without a box that of its polygons; return whether it changed."""
    outline = annotation.get("segmentation")
    if isinstance(outline, list) and outline and as_number(outline[0]) is not None:
        # One polygon that is not in a list.
        annotation["segmentation"] = [outline]
    if annotation.get("bbox"):
        return False
    box = polygons_box(annotation.get("segmentation"))
    if box is not None:
        annotation["bbox"] = box
    return box is not None


def _point_of_keypoint(annotation: dict[str, Any]) -> bool:
    """Make an annotation without a usable box, but with one keypoint, a point; return whether."""
    keypoints = annotation.get("keypoints")
    if not isinstance(keypoints, list) or len(keypoints) != 3 or is_point(annotation):
        return False
    box = annotation.get("bbox")
    has_box = (
        isinstance(box, list) and len(box) == 4 and all((as_number(v) or 0) > 0 for v in box[2:])
    )
    values = finite_numbers(keypoints)
    if has_box or values is None or values[2] <= 0:  # 0: not labeled
        return False
    annotation |= point_entry(values[0], values[1])
    return True


def polygons_box(polygons: Any) -> list[float] | None:
    """The box xywh that encloses the polygons of a segmentation; None if it is not polygons."""
    if not isinstance(polygons, list) or not polygons:
        return None
    if not all(isinstance(p, list) and len(p) >= 6 and len(p) % 2 == 0 for p in polygons):
        return None
    numbers = finite_numbers([value for polygon in polygons for value in polygon])
    if numbers is None:
        return None
    x, y = numbers[::2], numbers[1::2]
    left, top = min(x), min(y)
    return [left, top, max(x) - left, max(y) - top]


def finite_numbers(values: list[Any]) -> list[float] | None:
    """Values as finite numbers; None if one is something else."""
    # Finite numbers have a finite sum, unless they are huge.
    with suppress(OverflowError):
        if {*map(type, values)} <= _PLAIN_NUMBERS and math.isfinite(sum(values)):
            return values
    numbers = [number for v in values if (number := as_number(v)) is not None]
    return numbers if len(numbers) == len(values) and all(map(math.isfinite, numbers)) else None


def contradict(box: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two boxes xywh of one object, such as that of its polygons, have a low IoU."""
    width = min(box[0] + box[2], other[0] + other[2]) - max(box[0], other[0])
    height = min(box[1] + box[3], other[1] + other[3]) - max(box[1], other[1])
    both = max(width, 0) * max(height, 0)
    return both < _MIN_AGREEMENT * (box[2] * box[3] + other[2] * other[3] - both)


def drop_outline(entry: dict[str, Any]) -> dict[str, Any]:
    """Drop the segmentation of an annotation in place if nothing but masks needs it.

    It is kept in an ignore region, and where the box is missing or contradicts it.
    """
    if not entry.get("segmentation") or entry.get("iscrowd") or entry.get("ignore"):
        return entry
    box = entry.get("bbox")
    numbers = finite_numbers(box) if isinstance(box, list) and len(box) == 4 else None
    if numbers is not None:
        outline = polygons_box(entry["segmentation"])
        if outline is None or not contradict(numbers, outline):
            del entry["segmentation"]
    return entry
