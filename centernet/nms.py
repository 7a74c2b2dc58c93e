"""Non-maximum suppression of boxes from several views of one image.

A CenterNet needs none for a single view: each local maximum of its heatmap is one detection.
"""

import numpy as np
from numpy.typing import NDArray

from centernet.geometry import box_iou


def nms(
    boxes: NDArray, scores: NDArray, labels: NDArray, method: float | str
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Suppress overlapping boxes within each class.

    Args:
        boxes: (n, 4) xyxy in image pixels.
        scores: (n,).
        labels: (n,).
        method: ``soft`` for :func:`soft_nms`; or an IoU threshold: a box is removed if its IoU with
            a higher-scoring box of its class is larger.

    Returns:
        Indices (m,) of the remaining boxes in any order, and their scores (m,).
    """
    if method == "soft":
        return _soft_nms_by_class(boxes, scores, labels)
    import supervision as sv  # here, because it takes long to import

    if not len(boxes):
        return np.empty(0, np.int64), scores
    # Of equal scores, the first box is kept: ranks in place of scores leave no ties.
    order = np.argsort(-scores, kind="stable")
    ranks = np.arange(len(order), 0, -1)
    found = np.column_stack([boxes[order], ranks, labels[order]]).astype(np.float64)
    with np.errstate(invalid="ignore"):  # boxes that are not finite
        kept = order[sv.box_non_max_suppression(found, float(method))]
    return kept, scores[kept]


def soft_nms(
    boxes: NDArray, scores: NDArray, *, sigma: float = 0.5, min_score: float = 0.001
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Reduce the score of each box by its overlap with every higher-scoring box.

    This is the Gaussian form of "Soft-NMS" (Bodla et al., 2017): each higher-scoring box multiplies
    the score by exp(-IoU^2 / sigma). As in the original release, the IoU counts pixels: widths and
    heights are x2 - x1 + 1 and y2 - y1 + 1.

    Args:
        boxes: (n, 4) xyxy in image pixels, all of one class.
        scores: (n,).
        sigma: width of the Gaussian; larger values reduce the scores less.
        min_score: boxes whose reduced score is below this value are removed.

    Returns:
        Indices (m,) of the remaining boxes, best first, and their new scores (m,).
    """
    boxes, scores = boxes.astype(np.float32), scores.astype(np.float32)
    remaining, order = np.arange(len(boxes)), []
    while len(remaining):
        best = remaining[scores[remaining].argmax()]
        order.append(best)
        remaining = remaining[remaining != best]
        overlap = box_iou(boxes[best], boxes[remaining], extra=1)
        scores[remaining] *= np.exp(-np.square(overlap) / np.float32(sigma))
        remaining = remaining[(scores[remaining] >= min_score) | (overlap == 0)]
    kept = np.array(order, np.int64)
    return kept, scores[kept]


def _soft_nms_by_class(
    boxes: NDArray, scores: NDArray, labels: NDArray
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Apply soft-NMS to each class; indices and scores as for :func:`nms`."""
    kept, reduced = [np.empty(0, np.int64)], [np.empty(0, np.float32)]
    for label in np.unique(labels):
        (members,) = np.nonzero(labels == label)
        order, new_scores = soft_nms(boxes[members], scores[members])
        kept.append(members[order])
        reduced.append(new_scores)
    return np.concatenate(kept), np.concatenate(reduced)
