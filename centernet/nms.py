"""Suppression of boxes that several views of one image found twice.

One view of an image needs none of it: a local maximum of the heatmap suppresses its neighbours.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def soft_nms(
    boxes: NDArray, scores: NDArray, *, sigma: float = 0.5, least: float = 0.001
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Lower the score of each box by its overlap with every better one.

    "Soft-NMS" (Bodla et al., 2017), the Gaussian form: a score is multiplied by exp(-IoU^2 / sigma)
    for each better box. As in the original release, a box is one pixel longer than it says.

    Args:
        boxes: (n, 4) xyxy in image pixels, of one class.
        scores: (n,).
        sigma: how gentle; the larger, the less is taken away.
        least: boxes whose lowered score is below this are dropped.

    Returns:
        Indices of the boxes that are left, best first, and their new scores.
    """
    boxes, scores = boxes.astype(np.float32), scores.astype(np.float32)
    left, order = np.arange(len(boxes)), []
    while len(left):
        best = left[scores[left].argmax()]
        order.append(best)
        left = left[left != best]
        overlap = _iou(boxes[best], boxes[left])
        scores[left] *= np.exp(-np.square(overlap) / np.float32(sigma))
        left = left[(scores[left] >= least) | (overlap == 0)]
    order = np.array(order, np.int64)
    return order, scores[order]


def nms_by_class(boxes: Tensor, scores: Tensor, labels: Tensor, iou: float) -> Tensor:
    """Indices of the boxes (n, 4) of which no better one of the class is nearer than an IoU."""
    from torchvision.ops import batched_nms  # here, because torchvision takes seconds to import

    # torchvision keeps classes apart by shifting their boxes, which must not be negative for that.
    return batched_nms(boxes - boxes.amin() if len(boxes) else boxes, scores, labels, iou)


def _iou(box: NDArray, others: NDArray) -> NDArray:
    """Overlap of a box with (n, 4) others, all one pixel longer than they say."""
    width, height = (
        np.minimum(box[axis + 2], others[:, axis + 2]) - np.maximum(box[axis], others[:, axis]) + 1
        for axis in range(2)
    )
    both = np.where((width > 0) & (height > 0), width * height, 0)
    (area,), areas = _areas(box[None]), _areas(others)
    union = area + areas - both
    # Boxes of negative size, which an untrained network predicts, may add up to nothing.
    return np.divide(both, union, out=np.zeros_like(both), where=union != 0)


def _areas(boxes: NDArray) -> NDArray:
    return (boxes[:, 2:] - boxes[:, :2] + 1).prod(1)


def suppress(
    boxes: NDArray, scores: NDArray, labels: NDArray, how: float | str
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Suppress within each class.

    Args:
        boxes: (n, 4) xyxy.
        scores: (n,).
        labels: (n,).
        how: ``soft`` for :func:`soft_nms`, or the IoU with a better box above which one is dropped.

    Returns:
        Indices of the boxes that are left, in no order, and their scores.
    """
    if how == "soft":
        left, lowered = [np.empty(0, np.int64)], [np.empty(0, np.float32)]
        for label in np.unique(labels):
            (members,) = np.nonzero(labels == label)
            order, new_scores = soft_nms(boxes[members], scores[members])
            left.append(members[order])
            lowered.append(new_scores)
        left, lowered = np.concatenate(left), np.concatenate(lowered)
    else:
        rows = (torch.tensor(values, dtype=torch.float32) for values in (boxes, scores))
        left = nms_by_class(*rows, torch.tensor(labels), float(how)).numpy()
        lowered = scores[left]
    return left, lowered
