"""Losses of the boxes: L1 at the centers, or generalized IoU at several cells of every object.

B images, N objects, M cells that learn a box, h x w cells per image.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from centernet.losses.inputs import to_float
from centernet.targets import Targets

BOX_CELLS = ("gaussian", "center")
DEFAULT_BOX_CELLS = "gaussian"

# Cells. A box smaller than a cell may lie beside the middle of its cell, where the distance to one
# of its sides would be negative.
_MIN_DISTANCE = 0.01


def l1_at_centers(
    prediction: Tensor,
    target: Tensor,
    batch_index: Tensor,
    cell_index: Tensor,
    *,
    normalizer: Tensor | float | None = None,
) -> Tensor:
    """Mean absolute error of a map, read only at the cells of the objects' centers.

    The sum is divided by c max(1, N), as in the released code, whose weights 0.1 and 1 are the
    defaults here. The paper's Eq. 2 and 3 divide by N.

    Args:
        prediction: (B, c, h, w).
        target: (N, c).
        batch_index: (N,) image of each object.
        cell_index: (N,) y * w + x of its cell.
        normalizer: replaces max(1, N).

    Returns:
        A scalar, float64 for float64 predictions and float32 for all others.
    """
    found = to_float(prediction.flatten(2)[batch_index, :, cell_index])  # (N, c)
    count = max(1, len(target)) if normalizer is None else normalizer
    return (found - target).abs().sum() / (prediction.shape[1] * count)


@dataclass(frozen=True)
class BoxSamples:
    """The cells that are trained to predict a box.

    Attributes:
        batch_index: (M,) image of each cell.
        cell_index: (M,) y * w + x.
        sides: (M, 4) distances in cells from the middle of the cell to the box's left, top, right
            and bottom side, at least 0.01.
        weight: (M,) weight of the cell; those of one object sum to 1.
    """

    batch_index: Tensor
    cell_index: Tensor
    sides: Tensor
    weight: Tensor


def box_samples(targets: Targets, cells: str = DEFAULT_BOX_CELLS) -> BoxSamples:
    """Choose the cells that learn the objects' boxes; points have none.

    Args:
        targets: targets of a batch.
        cells: ``center`` for the cell of each object's center, or ``gaussian`` for the cells whose
            middle is inside the box and where no Gaussian of another object is larger, weighted by
            the Gaussian as in "Training-Time-Friendly Network" (Liu et al., 2020). The cell of the
            center is always one of them.
    """
    if cells == "center":
        owner = torch.arange(len(targets.label), device=targets.label.device)[targets.box_index]
        cell = targets.cell_index[owner]
        sides = _sides(targets, owner, cell).clamp(min=_MIN_DISTANCE)
        weight = torch.ones_like(sides[:, 0])
        return BoxSamples(targets.batch_index[owner], cell, sides, weight)
    owner, value = targets.gaussian_object, targets.gaussian_value
    batch_index = targets.batch_index[owner]
    cell = targets.gaussian_cell % targets.heatmap[0, 0].numel()
    sides = _sides(targets, owner, cell)
    largest = targets.heatmap.amax(1).flatten(1)[batch_index, cell]  # over the classes
    is_inside = (sides > _MIN_DISTANCE).all(1)
    chosen = (value == 1) | ((value == largest) & is_inside)
    if targets.is_point is not None:
        chosen &= ~targets.is_point[owner]
    owner, weight = owner[chosen], value[chosen]
    total = torch.zeros_like(targets.offset[:, 0]).index_add_(0, owner, weight)  # (N,)
    sides = sides[chosen].clamp(min=_MIN_DISTANCE)
    return BoxSamples(batch_index[chosen], cell[chosen], sides, weight / total[owner])


def distances_to_sides(size: Tensor, center: Tensor) -> Tensor:
    """Distances (N, 4) from a point to the left, top, right and bottom side of boxes.

    Args:
        size: (N, 2) width and height.
        center: (N, 2) x and y of the box's center, relative to the point.
    """
    half = size / 2
    return torch.cat([half - center, half + center], 1)


def giou_loss_at_cells(
    prediction: Tensor, samples: BoxSamples, *, normalizer: Tensor | float
) -> Tensor:
    """Generalized IoU loss ("Generalized Intersection over Union", Rezatofighi et al., 2019).

    Args:
        prediction: (B, 4, h, w) positive distances in cells to the left, top, right and bottom.
        samples: the cells that are read, and their targets.
        normalizer: number of objects, by which the weighted sum of 1 - GIoU is divided.

    Returns:
        A scalar, float64 for float64 predictions and float32 for all others.
    """
    # Here, because torchvision takes seconds to import and detection does not need it.
    from torchvision.ops import generalized_box_iou_loss

    found = to_float(prediction.flatten(2)[samples.batch_index, :, samples.cell_index])  # (M, 4)
    outwards = found.new_tensor([-1, -1, 1, 1])  # distances to xyxy around the cell's middle
    loss = generalized_box_iou_loss(found * outwards, samples.sides.to(found) * outwards)
    return (loss * samples.weight).sum() / normalizer


def _sides(targets: Targets, owner: Tensor, cell: Tensor) -> Tensor:
    """Distances (M, 4) from the middles of cells (M,) to the sides of the boxes of objects (M,)."""
    columns = targets.heatmap.shape[-1]

    def corner(index: Tensor) -> Tensor:
        """(M, 2) x and y of the upper left corners of cells, in cells."""
        return torch.stack([index % columns, torch.div(index, columns, rounding_mode="floor")], 1)

    center = (corner(targets.cell_index) + targets.offset)[owner] - (corner(cell) + 0.5)
    return distances_to_sides(targets.size[owner], center)
