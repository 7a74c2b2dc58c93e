"""Hourglass-104, the only backbone of the original release that timm does not have.

"Stacked Hourglass Networks" (Newell et al., 2016) in the form of "CornerNet" (Law and Deng, 2018):
no pooling, residual blocks, five levels, two stacks. Each stack downsamples to stride 128 and
upsamples to stride 4, so it needs no neck.

:mod:`centernet.models.official` lists the names of these modules in released checkpoints.
"""

from collections import OrderedDict
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from centernet.models.layers import conv_norm_relu

# Channels and number of residual blocks at strides 4, 8, 16, 32, 64 and 128.
_WIDTHS = (256, 256, 384, 384, 384, 512)
_BLOCKS = (2, 2, 2, 2, 2, 4)
_STACKS = 2


class Hourglass(nn.Module):
    """Two stacked hourglasses; each returns a map of stride 4, the last one the final features.

    Attributes:
        out_channels: channels of every map.
        size_multiple: height and width of the input must be multiples of this.
    """

    out_channels = _WIDTHS[0]
    size_multiple = 128

    def __init__(self) -> None:
        """Build both stacks."""
        super().__init__()
        width = self.out_channels
        self.stem = nn.Sequential(
            conv_norm_relu(3, 128, 7, stride=2), _Residual(128, width, stride=2)
        )
        self.stacks = nn.ModuleList(_Level(_WIDTHS, _BLOCKS) for _ in range(_STACKS))
        self.outputs = nn.ModuleList(conv_norm_relu(width, width) for _ in range(_STACKS))
        between = range(_STACKS - 1)
        self.keep = nn.ModuleList(_conv_norm(width, width) for _ in between)
        self.feed = nn.ModuleList(_conv_norm(width, width) for _ in between)
        self.join = nn.ModuleList(_Residual(width, width) for _ in between)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return a map (B, out_channels, H / 4, W / 4) per stack for images (B, 3, H, W)."""
        x = self.stem(images)
        maps = []
        for i, (stack, output) in enumerate(zip(self.stacks, self.outputs, strict=True)):
            maps.append(output(stack(x)))
            if i < len(self.keep):
                x = self.join[i](F.relu(self.keep[i](x) + self.feed[i](maps[-1])))
        return maps


class _Level(nn.Module):
    """One level: downsample by 2, apply the coarser levels, upsample, add the side branch."""

    def __init__(self, widths: tuple[int, ...], blocks: tuple[int, ...]) -> None:
        super().__init__()
        (width, below, *_), (count, count_below, *_) = widths, blocks
        self.side = _residuals([width] * (count + 1))
        self.down = _residuals([width] + [below] * count, stride=2)
        self.inner = (
            _Level(widths[1:], blocks[1:])
            if len(widths) > 2
            else _residuals([below] * (count_below + 1))
        )
        self.up = _residuals([below] * count + [width])

    def forward(self, x: Tensor) -> Tensor:
        up = self.up(self.inner(self.down(x)))
        return self.side(x) + F.interpolate(up, scale_factor=2)


class _Residual(nn.Module):
    """Two 3x3 convolutions and a skip connection."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        self.first = conv_norm_relu(in_channels, out_channels, stride=stride)
        self.second = _conv_norm(out_channels, out_channels, 3)
        same = stride == 1 and in_channels == out_channels
        self.skip = nn.Identity() if same else _conv_norm(in_channels, out_channels, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(self.first(x)) + self.skip(x))


def _residuals(channels: list[int], *, stride: int = 1) -> nn.Sequential:
    """Make a block from each number of channels to the next; the first has the stride."""
    return nn.Sequential(
        *(
            _Residual(before, after, stride=1 if i else stride)
            for i, (before, after) in enumerate(pairwise(channels))
        )
    )


def _conv_norm(
    in_channels: int, out_channels: int, kernel_size: int = 1, *, stride: int = 1
) -> nn.Sequential:
    """Convolution and batch norm, without activation."""
    conv = nn.Conv2d(
        in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=False
    )
    return nn.Sequential(OrderedDict(conv=conv, norm=nn.BatchNorm2d(out_channels)))
