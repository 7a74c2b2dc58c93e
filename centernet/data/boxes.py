"""The box and the region of a COCO annotation."""

import math
from pathlib import Path
from typing import Any

from centernet.data.entries import as_number, is_ignore_region, short
from centernet.data.points import is_point
from centernet.data.regions import Box, Region, parse_segmentation
from centernet.errors import InputError


def annotation_box(
    path: str | Path, annotation: dict[str, Any], sides: tuple[float, float]
) -> list[float]:
    """The box of an annotation; by default, an ignore region's box encloses its segmentation.

    That of a point has zero size.

    Args:
        path: path of the file, for messages.
        annotation: a valid entry.
        sides: width and height of its image; infinite where unknown.

    Returns:
        xywh in image pixels.

    Raises:
        InputError: there is no box, or it is not four numbers.
    """
    box = annotation.get("bbox")
    if box is None and is_ignore_region(annotation):
        region = _segmentation(path, annotation)
        box = region and region.box_in_image(sides)
    values = [_coordinate(value) for value in box] if isinstance(box, list | tuple) else []
    numbers = [value for value in values if value is not None]
    if not len(numbers) == len(values) == 4:
        raise InputError(
            f"{name_annotation(path, annotation)} has bbox {short(box)}, "
            "not four numbers [x, y, width, height]"
        )
    if is_point(annotation):
        x, y, width, height = numbers
        return [x + width / 2, y + height / 2, 0.0, 0.0]
    return numbers


def _coordinate(value: Any) -> float | None:
    """A number, also as text; NaN for null, None for any other value."""
    if value is None:
        return math.nan
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    return as_number(value)


def annotation_region(
    path: str | Path, annotation: dict[str, Any], sides: tuple[float, float]
) -> Region | None:
    """The segmentation of an ignore region, by default its box; None for an object.

    Arguments are those of :func:`annotation_box`.

    Raises:
        InputError: the segmentation is malformed, or there is neither segmentation nor box.
    """
    if not is_ignore_region(annotation):
        return None
    region = _segmentation(path, annotation)
    return Box(annotation_box(path, annotation, sides)) if region is None else region


def _segmentation(path: str | Path, annotation: dict[str, Any]) -> Region | None:
    try:
        return parse_segmentation(annotation.get("segmentation"))
    except InputError as error:
        raise InputError(f"{name_annotation(path, annotation)} has {error}") from None


def name_annotation(path: str | Path, annotation: dict[str, Any]) -> str:
    """The file and the id of an annotation, for messages."""
    return f"{path}: annotation {annotation.get('id', '?')}"
