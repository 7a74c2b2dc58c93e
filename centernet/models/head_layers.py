"""The layers of the heads: two convolutions at stride 4, and optional ones at coarser strides."""

from collections.abc import Mapping, Sequence
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from centernet.heads import Head

_COARSE_STRIDES = 3  # 8, 16 and 32


class HeadLayers(nn.Sequential):
    """Layers of one head: 3x3 convolution, optional batch norm, ReLU, 1x1 convolution.

    The head may append an activation.

    Attributes:
        last_convolution: index of the 1x1 convolution.
    """

    def __init__(
        self, head: Head, in_channels: int, hidden: int, num_classes: int, norm: bool
    ) -> None:
        """Build and initialize the layers.

        Args:
            head: initializes the last layers.
            in_channels: channels of the map.
            hidden: channels between the convolutions.
            num_classes: number of classes of the network.
            norm: use batch norm.
        """
        super().__init__(
            nn.Conv2d(in_channels, hidden, 3, padding=1, bias=not norm),
            *([nn.BatchNorm2d(hidden)] if norm else []),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, head.num_channels(num_classes), 1),
        )
        self.last_convolution = len(self) - 1
        head.init(self)

    def forward(self, x: Tensor, coarse: Tensor | None = None) -> Tensor:
        """Predict a map.

        Args:
            x: (B, in_channels, h, w).
            coarse: (B, c, h, w), added before the activation.

        Returns:
            (B, c, h, w), c as the head has channels.
        """
        for index, layer in enumerate(self):
            x = layer(x)
            if index == self.last_convolution and coarse is not None:
                x = x + coarse
        return x


def make_head_layers(
    heads: Mapping[str, Head], in_channels: int, hidden: int, num_classes: int, norm: bool
) -> nn.ModuleDict:
    """The layers of every head by name; arguments as for :class:`HeadLayers`."""
    return nn.ModuleDict(
        {
            name: HeadLayers(head, in_channels, hidden, num_classes, norm)
            for name, head in heads.items()
        }
    )


class CoarseHeads(nn.ModuleDict):
    """Predictions of all heads from the pyramid's maps of strides 8, 16 and 32.

    One 1x1 convolution per head and stride; the results are enlarged to stride 4 and summed. The
    sum is added to the prediction of :class:`HeadLayers`, which then only has to correct it. The
    class and the size of a large object come from maps where a cell sees it in full, by a short
    path; small objects are left to stride 4.
    """

    def __init__(self, heads: Mapping[str, Head], in_channels: int, num_classes: int) -> None:
        """Build one convolution per head and stride.

        Args:
            heads: the heads by name.
            in_channels: channels of every map.
            num_classes: number of classes of the network.
        """
        super().__init__(
            {
                name: nn.ModuleList(
                    nn.Conv2d(in_channels, head.num_channels(num_classes), 1, bias=False)
                    for _ in range(_COARSE_STRIDES)
                )
                for name, head in heads.items()
            }
        )
        # Predictions for small objects would first have to correct those of random weights.
        for weight in self.parameters():
            nn.init.zeros_(weight)

    def forward(self, maps: Sequence[Tensor], size: Sequence[int]) -> dict[str, Tensor]:
        """The sum over the strides, by head.

        Args:
            maps: (B, in_channels, ., .) of strides 8, 16 and 32.
            size: (h, w) of the result.

        Returns:
            (B, c, h, w) by name of the head, c as the head has channels.
        """
        sums = {}
        for name, convolutions in self.items():
            assert isinstance(convolutions, nn.ModuleList)
            # Interpolated, so that sides change smoothly within a coarse cell.
            enlarged = [
                F.interpolate(convolution(coarse), size=tuple(size), mode="bilinear")
                for convolution, coarse in zip(convolutions, maps, strict=True)
            ]
            sums[name] = reduce(torch.add, enlarged)
        return sums
