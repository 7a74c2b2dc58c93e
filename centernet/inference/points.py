"""Detections of classes that were learned from points: only their centers have a meaning.

Their boxes are squares around the centers, as large as a typical object, see
:attr:`.EngineInfo.point_sizes`. ``is_point`` marks them.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import supervision as sv

IS_POINT = "is_point"


def with_squares(
    found: Mapping[str, NDArray], point_sizes: Sequence[float | None] | None
) -> dict[str, NDArray]:
    """Detections with a square as the box of each point.

    Args:
        found: ``boxes`` (K, 4) xyxy in image pixels, ``labels`` (K,), and other values.
        point_sizes: by label the side of the squares in image pixels, None for a class with boxes;
            None if there are no points.

    Returns:
        The same keys; if there are points, also ``is_point`` (K,) bool.
    """
    if point_sizes is None:
        return dict(found)
    boxes = found["boxes"]
    sides = np.array([size or 0 for size in point_sizes], np.float32)[found["labels"]]
    is_point, half = sides > 0, sides[:, None] / 2
    center = (boxes[:, :2] + boxes[:, 2:]) / 2
    squares = np.hstack([center - half, center + half])
    return {**found, "boxes": np.where(is_point[:, None], squares, boxes), IS_POINT: is_point}


def points_of(detections: "sv.Detections") -> NDArray[np.bool_]:
    """Which detections (K,) are points."""
    return np.asarray(detections.data.get(IS_POINT, np.zeros(len(detections), bool)), bool)
