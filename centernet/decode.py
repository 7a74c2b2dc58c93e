"""Decode detections from output maps: heatmap peaks, and the values of the other heads there.

"Objects as Points" (Zhou et al., 2019), section 4.

Letters in shapes: B images, C classes, K detections of each image, h x w cells.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from centernet.heads import HEADS, Cells, Heatmap, Offset
from centernet.targets import DEFAULT_STRIDE

DEFAULT_TOP_K = 100  # detections per image; COCO's evaluation counts 100
MAX_TOP_K = 100_000  # upper limit of options and checkpoints


def decode(
    outputs: Mapping[str, Tensor], *, stride: int = DEFAULT_STRIDE, top_k: int = DEFAULT_TOP_K
) -> list[dict[str, Tensor]]:
    """Decode the best peaks of each image: cells that no neighboring cell exceeds.

    Neither a score threshold nor non-maximum suppression is applied. If an image has fewer than K
    peaks, detections of score 0 fill the list. Boxes are not clipped to the input.

    Args:
        outputs: ``heatmap`` (B, C, h, w) logits, and the maps (B, c, h, w) of any other heads of
            :mod:`centernet.heads`. Boxes are read from ``size`` and ``offset`` (without it, centers
            are the middles of their cells), or from ``sides``.
        stride: network input pixels per cell.
        top_k: detections per image, over all classes.

    Returns:
        B dicts, best first, with K = min(top_k, C * h * w): ``boxes`` (K, 4) float32 xyxy in
        network input pixels, ``scores`` (K,) float32 in [0, 1], ``labels`` (K,) int64, ``cells``
        (K, 2) int64, column and row of the peaks, and the fields of any further heads.
    """
    heatmap = outputs[Heatmap.name].float()
    logits, index = _find_peaks(heatmap, min(top_k, heatmap[0].numel()))
    fields = _read_peaks(outputs, logits, index, stride)
    return [{name: values[i] for name, values in fields.items()} for i in range(len(heatmap))]


def decode_batch(
    outputs: Mapping[str, Tensor], *, stride: int = DEFAULT_STRIDE, top_k: int = DEFAULT_TOP_K
) -> dict[str, Tensor]:
    """Decode as :func:`decode`, in operations that torch.onnx can export for dynamic sizes.

    Arguments are those of :func:`decode`.

    Returns:
        The fields (B, K, ...) with K = top_k for any size; detections of score 0 fill the list.
    """
    values = _only_peaks(outputs[Heatmap.name].float()).flatten(1)
    # A map may have fewer cells than top_k; the number of results must not depend on its size.
    logits, index = F.pad(values, (0, top_k), value=-torch.inf).topk(top_k)
    return _read_peaks(outputs, logits, index.clamp(max=values.shape[1] - 1), stride)


def _read_peaks(
    outputs: Mapping[str, Tensor], logits: Tensor, index: Tensor, stride: int
) -> dict[str, Tensor]:
    """The fields (B, K, ...) of peaks with logits (B, K) and indices in the flat heatmap (B, K)."""
    rows, columns = outputs[Heatmap.name].shape[2:]
    label = torch.div(index, rows * columns, rounding_mode="floor")
    # Not index % (rows * columns), which torch.onnx cannot export for dynamic sizes.
    cells = Cells(index - label * (rows * columns), columns, stride)
    peaks = {"scores": logits.sigmoid(), "labels": label, "cells": cells.corner}
    return read_heads(outputs, cells) | peaks


def read_heads(outputs: Mapping[str, Tensor], cells: Cells) -> dict[str, Tensor]:
    """The fields (B, K, ...) that all heads predict at some cells, peaks or not.

    Args:
        outputs: as for :func:`decode`.
        cells: K of each image.
    """
    fields: dict[str, Tensor] = {}
    for name, head in HEADS.items():
        if name in outputs:
            fields |= head.decode(outputs, cells)
    return fields


def collapse_points(
    fields: Mapping[str, Tensor],
    outputs: Mapping[str, Tensor],
    point_sizes: Sequence[float | None] | None,
    *,
    stride: int = DEFAULT_STRIDE,
) -> dict[str, Tensor]:
    """Replace the boxes of classes that were learned from points by their centers.

    Args:
        fields: ``boxes`` (..., K, 4), ``labels`` (..., K) and ``cells`` (..., K, 2).
        outputs: the output maps. Without an offset, centers are the middles of their cells.
        point_sizes: by label None for a class with boxes; see :class:`.DetectionModel`.
        stride: network input pixels per cell.

    Returns:
        The fields; boxes of points have zero size.
    """
    if point_sizes is None:
        return dict(fields)
    boxes, labels = fields["boxes"], fields["labels"]
    marks = torch.tensor([size is not None for size in point_sizes], device=labels.device)
    has_offset = Offset.name in outputs
    middle = (fields["cells"].to(boxes.dtype) + 0.5) * stride
    center = (boxes[..., :2] + boxes[..., 2:]) / 2 if has_offset else middle
    points = torch.cat([center, center], -1)
    return dict(fields) | {"boxes": torch.where(marks[labels][..., None], points, boxes)}


def _find_peaks(heatmap: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The best peaks of each image, by the method that is faster on the device.

    Args:
        heatmap: (B, C, h, w) logits.
        count: K.

    Returns:
        (B, K) logits, -inf where there are too few peaks, and (B, K) indices in the image's flat
        heatmap.
    """
    is_eager_cpu = heatmap.device.type == "cpu" and not torch.compiler.is_compiling()
    return _peaks_by_row(heatmap, count) if is_eager_cpu else _peaks_by_pooling(heatmap, count)


