"""Entries of COCO files: required fields and valid values."""

import math
import os
import reprlib
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple

from centernet.errors import InputError

# Pixels. Larger numbers are errors, and too large for float32 and 64-bit areas.
MAX_PIXELS = 1e9
_MAX_AREA = 1e10  # pixels; COCO's evaluation ignores larger objects
_MAX_NAME, _MAX_PATH = 255, 2000  # bytes; limits of file systems
FLAGS = ("iscrowd", "ignore")
_FLAG_TEXTS = {"0": False, "false": False, "1": True, "true": True}
_MAX_SHORT = 100  # characters of a value in a message

_short = reprlib.Repr()
_short.maxlevel, _short.maxlong, _short.maxstring = 2, 40, 80


def short(value: Any) -> str:
    """The ``repr`` of a value of any size and depth, truncated for a message."""
    try:
        text = _short.repr(value)
    except ValueError:  # an integer with more digits than Python prints
        return f"a very large {type(value).__name__}"
    return text if len(text) <= _MAX_SHORT else text[: _MAX_SHORT - 3] + "..."


def as_number(value: Any) -> float | None:
    """A JSON number as a float, infinite if it is too large; None for other values and bool.

    >>> as_number(10**400), as_number(True)
    (inf, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def is_integer(value: Any) -> bool:
    """Whether a value is an integer of 64 bits, and not a bool."""
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def is_ignore_region(annotation: dict[str, Any]) -> bool:
    """Whether an annotation is an ignore region (``iscrowd`` or ``ignore``), not an object.

    Both flags may be booleans, 0 or 1, null, or these as text.

    Raises:
        InputError: a flag has another value.
    """
    values = annotation.get("iscrowd"), annotation.get("ignore")
    if values == (0, None):  # nearly all annotations of a large dataset
        return False
    flags = [as_flag(value) for value in values]
    if None in flags:
        error = entry_error("annotations", annotation)
        raise InputError(f"annotation {short(annotation.get('id', '?'))} {error}")
    return any(flags)


def entry_error(part: str, entry: Any) -> str | None:
    """The error in an entry of ``images``, ``categories`` or ``annotations``; None if valid.

    The box and the segmentation of an annotation are not validated here.
    """
    entry = entry if isinstance(entry, dict) else {}
    for key, field in _FIELDS[part].items():
        if key not in entry:
            if field.is_needed:
                return f"has no {key!r}"
        elif not field.is_valid(entry[key]):
            return f"has {key} {short(entry[key])}, which should be {field.expected}"
    return None


def image_sides(image: dict[str, Any]) -> tuple[float, float]:
    """Width and height of an entry of ``images``; infinite where unknown."""
    width, height = (
        side if (side := as_number(image.get(key))) and 1 <= side <= MAX_PIXELS else math.inf
        for key in ("width", "height")
    )
    return width, height


def annotation_area(annotation: dict[str, Any], box: Sequence[float]) -> float:
    """The area of an annotation in pixels; the area of its box if ``area`` is invalid."""
    area = as_number(annotation.get("area"))
    return area if area and 0 < area <= _MAX_AREA else box[2] * box[3]


def box_error(
    box: Sequence[float], sides: tuple[float, float], *, is_point: bool = False
) -> str | None:
    """Why training cannot use a box; None if it can.

    Args:
        box: xywh.
        sides: width and height of the image; infinite where unknown.
        is_point: whether it is a point, which has no size and may lie on the image's border.
    """
    x, y, w, h = box
    if not all(map(math.isfinite, box)):
        return "not finite"
    if any(abs(value) > MAX_PIXELS for value in box):
        return f"beyond {MAX_PIXELS:g} pixels"
    if is_point:
        return None if 0 <= x <= sides[0] and 0 <= y <= sides[1] else "outside the image"
    if w <= 0 or h <= 0:
        return "of zero size"
    if x >= sides[0] or y >= sides[1] or x + w <= 0 or y + h <= 0:
        return "outside the image"
    return None


def as_flag(value: Any) -> bool | None:
    """The meaning of ``iscrowd`` or ``ignore``; None for an invalid value.

    >>> as_flag(None), as_flag(1.0), as_flag("False"), as_flag(2)
    (False, True, False, None)
    """
    if isinstance(value, str):
        return _FLAG_TEXTS.get(value.lower())
    return bool(value) if value is None or value in (0, 1) else None


def is_text(value: Any) -> bool:
    """Whether a value is text that UTF-8 can encode, which excludes lone surrogates."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_id(value: Any) -> bool:
    return is_integer(value) or is_text(value)


def _is_optional_id(value: Any) -> bool:
    is_float = isinstance(value, float) and math.isfinite(value)
    return value is None or is_float or _is_id(value)


def is_file_name(value: Any) -> bool:
    """Whether a value is a path below the folder of images that file systems accept."""
    if not isinstance(value, str) or "\0" in value:
        return False
    path = PurePath(value)
    if path.is_absolute() or os.path.normpath(value).split(os.sep)[0] == "..":
        return False
    try:
        length = len(os.fsencode(value))
        longest = max((len(os.fsencode(part)) for part in path.parts), default=0)
    except UnicodeEncodeError:
        return False
    return bool(path.name) and longest <= _MAX_NAME and length <= _MAX_PATH


def _is_side(value: Any) -> bool:
    # Zero, null and other types mean that the size is unknown.
    return not (as_number(value) or 0) > MAX_PIXELS


class _Field(NamedTuple):
    is_needed: bool
    is_valid: Callable[[Any], bool]
    expected: str


_ID = _Field(True, _is_id, "an integer or text")
_INTEGER = _Field(True, is_integer, "an integer")
_SIDE = _Field(False, _is_side, f"at most {MAX_PIXELS:g} pixels")
_FLAG = _Field(False, lambda value: as_flag(value) is not None, "0 or 1")
_FIELDS = {
    "images": {
        "id": _ID,
        "file_name": _Field(True, is_file_name, "the name of a file in the folder of images"),
        "width": _SIDE,
        "height": _SIDE,
    },
    "categories": {
        "id": _INTEGER,
        "name": _Field(True, _is_id, "text"),
    },
    "annotations": {
        "id": _Field(False, _is_optional_id, "an integer or text"),
        "image_id": _ID,
        "category_id": _INTEGER,
    }
    | dict.fromkeys(FLAGS, _FLAG),
}
