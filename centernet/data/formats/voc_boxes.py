"""Boxes of Pascal VOC objects, also as other tools write them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from centernet.data.formats.safe_xml import number_of

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_ROTATED = ("cx", "cy", "w", "h", "angle")
_MIN_REVERSED = 5  # boxes; fewer are no evidence of another format


def corners_of(entry: ElementTree.Element) -> tuple[list[float] | None, bool]:
    """The corners x1, y1, x2, y2 of an object, and whether they enclose a rotated box.

    The corners are None if a number is missing. A rotated box (``robndbox``) has its center, sides,
    and an angle in radians.
    """
    corners = _numbers(entry, "bndbox", _CORNERS)
    if corners is not None:
        return corners, False
    rotated = _numbers(entry, "robndbox", _ROTATED)
    if rotated is None:
        return None, False
    x, y, width, height, angle = rotated
    cosine, sine = abs(math.cos(angle)), abs(math.sin(angle))
    half_width = (width * cosine + height * sine) / 2
    half_height = (width * sine + height * cosine) / 2
    return [x - half_width, y - half_height, x + half_width, y + half_height], True


def _numbers(entry: ElementTree.Element, tag: str, names: Sequence[str]) -> list[float] | None:
    values = [number_of(entry, f"{tag}/{name}") for name in names]
    numbers = [value for value in values if value is not None and math.isfinite(value)]
    return numbers if len(numbers) == len(names) else None


def repair_boxes(
    objects: Sequence[dict[str, Any]], sizes: Mapping[int, tuple[float, float]]
) -> str | None:
    """Repair boxes whose second corner lies before the first one.

    If all boxes fit in their image with ``xmax`` and ``ymax`` read as width and height, and some
    are impossible as corners, the file has widths and heights. Otherwise corners are swapped.

    Args:
        objects: objects with ``image_id`` and ``bbox`` xywh, which is replaced.
        sizes: width and height of the images by id.

    Returns:
        What was repaired; None if nothing was.
    """
    reversed_ = [o for o in objects if o["bbox"][2] < 0 or o["bbox"][3] < 0]
    if not reversed_:
        return None
    all_swapped = all(o["bbox"][2] < 0 and o["bbox"][3] < 0 for o in objects)
    is_common = len(reversed_) >= max(_MIN_REVERSED, 0.2 * len(objects))
    if is_common and not all_swapped and all(_fits_as_size(o, sizes) for o in objects):
        for found in objects:
            x, y, width, height = found["bbox"]
            found["bbox"] = [x, y, x + width, y + height]
            found["area"] = (x + width) * (y + height)
        return f"xmax and ymax of {len(objects)} boxes are read as width and height"
    for found in reversed_:
        x, y, width, height = found["bbox"]
        found["bbox"] = [min(x, x + width), min(y, y + height), abs(width), abs(height)]
        found["area"] = abs(width * height)
    return f"{len(reversed_)} boxes have swapped corners, which are put in order"


def _fits_as_size(found: dict[str, Any], sizes: Mapping[int, tuple[float, float]]) -> bool:
    """Whether xmax and ymax can be the width and height of a box inside its image."""
    x, y, width, height = found["bbox"]
    image_width, image_height = sizes.get(found["image_id"], (0.0, 0.0))
    # 2 x + (xmax - x) = x + xmax; a pixel more is allowed, as in files that count from 1.
    return 2 * x + width <= image_width + 1 and 2 * y + height <= image_height + 1
