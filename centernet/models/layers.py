"""Building blocks that several networks share: convolutions, plain and deformable, up-sampling."""

import math
from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import deform_conv2d


class DeformConv(nn.Module):
    """A 3x3 convolution that learns where to look, and how much each of its nine taps counts.

    Modulated deformable convolution ("Deformable ConvNets v2", Zhu et al., 2019). An inner
    convolution predicts for every place 18 offsets (y and x of the nine taps) and 9 weights; it
    starts at zero, so the module starts as half a plain convolution on a regular grid. Computed in
    float32 also under autocast, for the offsets need the precision.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        """A layer of stride 1 and padding 1, with bias."""
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        bound = 1 / math.sqrt(9 * in_channels)
        nn.init.uniform_(self.weight, -bound, bound)
        self.offset_mask = nn.Conv2d(in_channels, 27, 3, padding=1)
        nn.init.zeros_(self.offset_mask.weight)
        nn.init.zeros_(self.offset_mask.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, h, w) to (B, out_channels, h, w), float32 or float64."""
        with torch.autocast(x.device.type, enabled=False):
            x = x if x.dtype == torch.float64 else x.float()
            offset, mask = self.offset_mask(x).split([18, 9], 1)
            mask = mask.sigmoid()
            if x.is_cuda or torch.compiler.is_compiling():
                return deform_conv2d(x, offset, self.weight, self.bias, padding=1, mask=mask)
            return _deform_by_sampling(x, offset, mask, self.weight, self.bias)


def _deform_by_sampling(
    x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor
) -> Tensor:
    """What ``deform_conv2d`` computes, several times faster where that has no good kernel.

    A tap's weights may be applied before its values are looked up, for looking up is linear: so one
    1x1 convolution makes nine maps, one per tap, and each is sampled where its offsets say. Beyond
    the border there are zeros either way.
    """
    (batch, _, rows, columns), width = x.shape, len(weight)
    taps = weight.permute(2, 3, 0, 1).reshape(9 * width, -1, 1, 1)
    maps = F.conv2d(x.contiguous(), taps).view(batch * 9, width, rows, columns)
    tap = torch.arange(9, device=x.device).view(9, 1, 1)
    y, x = offset.reshape(batch, 9, 2, rows, columns).unbind(2)
    y = y + torch.arange(rows, device=x.device)[:, None] + tap // 3 - 1
    x = x + torch.arange(columns, device=x.device) + tap % 3 - 1
    # To where grid_sample wants them: the image's borders at -1 and 1.
    grid = torch.stack([(2 * x + 1) / columns - 1, (2 * y + 1) / rows - 1], -1)
    found = F.grid_sample(maps, grid.view(-1, rows, columns, 2), align_corners=False)
    found = found.view(batch, 9, width, rows, columns)
    return (found * mask[:, :, None]).sum(1) + bias[:, None, None]


def conv_norm_relu(
    in_channels: int,
    out_channels: int,
    kernel_size: int = 3,
    *,
    stride: int = 1,
    deformable: bool = False,
) -> nn.Sequential:
    """Convolution, batch norm, ReLU; a deformable convolution is always 3x3 with stride 1."""
    conv = (
        DeformConv(in_channels, out_channels)
        if deformable
        else nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=False
        )
    )
    return nn.Sequential(
        OrderedDict(conv=conv, norm=nn.BatchNorm2d(out_channels), relu=nn.ReLU(inplace=True))
    )


def bilinear_up(channels: int, factor: int) -> nn.ConvTranspose2d:
    """Up-sampling of each channel by itself, at first bilinear, learned from there."""
    size = 2 * factor
    up = nn.ConvTranspose2d(
        channels, channels, size, stride=factor, padding=factor // 2, groups=channels, bias=False
    )
    with torch.no_grad():
        up.weight.copy_(bilinear_kernel(size))
    return up


def bilinear_kernel(size: int) -> Tensor:
    """The (size, size) kernel by which a transposed convolution of stride size / 2 interpolates."""
    ramp = 1 - (2 * torch.arange(size) + 1 - size).abs() / size
    return ramp[:, None] * ramp
