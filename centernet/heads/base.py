"""Base class and registry of the heads."""

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
    """The cells at which outputs (B, c, h, w) are read, K per image.

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
        # Not index % columns, which torch.onnx cannot export for dynamic sizes.
        y = torch.div(self.index, self.columns, rounding_mode="floor")
        return torch.stack([self.index - y * self.columns, y], -1)

    def read(self, output: Tensor) -> Tensor:
        """Read an output (B, c, h, w) at the cells, as (B, K, c) float32."""
        index = self.index[:, None].expand(-1, output.shape[1], -1)
        return output.flatten(2).gather(2, index).transpose(1, 2).float()


@dataclass(frozen=True)
class LossContext:
    """Inputs that the losses of all heads share for one batch.

    Attributes:
        num_positives: scalar, number of cells of the target heatmap that are 1, at least 1; the
            average over the processes if there are several.
        num_objects: scalar, number of objects, likewise. Two objects of a class in one cell are one
            positive.
        num_boxes: scalar, number of objects that are not points, likewise.
        heatmap_loss: called with logits, heatmap, mask or None, and the keyword ``normalizer``.
        box_cells: which cells learn a box, see :func:`centernet.losses.box_samples`.
    """

    num_positives: Tensor
    num_objects: Tensor
    num_boxes: Tensor
    heatmap_loss: Callable[..., Tensor]
    box_cells: str


class Head(ABC):
    """One output of the network, (B, c, h, w).

    The default methods suit a head that predicts c numbers per object, learns them by L1 at the
    object's center, and whose numbers stay the same when the image is mirrored.

    Attributes:
        name: key of the output and of the loss term, and the head's name in checkpoints.
        channels: number of channels c; None for one channel per class.
        loss_weight: default weight of the loss term.
        loss_options: the options of :class:`centernet.losses.CenterNetLoss` that the head uses.
        is_dense: whether the target is a map instead of c numbers per object.
        needs_boxes: whether points, whose size is not known, have no target.
    """

    name: ClassVar[str]
    channels: ClassVar[int | None]
    loss_weight: ClassVar[float] = 1.0
    loss_options: ClassVar[frozenset[str]] = frozenset()
    is_dense: ClassVar[bool] = False
    needs_boxes: ClassVar[bool] = False

    def num_channels(self, num_classes: int) -> int:
        """The number of channels c in a network for ``num_classes`` classes."""
        return num_classes if self.channels is None else self.channels

    def init(self, layers: nn.Sequential) -> None:  # noqa: B027 - optional
        """Initialize the layers, which end in a 1x1 convolution; may append an activation."""

    @abstractmethod
    def encode(self, targets: Targets) -> Tensor:
        """The values (N, c) to predict at the cells of the objects' centers.

        A dense head returns its target map (B, c, h, w) instead.
        """

    def loss(self, output: Tensor, targets: Targets, context: LossContext) -> Tensor:
        """The loss term, a scalar, before it is weighted."""
        own = targets.box_index if self.needs_boxes else slice(None)
        return l1_at_centers(
            output,
            self.encode(targets)[own],
            targets.batch_index[own],
            targets.cell_index[own],
            normalizer=context.num_boxes if self.needs_boxes else context.num_objects,
        )

    def decode(self, outputs: Mapping[str, Tensor], cells: Cells) -> dict[str, Tensor]:
        """The fields (B, K, ...) that the head adds to the detections at the given cells.

        Lengths are in pixels of the network input. If several heads return the same field, that of
        the last registered one is used.
        """
        return {}

    def flip(self, output: Tensor, mirrored: Tensor) -> Tensor:
        """Combine the output for an image and the one for the mirrored image.

        Args:
            output: (B, c, h, w).
            mirrored: (B, c, h, w), its columns already reversed to the order of ``output``.

        Returns:
            By default their mean, in float32.
        """
        return (output.float() + mirrored.float()) / 2

    def truth(self, target: Tensor, shift: Tensor | None = None) -> Tensor:
        """The output of a perfect network, for the oracle analysis.

        Args:
            target: (..., c) from :meth:`encode`, one object per row.
            shift: (..., 2) x and y in cells: the cell at which the output is read minus the cell of
                the object's center; None for the cell of the center, and for a dense head.

        Returns:
            (..., c); by default ``target``, which is correct in all cells.
        """
        return target


HEADS: dict[str, Head] = {}

HeadClass = TypeVar("HeadClass", bound=type[Head])


def register(head: HeadClass) -> HeadClass:
    """Add a head to the registry, so that networks and checkpoints can name it: a class decorator.

    Raises:
        ValueError: the name is not an identifier, or is already registered.
    """
    if not head.name.isidentifier() or head.name in HEADS:
        raise ValueError(f"the name of a head must be a new identifier, got {head.name!r}")
    HEADS[head.name] = head()
    return head
