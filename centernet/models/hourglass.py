"""Hourglass-104, the one backbone of the original that timm does not have.

"Stacked Hourglass Networks" (Newell et al., 2016) as CornerNet has it (Law and Deng, 2018): no
pooling, residual blocks, five levels, two stacks. Each stack goes down to stride 128 and comes back
up to stride 4, so it needs no neck.
"""

from collections import OrderedDict
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from centernet.models.layers import conv_norm_relu

# From stride 4 down to stride 128: channels, and residual blocks on the way.
_WIDTHS = (256, 256, 384, 384, 384, 512)
_BLOCKS = (2, 2, 2, 2, 2, 4)
_STACKS = 2


class Hourglass(nn.Module):
    """From an image to one map of stride 4 per stack, the last the best.

    Attributes:
        out_channels: of every map.
        size_multiple: image height and width must be multiples of this.
    """

    out_channels = _WIDTHS[0]
    size_multiple = 128

    def __init__(self) -> None:
        """Make both stacks."""
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
        """Normalised images (B, 3, H, W) to maps (B, out_channels, H / 4, W / 4)."""
        x = self.stem(images)
        maps = []
        for i, (stack, output) in enumerate(zip(self.stacks, self.outputs, strict=True)):
            maps.append(output(stack(x)))
            if i < len(self.keep):
                x = self.join[i](F.relu(self.keep[i](x) + self.feed[i](maps[-1])))
        return maps


class _Level(nn.Module):
    """Down by two, through all coarser levels, up again, and joined with what stayed here."""

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
    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        self.first = conv_norm_relu(in_channels, out_channels, stride=stride)
        self.second = _conv_norm(out_channels, out_channels, 3)
        same = stride == 1 and in_channels == out_channels
        self.skip = nn.Identity() if same else _conv_norm(in_channels, out_channels, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(self.first(x)) + self.skip(x))


def _residuals(channels: list[int], *, stride: int = 1) -> nn.Sequential:
    """A block from each number of channels to the next; the first has the stride."""
    return nn.Sequential(
        *(
            _Residual(before, after, stride=1 if i else stride)
            for i, (before, after) in enumerate(pairwise(channels))
        )
    )


def _conv_norm(
    in_channels: int, out_channels: int, kernel_size: int = 1, *, stride: int = 1
) -> nn.Sequential:
    conv = nn.Conv2d(
        in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=False
    )
    return nn.Sequential(OrderedDict(conv=conv, norm=nn.BatchNorm2d(out_channels)))