def _peaks_by_pooling(heatmap: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """:func:`_find_peaks`, by comparing all cells with the maximum of their 3 x 3 neighborhood."""
    return _only_peaks(heatmap).flatten(1).topk(count)


def _only_peaks(heatmap: Tensor) -> Tensor:
    """Logits (B, C, h, w), -inf where a neighboring cell is larger."""
    is_peak = heatmap == F.max_pool2d(heatmap, 3, stride=1, padding=1)
    return heatmap.masked_fill(~is_peak, -torch.inf)


def _peaks_by_row(heatmap: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """:func:`_find_peaks`, by searching only the rows that can hold one of the best K peaks."""
    logits, index = zip(*[_peaks_of_image(image, count) for image in heatmap], strict=True)
    return torch.stack(logits), torch.stack(index)


def _peaks_of_image(heatmap: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The best peaks of one image (C, h, w).

    The maximum of a row that neither neighboring row exceeds is a peak. So the K-th largest such
    maximum is a lower bound of the K-th best peak.
    """
    row_max = heatmap.amax(2)  # (C, h)
    padded = F.pad(row_max, (1, 1), value=-torch.inf)
    is_peak = (row_max >= padded[:, :-2]) & (row_max >= padded[:, 2:])
    sure = row_max[is_peak]
    bound = sure.topk(count).values[-1].item() if len(sure) >= count else -torch.inf
    values, index = _candidates(heatmap, bound)
    values, order = values.topk(count)
    return values, index[order]


def _candidates(heatmap: Tensor, bound: float) -> tuple[Tensor, Tensor]:
    """All cells of those rows of (C, h, w) logits whose maximum reaches ``bound``.

    Returns:
        Their logits, -inf where a neighbor is larger, and their indices in the flat heatmap.
    """
    _, rows, columns = heatmap.shape
    # Not ">=", so that rows of NaN are searched instead of dropped.
    plane, row = (~(heatmap.amax(2) < bound)).nonzero(as_tuple=True)
    center = heatmap[plane, row]  # (rows found, w)
    around = center
    for step in (-1, 1):
        neighbor = heatmap[plane, (row + step).clamp(0, rows - 1)]
        around = torch.maximum(around, neighbor)
    padded = F.pad(around, (1, 1), value=-torch.inf)
    around = torch.maximum(torch.maximum(padded[:, :-2], padded[:, 2:]), around)
    values = center.masked_fill(center < around, -torch.inf)
    index = (plane * rows + row)[:, None] * columns + torch.arange(columns, device=row.device)
    return values.flatten(), index.flatten()
