"""Enclosing boxes of the shapes that annotation tools draw.

Every function returns a box as [x, y, width, height]. Numbers that are not finite give a box that
is not finite, which is reported later with the image.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from centernet.data.entries import as_number


def numbers(values: Any, count: int | None = None) -> list[float] | None:
    """The numbers of a JSON list; None if it is not a list of numbers, or not of ``count``."""
    if not isinstance(values, list | tuple) or (count is not None and len(values) != count):
        return None
    found = [number for value in values if (number := as_number(value)) is not None]
    return found if len(found) == len(values) else None


def text_number(text: str | None) -> float | None:
    """The number in a text; None if there is none."""
    try:
        return float(text or "")
    except ValueError:
        return None


def box_of_points(points: Any) -> list[float] | None:
    """The box of a JSON list of points [x, y]; None if it is not one."""
    if not isinstance(points, list | tuple) or not points:
        return None
    pairs = [pair for point in points if (pair := numbers(point, 2)) is not None]
    if len(pairs) < len(points):
        return None
    corners = np.array(pairs)
    low, high = corners.min(0), corners.max(0)
    with np.errstate(all="ignore"):
        return [*low.tolist(), *(high - low).tolist()]


def box_of_corners(corners: Sequence[float]) -> list[float]:
    """The box of [x1, y1, x2, y2]; swapped corners give negative sides."""
    x1, y1, x2, y2 = corners
    return [x1, y1, x2 - x1, y2 - y1]


def box_of_ellipse(
    center: Sequence[float], radii: Sequence[float], degrees: float = 0.0
) -> list[float]:
    """The box of an ellipse that is rotated about its center."""
    cos, sin = _cos_sin(degrees)
    half_width = math.hypot(radii[0] * cos, radii[1] * sin)
    half_height = math.hypot(radii[0] * sin, radii[1] * cos)
    return [center[0] - half_width, center[1] - half_height, 2 * half_width, 2 * half_height]


def box_of_rotated_box(
    box: Sequence[float], degrees: float, pivot: Sequence[float] | None = None
) -> list[float]:
    """The box of a box that is rotated clockwise, in an image whose y axis points down.

    Args:
        box: [x, y, width, height] before the rotation.
        degrees: the angle.
        pivot: the point that stays in place; by default the center of the box.
    """
    if not degrees:
        return list(box)
    x, y, width, height = box
    px, py = pivot or (x + width / 2, y + height / 2)
    cos, sin = _cos_sin(degrees)
    points = [
        [px + (cx - px) * cos - (cy - py) * sin, py + (cx - px) * sin + (cy - py) * cos]
        for cx in (x, x + width)
        for cy in (y, y + height)
    ]
    found = box_of_points(points)
    assert found is not None  # four points of two numbers
    return found


def _cos_sin(degrees: float) -> tuple[float, float]:
    if not math.isfinite(degrees):
        return math.nan, math.nan
    angle = math.radians(degrees)
    return math.cos(angle), math.sin(angle)
