"""The heads of the paper (heatmap, size, offset), and sides, another way to predict boxes."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from centernet.heads.base import Cells, Head, LossContext, register
from centernet.losses.boxes import box_samples, distances_to_sides, giou_loss_at_cells
from centernet.targets import Targets

# logit(0.1), the value of the release. The idea is from "Focal Loss for Dense Object Detection"
# (Lin et al., 2017), which starts at 0.01.
_INITIAL_LOGIT = -2.19
_INITIAL_DISTANCE = 2.0  # cells from the middle of a cell to each side of its box
_MAX_LOG_DISTANCE = 7.0  # exp(7) = 1097 cells, 4387 pixels at stride 4; float16 holds exp(11)


@register
class Heatmap(Head):
    """Logits of a peak at every object's center, one channel per class (Eq. 1)."""

    name = "heatmap"
    channels = None
    loss_options = frozenset({"heatmap_loss", "heatmap_loss_options"})
    is_dense = True

    def init(self, layers: nn.Sequential) -> None:
        """Start with probability 0.1 in all cells, so that the many negatives do not dominate."""
        _set_bias(layers, _INITIAL_LOGIT)

    def encode(self, targets: Targets) -> Tensor:
        """The target heatmap."""
        return targets.heatmap

    def loss(self, output: Tensor, targets: Targets, context: LossContext) -> Tensor:
        """The chosen heatmap loss."""
        return context.heatmap_loss(
            output, targets.heatmap, targets.mask, normalizer=context.num_positives
        )

    def flip(self, output: Tensor, mirrored: Tensor) -> Tensor:
        """The logit of the mean probability."""
        # The release averages probabilities, not logits. In float32: half precision rounds
        # probabilities near 1 to 1.
        return ((output.float().sigmoid() + mirrored.float().sigmoid()) / 2).logit()

    def truth(self, target: Tensor, shift: Tensor | None = None) -> Tensor:
        """Logits of the target: infinity at the centers, minus infinity outside all Gaussians."""
        logits = torch.full_like(target, -torch.inf)
        # Most cells are far from all objects, and the logarithm is slow.
        near = target > 0
        logits[near] = target[near].logit()
        return logits


@register
class Size(Head):
    """Width and height of the box, in cells (Eq. 3)."""

    name = "size"
    channels = 2
    loss_weight = 0.1
    needs_boxes = True

    def encode(self, targets: Targets) -> Tensor:
        """The sizes of the boxes."""
        return targets.size

    def decode(self, outputs: Mapping[str, Tensor], cells: Cells) -> dict[str, Tensor]:
        """Boxes (B, K, 4) around the offset, or around the middle of the cell without one."""
        has_offset = Offset.name in outputs
        center = cells.corner + (cells.read(outputs[Offset.name]) if has_offset else 0.5)
        half = cells.read(outputs[self.name]) / 2
        return {"boxes": torch.cat([center - half, center + half], -1) * cells.stride}


@register
class Offset(Head):
    """Position of the center in its cell, x and y in [0, 1) (Eq. 2); :class:`Size` decodes it."""

    name = "offset"
    channels = 2

    def encode(self, targets: Targets) -> Tensor:
        """The offsets of the centers."""
        return targets.offset

    def flip(self, output: Tensor, mirrored: Tensor) -> Tensor:
        """The output for the original image without its mirror image, as in the release."""
        return output

    def truth(self, target: Tensor, shift: Tensor | None = None) -> Tensor:
        """The point of the cell that is nearest to the center: an offset stays in its cell.

        The release copies the offset of the center, which in a neighboring cell is wrong by a cell.
        """
        return target if shift is None else (target - shift).clamp(0, 1)


@register
class Sides(Head):
    """Distances from the middle of a cell to the box's left, top, right and bottom side, in cells.

    As in "FCOS" (Tian et al., 2019). Trained with generalized IoU, at several cells per object.
    """

    name = "sides"
    channels = 4
    loss_weight = 2.0
    loss_options = frozenset({"box_cells"})
    needs_boxes = True

    def init(self, layers: nn.Sequential) -> None:
        """Start with boxes of 4 x 4 cells; an exponential makes all distances positive."""
        _set_bias(layers, math.log(_INITIAL_DISTANCE))
        layers.append(Exp())

    def encode(self, targets: Targets) -> Tensor:
        """The distances from the middles of the centers' cells."""
        return distances_to_sides(targets.size, targets.offset - 0.5)

    def loss(self, output: Tensor, targets: Targets, context: LossContext) -> Tensor:
        """Generalized IoU at the cells that learn a box."""
        samples = box_samples(targets, context.box_cells)
        return giou_loss_at_cells(output, samples, normalizer=context.num_boxes)

    def decode(self, outputs: Mapping[str, Tensor], cells: Cells) -> dict[str, Tensor]:
        """Boxes (B, K, 4)."""
        middle = cells.corner + 0.5
        left_top, right_bottom = cells.read(outputs[self.name]).split(2, -1)
        return {"boxes": torch.cat([middle - left_top, middle + right_bottom], -1) * cells.stride}

    def flip(self, output: Tensor, mirrored: Tensor) -> Tensor:
        """The mean, with left and right of the mirrored output swapped."""
        return super().flip(output, mirrored[:, [2, 1, 0, 3]])

    def truth(self, target: Tensor, shift: Tensor | None = None) -> Tensor:
        """The distances from the shifted cell to the same box; 0 instead of negative ones."""
        return target if shift is None else (target + torch.cat([shift, -shift], -1)).clamp(min=0)


class Exp(nn.Module):
    """Exponential: maps any number to a positive distance."""

    def forward(self, x: Tensor) -> Tensor:
        """Compute distances of at most 1097 cells."""
        return x.clamp(max=_MAX_LOG_DISTANCE).exp()


def _set_bias(layers: nn.Sequential, value: float) -> None:
    """Set the bias of the last convolution to a value."""
    bias = layers[-1].bias
    assert isinstance(bias, nn.Parameter)
    nn.init.constant_(bias, value)
