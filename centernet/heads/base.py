"""What a head is, and the registry of heads."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import torch
from torch import Tensor, nn

from centernet.losses.boxes import l1_at_centers
from centernet.targets import Targets


@dataclass(frozen=True)
class Cells:
    """The cells at which the outputs of a batch are read, K of each image.

    Attributes:
        index: (B, K) int64, y * w + x.
        columns: w, the width of the maps.
        stride: network input pixels per cell.
    """

    index: Tensor
    columns: int
    stride: int

    @property
    def corner(self) -> Tensor:
        """(B, K, 2) x and y of the upper left corners, in cells."""
        y = torch.div(self.index, self.columns, rounding_mode="floor")
        return torch.stack([self.index - y * self.columns, y], -1)

    def read(self, output: Tensor) -> Tensor:
        """Read an output (B, c, h, w) at the cells, as (B, K, c) float32."""
        index = self.index[:, None].expand(-1, output.shape[1], -1)
        return output.flatten(2).gather(2, index).transpose(1, 2).float()


@dataclass(frozen=True)
class LossContext:
    """What the losses of all heads share for one batch.

    Attributes:
        num_peaks: scalar, cells of the target heatmap that are 1; at least 1. Under several
            processes the average over them.
        num_objects: scalar, objects; at least 1, and averaged likewise.
        heatmap_loss: called with logits, heatmap, mask or None, and the keyword ``normalizer``.
        box_cells: which cells learn a box, see :func:`centernet.losses.box_samples`.
    """

    num_peaks: Tensor
    num_objects: Tensor
    heatmap_loss: Callable[..., Tensor]
    box_cells: str


class Head(ABC):
    """One output of the network, (B, c, h, w).

    The defaults are those of a head that learns c numbers per object by L1 at the object's center,
    and whose numbers do not change when the image is mirrored.

    Attributes:
        name: key of the output, of its loss term, and in a checkpoint's architecture.
        channels: their number c; None for one per class.
        loss_weight: default weight of its loss term.
        loss_options: the options of :class:`centernet.losses.CenterNetLoss` that it uses.
        is_dense: whether its target is a map instead of c numbers per object.
    """

    name: ClassVar[str]
    channels: ClassVar[int | None]
    loss_weight: ClassVar[float] = 1.0
    loss_options: ClassVar[frozenset[str]] = frozenset()
    is_dense: ClassVar[bool] = False

    def num_channels(self, num_classes: int) -> int:
        """The number of channels c."""
        return num_classes if self.channels is None else self.channels

    def init(self, layers: nn.Sequential) -> nn.Sequential:
        """Initialize its layers, which end in a 1x1 convolution, or append an activation."""
        return layers

    @abstractmethod
    def encode(self, targets: Targets) -> Tensor:
        """What it should predict at the cell of each object's center, (N, c).

        Of a dense head, the target map (B, c, h, w).
        """

    def loss(self, output: Tensor, targets: Targets, context: LossContext) -> Tensor:
        """Its loss term, a scalar without its weight."""
        return l1_at_centers(
            output,
            self.encode(targets),
            targets.batch_index,
            targets.cell_index,
            normalizer=context.num_objects,
        )

    def decode(self, outputs: Mapping[str, Tensor], cells: Cells) -> dict[str, Tensor]:
        """The fields (B, K, ...) that it adds to the detections at some cells.

        Lengths are in pixels of the network input. Of several heads that add the same field, the
        one registered last decides.
        """
        return {}

    def flip(self, output: Tensor, mirrored: Tensor) -> Tensor:
        """Combine the output for an image and the one for the mirrored image.

        Args:
            output: (B, c, h, w).
            mirrored: the other one, its columns already in the order of ``output``.

        Returns:
            By default their mean, in float32.
        """
        return (output.float() + mirrored.float()) / 2

    def truth(self, values: Tensor, away: Tensor | None = None) -> Tensor:
        """The output of a perfect network, for the oracle analysis.

        Args:
            values: (..., c) what :meth:`encode` returned for an object.
            away: (..., 2) x and y, in cells, from the object's center cell to the cell that is
                read; None for the center cell itself, and for a dense head.

        Returns:
            (..., c); by default the same in all cells.
        """
        return values


HEADS: dict[str, Head] = {}

HeadClass = TypeVar("HeadClass", bound=type[Head])


def register(head: HeadClass) -> HeadClass:
    """Make a head known by its name, so that checkpoints can refer to it. A class decorator.

    Raises:
        ValueError: the name is no identifier, or another head has it.
    """
    if not head.name.isidentifier() or head.name in HEADS:
        raise ValueError(f"the name of a head must be a new identifier, got {head.name!r}")
    HEADS[head.name] = head()
    return head
