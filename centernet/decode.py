"""Training maps back to boxes: the peaks of the heatmap, with the size and offset read there.

"Objects as Points" (Zhou et al., 2019), section 4. The inverse is
:func:`centernet.targets.encode_targets`.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

# Most detections per image where nothing else is known; as many as COCO's evaluation counts.
DEFAULT_TOP_K, MAX_TOP_K = 100, 100_000


def decode(
    outputs: Mapping[str, Tensor], *, stride: int = 4, top_k: int = DEFAULT_TOP_K
) -> list[dict[str, Tensor]]:
    """The best peaks of each image: cells no smaller than their eight neighbours in their class.

    There is no threshold and no box suppression. An image with fewer than K peaks is filled up
    with boxes of score 0. Boxes are not cut to the canvas.

    Args:
        outputs: ``heatmap`` (B, C, h, w) logits, and of the boxes, in cells, either ``size`` (B, 2,
            h, w) and ``offset`` (B, 2, h, w), without which a centre is taken to be the middle of
            its cell, or ``sides`` (B, 4, h, w), the distances from the middle of the cell to the
            left, top, right and bottom side.
        stride: canvas pixels per cell.
        top_k: how many detections per image, over all classes.

    Returns:
        B dicts, best first, with K = min(top_k, C * h * w): ``boxes`` (K, 4) float32 xyxy in canvas
        pixels, ``scores`` (K,) float32 in [0, 1], ``labels`` (K,) int64.
    """
    heatmap = outputs["heatmap"].float()
    classes, rows, columns = heatmap.shape[1:]
    count = min(top_k, classes * rows * columns)
    eager_cpu = heatmap.device.type == "cpu" and not torch.compiler.is_compiling()
    find_peaks = _peaks_by_row if eager_cpu else _peaks_everywhere
    logits, index = find_peaks(heatmap, count)

    label = torch.div(index, rows * columns, rounding_mode="floor")
    cell = index % (rows * columns)
    boxes = boxes_at(cell, columns, outputs) * stride
    return [
        {"boxes": b, "scores": s, "labels": c}
        for b, s, c in zip(boxes, logits.sigmoid(), label, strict=True)
    ]


def boxes_at(cell: Tensor, columns: int, outputs: Mapping[str, Tensor]) -> Tensor:
    """The boxes that are read at cells, whether or not these are peaks.

    Args:
        cell: (B, K), counted row by row.
        columns: of the maps.
        outputs: as for :func:`decode`.

    Returns:
        (B, K, 4) float32 xyxy in cells.
    """
    corner = torch.stack([cell % columns, torch.div(cell, columns, rounding_mode="floor")], -1)
    if "sides" in outputs:
        before, after = _read(outputs["sides"], cell).split(2, -1)
        return torch.cat([corner + 0.5 - before, corner + 0.5 + after], -1)
    center = corner + (_read(outputs["offset"], cell) if "offset" in outputs else 0.5)
    half = _read(outputs["size"], cell) / 2
    return torch.cat([center - half, center + half], -1)


def _read(values: Tensor, cell: Tensor) -> Tensor:
    """Values (B, n, h, w) at cells (B, K), as (B, K, n) float32."""
    index = cell[:, None].expand(-1, values.shape[1], -1)
    return values.flatten(2).gather(2, index).transpose(1, 2).float()


def peaks_above(heatmap: Tensor, floor: float) -> tuple[Tensor, Tensor]:
    """All peaks of one image's heatmap that are at least ``floor``, as :func:`decode` finds them.

    Peaks are found among logits: probabilities near 1 would be equal where logits differ.

    Args:
        heatmap: (C, h, w) logits.
        floor: least logit.

    Returns:
        Logits (K,), best first, and the indices (K,) of their cells in the flat heatmap.
    """
    values, index = _candidates(heatmap.float(), floor)
    kept = (values >= floor) & (values > -torch.inf)
    values, order = values[kept].sort(descending=True, stable=True)
    return values, index[kept][order]


def _peaks_everywhere(heatmap: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Logits (-inf where there are too few) and flat indices (B, K) of the best peaks."""
    peak = heatmap == F.max_pool2d(heatmap, 3, stride=1, padding=1)
    return heatmap.masked_fill(~peak, -torch.inf).flatten(1).topk(count)


def _peaks_by_row(heatmap: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The same peaks, from the few rows that can hold one of the best.

    A row whose maximum is no smaller than its neighbor rows' surely holds a peak of that value. So
    the K-th largest such maximum is a lower bound of the K-th best peak.
    """
    found = [_peaks_of_image(image, count) for image in heatmap]
    return torch.stack([f[0] for f in found]), torch.stack([f[1] for f in found])


def _peaks_of_image(heatmap: Tensor, count: int) -> tuple[Tensor, Tensor]:
    highest = heatmap.amax(2)
    padded = F.pad(highest, (1, 1), value=-torch.inf)
    sure = (highest >= padded[:, :-2]) & (highest >= padded[:, 2:])
    bounds = highest[sure]
    bound = bounds.topk(count).values[-1].item() if len(bounds) >= count else -torch.inf
    values, index = _candidates(heatmap, bound)
    values, order = values.topk(count)
    return values, index[order]


def _candidates(heatmap: Tensor, bound: float) -> tuple[Tensor, Tensor]:
    """The cells of all rows of (C, h, w) logits that reach ``bound``.

    Returns:
        Their logits, -inf where a neighbor is larger, and their indices in the flat heatmap.
    """
    _, rows, columns = heatmap.shape
    # Not ">=": rows of NaN shall be searched rather than lost.
    plane, row = (~(heatmap.amax(2) < bound)).nonzero(as_tuple=True)
    center = heatmap[plane, row]
    around = center
    for step in (-1, 1):
        neighbor = heatmap[plane, (row + step).clamp(0, rows - 1)]
        around = torch.maximum(around, neighbor)
    padded = F.pad(around, (1, 1), value=-torch.inf)
    around = torch.maximum(torch.maximum(padded[:, :-2], padded[:, 2:]), around)
    values = center.masked_fill(center < around, -torch.inf)
    cell = (plane * rows + row)[:, None] * columns + torch.arange(columns, device=row.device)
    return values.flatten(), cell.flatten()
