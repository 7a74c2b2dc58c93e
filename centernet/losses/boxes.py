"""What the boxes cost: L1 at the centres, or generalised IoU at some cells of every object."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import generalized_box_iou_loss

from centernet.losses.inputs import to_float
from centernet.targets import Targets

BOX_CELLS = ("gaussian", "center")

# Cells: a box smaller than a cell may lie beside the middle of its cell, where distances to its
# sides would be negative.
_LEAST_DISTANCE = 0.01


def l1_at_centers(
    prediction: Tensor,
    target: Tensor,
    batch_index: Tensor,
    cell_index: Tensor,
    *,
    normalizer: Tensor | float | None = None,
) -> Tensor:
    """Mean absolute error of a map, read only at the objects' centre cells.

    The sum is divided by 2 max(1, N): the paper's Eq. 2 and 3 divide by N, the released code, whose
    weights 0.1 and 1 are used here, by N times the two numbers of an object.

    Args:
        prediction: (B, 2, h, w).
        target: (N, 2).
        batch_index: (N,) image of each object.
        cell_index: (N,) y * w + x of its cell.
        normalizer: used for N instead of the number of objects.

    Returns:
        A scalar, float64 for float64 predictions and float32 for all others.
    """
    found = to_float(prediction.flatten(2)[batch_index, :, cell_index])
    count = max(1, len(target)) if normalizer is None else normalizer
    return (found - target).abs().sum() / (2 * count)


@dataclass(frozen=True)
class BoxSamples:
    """Cells that learn a box. M of them.

    Attributes:
        batch_index: (M,) image of each.
        cell_index: (M,) y * w + x.
        sides: (M, 4) distances in cells from its middle to the box's left, top, right and bottom.
        weight: (M,) how much it counts; of an object together 1.
    """

    batch_index: Tensor
    cell_index: Tensor
    sides: Tensor
    weight: Tensor


def box_samples(targets: Targets, cells: str = "gaussian") -> BoxSamples:
    """Choose the cells that learn the objects' boxes.

    Args:
        targets: of a batch.
        cells: ``center``, an object's centre cell, or ``gaussian``, the cells whose middle is in
            its box and where no other object's Gaussian is larger, each weighed by the Gaussian as
            in "Training-Time-Friendly Network" (Liu et al., 2020). A centre cell always counts.
    """
    cells_of_image = targets.heatmap[0, 0].numel()
    if cells == "center":
        owner = torch.arange(len(targets.label), device=targets.label.device)
        cell, weight = targets.cell_index, torch.ones_like(targets.offset[:, 0])
        return BoxSamples(targets.batch_index, cell, _sides(targets, owner, cell), weight)
    owner, value = targets.gaussian_object, targets.gaussian_value
    cell, batch_index = targets.written % cells_of_image, targets.batch_index[owner]
    sides = _sides(targets, owner, cell)
    largest = targets.heatmap.amax(1).flatten(1)[batch_index, cell]
    taken = (value == 1) | ((value == largest) & (sides > _LEAST_DISTANCE).all(1))
    owner, weight = owner[taken], value[taken]
    total = torch.zeros_like(targets.offset[:, 0]).index_add_(0, owner, weight)
    return BoxSamples(batch_index[taken], cell[taken], sides[taken], weight / total[owner])


def _sides(targets: Targets, owner: Tensor, cell: Tensor) -> Tensor:
    """From the middles of cells (M,) to the sides of their owners' boxes, as (M, 4)."""
    columns = targets.heatmap.shape[-1]

    def place(index: Tensor) -> Tensor:
        return torch.stack([index % columns, torch.div(index, columns, rounding_mode="floor")], 1)

    center = (place(targets.cell_index) + targets.offset)[owner] - (place(cell) + 0.5)
    half = targets.size[owner] / 2
    return torch.cat([half - center, half + center], 1).clamp(min=_LEAST_DISTANCE)


def giou_loss_at_cells(
    prediction: Tensor, samples: BoxSamples, *, normalizer: Tensor | float
) -> Tensor:
    """Generalised IoU loss ("Generalized Intersection over Union", Rezatofighi et al., 2019).

    Args:
        prediction: (B, 4, h, w) distances in cells to left, top, right and bottom, positive.
        samples: where they are read, and what they should be.
        normalizer: what the weighted sum of 1 - GIoU is divided by: the number of objects.

    Returns:
        A scalar, float64 for float64 predictions and float32 for all others.
    """
    found = to_float(prediction.flatten(2)[samples.batch_index, :, samples.cell_index])
    outwards = found.new_tensor([-1, -1, 1, 1])
    loss = generalized_box_iou_loss(found * outwards, samples.sides.to(found) * outwards)
    return (loss * samples.weight).sum() / normalizer
