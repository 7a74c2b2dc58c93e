"""How well detections fit objects: the IoU of boxes, or the distance of centers."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from centernet.evaluation.points import center_agreement


def box_overlaps(boxes: NDArray, others: NDArray, *, is_crowd: bool = False) -> NDArray:
    """IoU of two sets of boxes, computed by pycocotools, so that ties match COCO evaluation.

    Args:
        boxes: (n, 4) xyxy.
        others: (m, 4) xyxy.
        is_crowd: ``others`` are ignore regions: the share of each box that lies inside, not IoU.

    Returns:
        (n, m) values in [0, 1].
    """
    if not len(boxes) or not len(others):
        return np.zeros((len(boxes), len(others)))
    as_xywh = (
        np.column_stack([b[:, :2], b[:, 2:] - b[:, :2]]).astype(float) for b in (boxes, others)
    )
    return coco_mask.iou(*as_xywh, [int(is_crowd)] * len(others))


def overlaps_with_points(
    boxes: NDArray,
    labels: NDArray,
    objects: NDArray,
    points: NDArray[np.bool_],
    point_sizes: Sequence[float | None] | None,
) -> NDArray:
    """The IoU of detections and objects; where one is a point, :func:`.center_agreement`.

    Args:
        boxes: (k, 4) xyxy of the detections.
        labels: (k,) their classes.
        objects: (n, 4) xyxy.
        points: (n,) the objects that are points.
        point_sizes: those of the network, see :class:`.DetectionModel`.

    Returns:
        (k, n) values in [0, 1].
    """
    overlap = box_overlaps(boxes, objects)
    of_boxes = np.zeros(len(boxes), bool)
    if point_sizes:
        of_boxes = np.array([size is not None for size in point_sizes])[labels]
    by_center = of_boxes[:, None] | points[None]
    return np.where(by_center, center_agreement(boxes, objects), overlap)


def match_greedily(overlap: NDArray, allowed: NDArray[np.bool_], iou: float) -> dict[int, int]:
    """Match detections and objects as COCO's evaluation: in order, each takes its best free object.

    Args:
        overlap: (k, n) IoU of detections, best first, and objects.
        allowed: (k, n) the pairs that may match.
        iou: minimum IoU of a pair.

    Returns:
        Index of the detection by index of the object.
    """
    detection_of: dict[int, int] = {}
    for k, row in enumerate(np.where(allowed & (overlap >= iou), overlap, -1.0)):
        free = row.copy()
        free[list(detection_of)] = -1
        if len(free) and free.max() >= 0:
            detection_of[int(free.argmax())] = k
    return detection_of
