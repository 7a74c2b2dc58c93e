"""Anchors of a RetinaNet: matching with objects, and detections from the predictions.

"Focal Loss for Dense Object Detection" (Lin et al., 2017), section 4. Boxes relative to an anchor
are (dx, dy, log w, log h): the shift of the center in widths and heights of the anchor, and the
logarithms of the ratios of the widths and heights, as in "Rich feature hierarchies for accurate
object detection" (Girshick et al., 2014), appendix C.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import batched_nms, box_iou, nms

from centernet.decode import DEFAULT_TOP_K
from centernet.targets import DEFAULT_STRIDE, check_labels

# An anchor is positive from the first IoU on and background below the second; the loss ignores
# anchors in between.
POSITIVE_IOU, BACKGROUND_IOU = 0.5, 0.4
# Results of matching that are no index of an object.
BACKGROUND, IGNORED = -1, -2
# Decoding keeps this many candidates per level. Of two boxes of a class with a larger IoU, NMS
# removes the one with the lower score.
CANDIDATES_PER_LEVEL = 1000
_CANDIDATES_OF_ALL_LEVELS = 5 * CANDIDATES_PER_LEVEL  # there are five levels
NMS_IOU = 0.5
# Largest ratio of sides that decoding allows, as in torchvision: an untrained network may predict
# logarithms that overflow.
_MAX_LOG_RATIO = math.log(1000 / 16)


@dataclass(frozen=True)
class AnchorTargets:
    """Targets of a RetinaNet for a batch. A anchors, P of them positive.

    Attributes:
        classification: (B, A, C) bool, whether the anchor matches an object of the class.
        mask: (B, A, C) bool, False where the loss ignores the anchor.
        batch_index: (P,) image of each positive anchor.
        anchor_index: (P,) index of each positive anchor.
        boxes: (P, 4) box of the matched object relative to the anchor.
    """

    classification: Tensor
    mask: Tensor
    batch_index: Tensor
    anchor_index: Tensor
    boxes: Tensor


def anchor_generator(strides: Sequence[int]) -> AnchorGenerator:
    """Make nine anchors per cell: scales of 4, 5.04 and 6.35 strides, ratios 1:2, 1:1 and 2:1."""
    sizes = tuple(tuple(int(4 * s * 2 ** (i / 3)) for i in range(3)) for s in strides)
    return AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * len(sizes))


def encode_anchors(
    targets: Sequence[Mapping[str, Any]],
    anchors: Tensor,
    num_classes: int,
    *,
    stride: int = DEFAULT_STRIDE,
) -> AnchorTargets:
    """Match the anchors with the objects of each image.

    An anchor is ignored for a class if its center is inside an ignore region of that class and it
    does not match an object of that class.

    Args:
        targets: B dicts, as for :func:`centernet.targets.encode_targets`.
        anchors: (A, 4) xyxy in input pixels.
        num_classes: C.
        stride: input pixels per cell of the ignore masks.

    Raises:
        ValueError: a label is outside 0 to C - 1.
    """
    shape, device = (len(targets), len(anchors), num_classes), anchors.device
    classification = torch.zeros(shape, dtype=torch.bool, device=device)
    mask = torch.ones(shape, dtype=torch.bool, device=device)
    indices, relative = [], []
    for image, target in enumerate(targets):
        check_labels(target["labels"], num_classes)
        boxes, labels = target["boxes"].to(device), target["labels"].to(device)
        mask[image] &= _outside_regions(target.get("ignore") or (), anchors, num_classes, stride)
        matches = match_anchors(boxes, anchors)
        mask[image] &= (matches != IGNORED)[:, None]
        (positive,) = torch.where(matches >= 0)
        matched = matches[positive]
        classification[image, positive, labels[matched]] = True
        indices.append(positive)
        relative.append(encode_boxes(boxes[matched], anchors[positive]))
    counts = torch.tensor([len(index) for index in indices])
    return AnchorTargets(
        classification=classification,
        mask=mask | classification,
        batch_index=torch.repeat_interleave(torch.arange(len(targets)), counts).to(device),
        anchor_index=torch.cat(indices),
        boxes=torch.cat(relative),
    )


def _outside_regions(
    regions: Sequence[tuple[int | None, Tensor]], anchors: Tensor, num_classes: int, stride: int
) -> Tensor:
    """(A, C) bool, False where the center of an anchor is in an ignore region of the class."""
    outside = torch.ones(len(anchors), num_classes, dtype=torch.bool, device=anchors.device)
    column, row = ((anchors[:, :2] + anchors[:, 2:]) / (2 * stride)).long().unbind(1)
    for label, region in regions:
        classes = slice(None) if label is None else slice(label, label + 1)
        outside[:, classes] &= ~region.to(anchors.device)[row, column][:, None]
    return outside


def match_anchors(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Match each anchor with the object of the largest IoU.

    The best anchor of each object is positive at any IoU, so that few objects remain without an
    anchor. It matches the object that it overlaps most, which may be another object.

    Args:
        boxes: (n, 4) xyxy, the objects of one image.
        anchors: (A, 4) xyxy.

    Returns:
        (A,) the index of an object, ``BACKGROUND`` or ``IGNORED``.
    """
    if not len(boxes):
        return torch.full((len(anchors),), BACKGROUND, device=anchors.device)
    overlap = box_iou(boxes, anchors)
    largest, matches = overlap.max(0)
    best_of_object = (overlap == overlap.amax(1, keepdim=True)).any(0)
    unmatched = torch.where(largest < BACKGROUND_IOU, BACKGROUND, IGNORED)
    return torch.where((largest >= POSITIVE_IOU) | best_of_object, matches, unmatched)


