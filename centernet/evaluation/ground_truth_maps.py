"""What a network without fault would say: the ground truth in the place of its outputs.

The truth of size and offset is known at the cells of objects' centres alone. Of several objects in
one cell only the largest's values fit in. Every other cell goes by the nearest centre, as in the
error analysis of "Objects as Points" (Zhou et al., 2019). The released code copies the nearest
centre's offset too, which is wrong by a cell in the cell beside; here it is what is right there.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from centernet.targets import Targets

# Objects whose distances to all cells are held at a time.
_TOGETHER = 32


def ideal_heatmap(targets: Targets) -> Tensor:
    """Logits (B, C, h, w) of the heatmap: infinite at the centres, minus infinity far from any."""
    logits = torch.full_like(targets.heatmap, -torch.inf)
    # Most cells are far from any object, and the logarithm of nothing takes its time.
    near = targets.heatmap > 0
    logits[near] = targets.heatmap[near].logit()
    return logits


def truth(name: str, targets: Targets) -> Tensor | None:
    """What an output should be at the cells of the N centres, (N, c); None for an unknown output.

    Sides are the distances from the cell's middle to the box's left, top, right and bottom.
    """
    if name == "sides":
        half, center = targets.size / 2, targets.offset - 0.5
        return torch.cat([half - center, half + center], 1)
    return getattr(targets, name) if name in ("size", "offset") else None


def at_centers(values: Tensor, targets: Targets) -> Tensor:
    """Values (N, c) of the objects as a map (B, c, h, w) that is zero but at their centres."""
    batch, _, rows, columns = targets.heatmap.shape
    kept = largest_in_cell(targets)
    maps = values.new_zeros(batch, rows * columns, values.shape[1])
    maps[targets.batch_index[kept], targets.cell_index[kept]] = values[kept]
    return maps.transpose(1, 2).unflatten(2, (rows, columns))


def spread(name: str, targets: Targets, predicted: Tensor) -> Tensor:
    """The ground truth of an output as a map (B, c, h, w): in each cell that of the nearest centre.

    A size is the same wherever it is read. An offset is the point of the cell that is nearest to
    the centre, for an offset does not leave its cell. Sides are the distances to the same box. Of
    two centres as near, it is the larger object's; an image without objects keeps what was
    ``predicted``.

    Args:
        name: of the output.
        targets: the ground truth.
        predicted: (B, c, h, w), what the network said.
    """
    values = truth(name, targets)
    maps = predicted.to(values.dtype, copy=True)
    kept = largest_in_cell(targets)
    for image in targets.batch_index.unique().tolist():
        own = kept[targets.batch_index[kept] == image]
        nearest, away = _nearest(targets.cell_index[own], tuple(maps.shape[-2:]))
        there = values[own][nearest]
        maps[image] = _seen_from(name, there, away.to(values.dtype)).permute(2, 0, 1)
    return maps


def _seen_from(name: str, values: Tensor, away: Tensor) -> Tensor:
    """Values (h, w, c) of an output as they are ``away`` (h, w, 2) cells, x and y, from home."""
    if name == "offset":
        moved = (values - away).clamp(0, 1)
    elif name == "sides":  # to left, top, right, bottom
        moved = (values + torch.cat([away, -away], -1)).clamp(min=0)
    else:
        return values
    # At the centre itself nothing is cut.
    return torch.where((away == 0).all(-1, keepdim=True), values, moved)


def largest_in_cell(targets: Targets) -> Tensor:
    """Indices of the objects whose values their cell holds, of each image the largest first."""
    rows, columns = targets.heatmap.shape[-2:]
    place = (targets.batch_index * rows * columns + targets.cell_index).cpu().numpy()
    order = np.argsort(-targets.size.prod(1).cpu().numpy(), kind="stable")
    _, first = np.unique(place[order], return_index=True)
    return torch.from_numpy(order[np.sort(first)]).to(targets.size.device)


def replaced(
    outputs: Mapping[str, Tensor], targets: Targets, names: Sequence[str]
) -> dict[str, Tensor]:
    """The ground truth of each of the outputs named; what is no heatmap goes by the nearest centre.

    Args:
        outputs: of a network for a batch.
        targets: what they should be.
        names: of the outputs.
    """
    return {
        name: ideal_heatmap(targets) if name == "heatmap" else spread(name, targets, outputs[name])
        for name in names
    }


def drop_zero_scores(results: Sequence[Mapping[str, Tensor]]) -> list[dict[str, Tensor]]:
    """Decoded detections less those of score 0, with which decoding fills up to its top K.

    Of a true heatmap they are cells that hold no object, and so no detections.
    """
    return [
        {name: values[result["scores"] > 0] for name, values in result.items()}
        for result in results
    ]


def _nearest(cells: Tensor, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """For every cell of a grid, which of ``cells`` (n,), y * w + x, is nearest, and how far away.

    Returns:
        Positions (h, w) in ``cells``, and (h, w, 2) how many cells further right and down it is.
    """
    columns = shape[1]
    rows = torch.div(cells, columns, rounding_mode="floor")
    y, x = (torch.arange(n, device=cells.device) for n in shape)
    # Squared distance and, behind it, the position in the list: no two are equal.
    best = torch.full(shape, torch.iinfo(torch.long).max, device=cells.device)
    for start in range(0, len(cells), _TOGETHER):
        some = slice(start, start + _TOGETHER)
        dy, dx = y[:, None] - rows[some], x[:, None] - cells[some] % columns
        position = torch.arange(len(cells), device=cells.device)[some]
        distance = (dy[:, None] ** 2 + dx[None] ** 2) * len(cells) + position
        best = torch.minimum(best, distance.amin(2))
    nearest = best % len(cells)
    away = torch.stack([x - cells[nearest] % columns, y[:, None] - rows[nearest]], -1)
    return nearest, away
