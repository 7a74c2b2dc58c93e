"""Boxes to what every anchor of a RetinaNet should say, and what the anchors say to boxes.

"Focal Loss for Dense Object Detection" (Lin et al., 2017), section 4.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.models.detection._utils import BoxCoder, Matcher
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import box_iou

from centernet.decode import DEFAULT_TOP_K
from centernet.nms import nms_by_class
from centernet.targets import DEFAULT_STRIDE, check_labels

# An anchor is an object's from the first IoU on, and background below the second; in between it is
# left alone. So that few objects are without, an object's best anchor is one of the object that it
# overlaps most, whatever the IoU.
_MATCHER = Matcher(0.5, 0.4, allow_low_quality_matches=True)
# Centre shifted by widths and heights of the anchor, logarithms of the ratios of the sides.
_CODER = BoxCoder(weights=(1.0, 1.0, 1.0, 1.0))
# Of each level so many of the best are looked at, and of two of a class that overlap more, one.
_CANDIDATES = 1000
_NMS_IOU = 0.5


@dataclass(frozen=True)
class AnchorTargets:
    """What a RetinaNet should say for a batch. A anchors, P of them positive.

    Attributes:
        classification: (B, A, C) bool, whether the anchor is an object of the class.
        mask: (B, A, C) bool, False where the loss must not look.
        batch_index: (P,) image of each positive anchor.
        anchor_index: (P,) which one it is.
        boxes: (P, 4) its object's box relative to the anchor.
    """

    classification: Tensor
    mask: Tensor
    batch_index: Tensor
    anchor_index: Tensor
    boxes: Tensor


def anchor_generator(strides: Sequence[int]) -> AnchorGenerator:
    """Nine anchors for each place: three scales from four strides on, by three ratios."""
    sizes = tuple(tuple(int(4 * s * 2 ** (i / 3)) for i in range(3)) for s in strides)
    return AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * len(sizes))


def encode_anchors(
    targets: Sequence[Mapping], anchors: Tensor, num_classes: int, *, stride: int = DEFAULT_STRIDE
) -> AnchorTargets:
    """Match the anchors with the objects of each image.

    An anchor is ignored for a class when its centre lies in an ignore region of that class, unless
    it is matched with an object of it.

    Args:
        targets: B dicts, as for :func:`centernet.targets.encode_targets`.
        anchors: (A, 4) xyxy in canvas pixels.
        num_classes: C.
        stride: canvas pixels per cell of the ignore masks.

    Raises:
        ValueError: a label that is not one of the C classes.
    """
    shape, device = (len(targets), len(anchors), num_classes), anchors.device
    classification = torch.zeros(shape, dtype=torch.bool, device=device)
    mask = torch.ones(shape, dtype=torch.bool, device=device)
    column, row = ((anchors[:, :2] + anchors[:, 2:]) / (2 * stride)).long().unbind(1)
    indices, boxes = [], []
    for image, target in enumerate(targets):
        check_labels(target["labels"], num_classes)
        for label, region in target.get("ignore") or ():
            where = slice(None) if label is None else slice(label, label + 1)
            mask[image, :, where] &= ~region.to(device)[row, column][:, None]
        matches = _match(target["boxes"].to(device), anchors)
        mask[image] &= (matches != Matcher.BETWEEN_THRESHOLDS)[:, None]
        (positive,) = torch.where(matches >= 0)
        matched = matches[positive]
        classification[image, positive, target["labels"].to(device)[matched]] = True
        indices.append(positive)
        boxes.append(_CODER.encode_single(target["boxes"].to(device)[matched], anchors[positive]))
    counts = torch.tensor([len(index) for index in indices])
    return AnchorTargets(
        classification=classification,
        mask=mask | classification,
        batch_index=torch.repeat_interleave(torch.arange(len(targets)), counts).to(device),
        anchor_index=torch.cat(indices),
        boxes=torch.cat(boxes),
    )


def _match(boxes: Tensor, anchors: Tensor) -> Tensor:
    """(A,) the object of each anchor, or one of the matcher's negative numbers."""
    if not len(boxes):
        return anchors.new_full((len(anchors),), Matcher.BELOW_LOW_THRESHOLD, dtype=torch.long)
    return _MATCHER(box_iou(boxes, anchors))


def decode_anchors(
    logits: Tensor, boxes: Tensor, anchors: Sequence[Tensor], *, top_k: int = DEFAULT_TOP_K
) -> list[dict[str, Tensor]]:
    """The best objects of each image, and of several boxes for one object the best.

    There is no threshold. Unlike those of :func:`centernet.decode.decode`, lists are not filled up.

    Args:
        logits: (B, A, C) of the classes.
        boxes: (B, A, 4) relative to the anchors.
        anchors: (A_i, 4) of each level, canvas pixels; together A.
        top_k: most detections per image, over all classes.

    Returns:
        B dicts, best first, K at most ``top_k``: ``boxes`` (K, 4) float32 xyxy in canvas pixels,
        ``scores`` (K,), ``labels`` (K,).
    """
    sizes = [len(level) for level in anchors]
    found = []
    for of_image in zip(logits.float(), boxes.float(), strict=True):
        parts = (values.split(sizes) for values in of_image)
        levels = [_candidates(*level, top_k) for level in zip(*parts, anchors, strict=True)]
        values, decoded, labels = (torch.cat(parts) for parts in zip(*levels, strict=True))
        kept = nms_by_class(decoded, values, labels, _NMS_IOU)[:top_k]
        found.append(
            {"boxes": decoded[kept], "scores": values[kept].sigmoid(), "labels": labels[kept]}
        )
    return found


def _candidates(
    logits: Tensor, boxes: Tensor, anchors: Tensor, top_k: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, boxes and labels of the best of one level."""
    count = min(max(_CANDIDATES, top_k), logits.numel())
    best = logits.flatten().topk(count)
    anchor = torch.div(best.indices, logits.shape[1], rounding_mode="floor")
    decoded = _CODER.decode_single(boxes[anchor], anchors[anchor])
    return best.values, decoded, best.indices % logits.shape[1]
