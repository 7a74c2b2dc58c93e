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
    kept, new_scores = [np.empty(0, np.int64)], [np.empty(0, np.float32)]
    for label in np.unique(labels):
        (members,) = np.nonzero(labels == label)
        if method == "soft":
            order, reduced = soft_nms(boxes[members], scores[members])
        else:
            order = _hard_nms(boxes[members], scores[members], float(method))
            reduced = scores[members[order]]
        kept.append(members[order])
        new_scores.append(reduced)
    return np.concatenate(kept), np.concatenate(new_scores)


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
    neighbors, waiting = _Neighbors(boxes, extra=1), scores.copy()
    order: list[int] = []
    while len(scores) and (score := waiting[best := int(waiting.argmax())]) != -np.inf:
        order.append(best)
        scores[best], waiting[best] = score, -np.inf  # -inf: kept or removed
        near, overlap = neighbors.of(best)
        reduced = waiting[near] * np.exp(-np.square(overlap) / np.float32(sigma))
        waiting[near] = np.where(reduced >= min_score, reduced, -np.inf)
    kept = np.array(order, np.int64)
    return kept, scores[kept]


def _hard_nms(boxes: NDArray, scores: NDArray, threshold: float) -> NDArray[np.int64]:
    """The indices of the boxes, best first, that no kept box overlaps by more than a threshold.

    Of equal scores, the first box is kept.
    """
    neighbors, removed = _Neighbors(boxes.astype(np.float64)), np.zeros(len(boxes), bool)
    kept = []
    for best in np.argsort(-scores, kind="stable").tolist():
        if not removed[best]:
            kept.append(best)
            near, overlap = neighbors.of(best)
            removed[near[overlap > threshold]] = True
    return np.array(kept, np.int64)


class _Neighbors:
    """Finds overlapping boxes, faster than by comparing all pairs: only those near in x."""

    def __init__(self, boxes: NDArray, extra: float = 0.0) -> None:
        """Sort boxes (n, 4) xyxy; ``extra`` as for :func:`.box_iou`."""
        self._boxes, self._extra = boxes, extra
        left, right = np.nan_to_num(boxes[:, [0, 2]].astype(np.float64)).T
        self._by_left = np.argsort(left, kind="stable")
        widest = (right - left).max(initial=0)
        # Rounded outward by a pixel.
        self._first = np.searchsorted(left[self._by_left], left - widest - extra - 1)
        self._last = np.searchsorted(left[self._by_left], right + extra + 1)

    def of(self, index: int) -> tuple[NDArray[np.int64], NDArray]:
        """Indices (m,) of the boxes that overlap a box, itself included, and their IoU (m,)."""
        near = self._by_left[self._first[index] : self._last[index]]
        with np.errstate(invalid="ignore"):  # boxes that are not finite
            overlap = box_iou(self._boxes[index], self._boxes[near], extra=self._extra)
            overlaps = overlap > 0
        return near[overlaps], overlap[overlaps]