def encode_boxes(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Convert xyxy boxes (n, 4) to boxes relative to anchors (n, 4)."""
    (center, size), (anchor_center, anchor_size) = _center_size(boxes), _center_size(anchors)
    return torch.cat([(center - anchor_center) / anchor_size, (size / anchor_size).log()], 1)


def decode_boxes(relative: Tensor, anchors: Tensor) -> Tensor:
    """Convert boxes relative to anchors (..., 4) to xyxy; the inverse of :func:`encode_boxes`."""
    anchor_center, anchor_size = _center_size(anchors)
    center = relative[..., :2] * anchor_size + anchor_center
    half = 0.5 * (relative[..., 2:].clamp(max=_MAX_LOG_RATIO).exp() * anchor_size)
    return torch.cat([center - half, center + half], -1)


def _center_size(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Centers (..., 2) and sizes (..., 2) of xyxy boxes."""
    size = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + 0.5 * size, size


def decode_anchors(
    logits: Tensor, boxes: Tensor, anchors: Sequence[Tensor], *, top_k: int = DEFAULT_TOP_K
) -> list[dict[str, Tensor]]:
    """Return the best detections of each image after NMS within each class.

    There is no score threshold. Unlike :func:`centernet.decode.decode`, this function may return
    fewer than ``top_k`` detections.

    Args:
        logits: (B, A, C) of the classes.
        boxes: (B, A, 4) relative to the anchors.
        anchors: (A_i, 4) xyxy of each level in input pixels; the A_i sum to A.
        top_k: maximum number of detections per image, over all classes.

    Returns:
        B dicts, best first, K at most ``top_k``: ``boxes`` (K, 4) float32 xyxy in input pixels,
        ``scores`` (K,) in [0, 1], ``labels`` (K,) int64.
    """
    sizes = [len(level) for level in anchors]
    detections = []
    for image_logits, image_boxes in zip(logits.float(), boxes.float(), strict=True):
        levels = [
            _candidates(level_logits, level_boxes, level_anchors, top_k)
            for level_logits, level_boxes, level_anchors in zip(
                image_logits.split(sizes), image_boxes.split(sizes), anchors, strict=True
            )
        ]
        values, decoded, labels = (torch.cat(parts) for parts in zip(*levels, strict=True))
        kept = _nms_by_class(decoded, values, labels)[:top_k]
        detections.append(
            {"boxes": decoded[kept], "scores": values[kept].sigmoid(), "labels": labels[kept]}
        )
    return detections


def decode_anchors_batch(
    logits: Tensor, boxes: Tensor, anchors: Tensor, *, top_k: int = DEFAULT_TOP_K
) -> dict[str, Tensor]:
    """Decode as :func:`decode_anchors`, in operations that torch.onnx can export.

    The candidates are the best of all levels together, which are the same unless NMS removes
    nearly all of a level's.

    Args:
        logits: (B, A, C) of the classes.
        boxes: (B, A, 4) relative to the anchors.
        anchors: (A, 4) xyxy in input pixels.
        top_k: number of detections per image; detections of score 0 fill the list.

    Returns:
        ``boxes`` (B, K, 4), ``scores`` (B, K), ``labels`` (B, K), best first, with K = top_k.
    """
    classes = logits.shape[2]
    count = max(_CANDIDATES_OF_ALL_LEVELS, top_k)
    flat = logits.float().flatten(1)
    values, index = F.pad(flat, (0, count), value=-torch.inf).topk(count)
    index = index.clamp(max=flat.shape[1] - 1)
    anchor = torch.div(index, classes, rounding_mode="floor")
    labels = index - anchor * classes
    relative = boxes.float().gather(1, anchor[..., None].expand(-1, -1, 4))
    decoded = decode_boxes(relative, anchors[anchor])
    # One NMS for all classes and images: classes are separated along x, images along y. All along
    # one axis, coordinates of many classes and images would be too large for float32.
    image = torch.ones_like(labels).cumsum(0) - 1  # arange(B) is exported with a fixed size
    low = decoded.min()
    shift = torch.stack([labels, image, labels, image], -1) * (decoded.max() - low + 1)
    shifted = decoded - low + shift
    kept = nms(shifted.flatten(0, 1), values.flatten(), NMS_IOU)
    is_kept = torch.zeros_like(values, dtype=torch.bool).flatten().index_fill(0, kept, True)
    best, order = values.masked_fill(~is_kept.view_as(values), -torch.inf).topk(top_k)
    return {
        "boxes": decoded.gather(1, order[..., None].expand(-1, -1, 4)),
        "scores": best.sigmoid(),
        "labels": labels.gather(1, order),
    }


def _nms_by_class(boxes: Tensor, scores: Tensor, labels: Tensor) -> Tensor:
    """Indices of the boxes (n, 4) that no better box of their class overlaps, best first."""
    # batched_nms separates the classes by shifting their boxes, which fails for negative
    # coordinates.
    shifted = boxes - boxes.amin() if len(boxes) else boxes
    return batched_nms(shifted, scores, labels, NMS_IOU)


def _candidates(
    logits: Tensor, boxes: Tensor, anchors: Tensor, top_k: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, xyxy boxes and labels of the best candidates of one level."""
    count = min(max(CANDIDATES_PER_LEVEL, top_k), logits.numel())
    best = logits.flatten().topk(count)
    anchor = torch.div(best.indices, logits.shape[1], rounding_mode="floor")
    return best.values, decode_boxes(boxes[anchor], anchors[anchor]), best.indices % logits.shape[1]
