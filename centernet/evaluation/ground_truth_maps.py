"""Ground truth in the form of network outputs, for the oracle analysis.

Ground truth exists only at the cells of the objects' centers. If several centers are in one cell,
the largest object is used. Every other cell uses the object with the nearest center, relative to
that cell (see :meth:`centernet.heads.Head.truth`), as in the error analysis of "Objects as Points"
(Zhou et al., 2019).

B images, N objects, h x w cells, c channels of a head.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from centernet.heads import HEADS, Head
from centernet.targets import Targets

# Objects whose distances to all cells are in memory at the same time.
_CHUNK = 32


def ground_truth_outputs(outputs: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
    """The ground truth of every output of a registered head.

    Args:
        outputs: outputs of a network for a batch. Images without objects keep them, except for the
            heatmap.
        targets: the encoded objects of the batch.
    """
    return {
        name: dense_map(HEADS[name], targets)
        if HEADS[name].is_dense
        else nearest_center_map(HEADS[name], targets, predicted)
        for name, predicted in outputs.items()
        if name in HEADS
    }


def center_outputs(heads: Iterable[Head], targets: Targets) -> dict[str, Tensor]:
    """The ground truth of heads at the cells of centers only, which is sufficient for decoding."""
    return {
        head.name: dense_map(head, targets)
        if head.is_dense
        else scatter_to_centers(head.encode(targets), targets)
        for head in heads
    }


def dense_map(head: Head, targets: Targets) -> Tensor:
    """The ground truth (B, c, h, w) of a dense head, such as the heatmap's logits."""
    return head.truth(head.encode(targets))


def nearest_center_map(head: Head, targets: Targets, predicted: Tensor) -> Tensor:
    """The ground truth of a head as a map: each cell uses the object with the nearest center.

    If two centers are equally near, the larger object is used.

    Args:
        head: a head that is not dense.
        targets: the encoded objects of the batch.
        predicted: (B, c, h, w), kept in images without objects.

    Returns:
        (B, c, h, w).
    """
    values = head.encode(targets)  # (N, c)
    maps = predicted.to(values.dtype, copy=True)
    rows, columns = predicted.shape[-2:]
    kept = largest_in_cell(targets)
    for image in targets.batch_index.unique().tolist():
        own = kept[targets.batch_index[kept] == image]
        nearest, away = _nearest(targets.cell_index[own], rows, columns)
        there = values[own][nearest]  # (h, w, c)
        is_center = (away == 0).all(-1, keepdim=True)
        seen = torch.where(is_center, head.truth(there), head.truth(there, away.to(values.dtype)))
        maps[image] = seen.permute(2, 0, 1)
    return maps


def scatter_to_centers(values: Tensor, targets: Targets) -> Tensor:
    """Values (N, c) of the objects as a map (B, c, h, w), zero in all cells without a center."""
    batch, _, rows, columns = targets.heatmap.shape
    kept = largest_in_cell(targets)
    maps = values.new_zeros(batch, rows * columns, values.shape[1])
    maps[targets.batch_index[kept], targets.cell_index[kept]] = values[kept]
    return maps.transpose(1, 2).unflatten(2, (rows, columns))


def largest_in_cell(targets: Targets) -> Tensor:
    """Indices of the largest object of each cell that contains centers, largest first."""
    rows, columns = targets.heatmap.shape[-2:]
    cell = (targets.batch_index * rows * columns + targets.cell_index).cpu().numpy()
    order = np.argsort(-targets.size.prod(1).cpu().numpy(), kind="stable")
    _, first = np.unique(cell[order], return_index=True)
    return torch.from_numpy(order[np.sort(first)]).to(targets.size.device)


def drop_zero_scores(results: Sequence[Mapping[str, Tensor]]) -> list[dict[str, Tensor]]:
    """Remove detections of score 0, which decoding adds to return top K detections.

    In a ground truth heatmap they are cells without an object.
    """
    return [
        {name: values[result["scores"] > 0] for name, values in result.items()}
        for result in results
    ]


def _nearest(cells: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """For every cell of a grid, find the nearest of ``cells`` (n,), given as y * w + x.

    Returns:
        (h, w) positions in ``cells``, and (h, w, 2) x and y from the nearest to the cell.
    """
    cell_y, cell_x = torch.div(cells, columns, rounding_mode="floor"), cells % columns
    y, x = (torch.arange(n, device=cells.device) for n in (rows, columns))
    # Squared distance and, in the lower digits, the position in the list: no two are equal.
    best = torch.full((rows, columns), torch.iinfo(torch.long).max, device=cells.device)
    for start in range(0, len(cells), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        dy, dx = y[:, None] - cell_y[chunk], x[:, None] - cell_x[chunk]
        position = torch.arange(len(cells), device=cells.device)[chunk]
        distance = (dy[:, None] ** 2 + dx[None] ** 2) * len(cells) + position  # (h, w, chunk)
        best = torch.minimum(best, distance.amin(2))
    nearest = best % len(cells)
    away = torch.stack([x - cell_x[nearest], y[:, None] - cell_y[nearest]], -1)
    return nearest, away
