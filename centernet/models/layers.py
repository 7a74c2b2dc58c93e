"""Layers that several networks share: convolutions, deformable convolution, upsampling."""

import math
from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import deform_conv2d


class DeformConv(nn.Module):
    """Modulated deformable 3x3 convolution ("Deformable ConvNets v2", Zhu et al., 2019).

    An inner convolution predicts, for every position, 18 offsets (y and x of the nine taps) and 9
    modulation weights. It is initialized with zeros, so the layer initially computes half a plain
    convolution. It computes in float32 under autocast, because the offsets need the precision.

    Attributes:
        sampled: whether ``grid_sample`` computes it instead of ``deform_conv2d``; None takes the
            faster one on the device.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        """Build a layer with stride 1, padding 1 and bias."""
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        bound = 1 / math.sqrt(9 * in_channels)
        nn.init.uniform_(self.weight, -bound, bound)
        self.offset_mask = nn.Conv2d(in_channels, 27, 3, padding=1)
        self.sampled: bool | None = None
        for parameter in self.offset_mask.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, h, w) to (B, out_channels, h, w), float32 or float64."""
        if torch.is_autocast_enabled(x.device.type):
            with torch.autocast(x.device.type, enabled=False):
                return self.forward(x)
        x = x if x.dtype == torch.float64 else x.float()
        offset, mask = self.offset_mask(x).split([18, 9], 1)
        mask = mask.sigmoid()
        sampled = self.sampled
        if sampled is None:
            sampled = not (x.is_cuda or torch.compiler.is_compiling())
        if sampled:
            return _deform_by_sampling(x, offset, mask, self.weight, self.bias)
        return deform_conv2d(x, offset, self.weight, self.bias, padding=1, mask=mask)


def _deform_by_sampling(
    x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor
) -> Tensor:
    """Compute ``torchvision.ops.deform_conv2d``, several times as fast on the CPU.

    Sampling is linear, so the weights of a tap can be applied first: one 1x1 convolution computes
    nine maps, one per tap, and ``grid_sample`` reads each at its offsets. Values outside the map
    are 0 in both forms.

    Args:
        x: (B, in_channels, h, w).
        offset: (B, 18, h, w), y and x of the nine taps in pixels.
        mask: (B, 9, h, w), modulation weights.
        weight: (out_channels, in_channels, 3, 3).
        bias: (out_channels,).
    """
    (batch, _, rows, columns), width = x.shape, len(weight)
    taps = weight.permute(2, 3, 0, 1).reshape(9 * width, -1, 1, 1)
    maps = F.conv2d(x.contiguous(), taps).view(batch * 9, width, rows, columns)
    tap = torch.arange(9, device=x.device).view(9, 1, 1)
    y, x = offset.reshape(batch, 9, 2, rows, columns).unbind(2)
    y = y + torch.arange(rows, device=x.device)[:, None] + tap // 3 - 1
    x = x + torch.arange(columns, device=x.device) + tap % 3 - 1
    # grid_sample expects coordinates that are -1 and 1 at the borders of the map.
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
    """Make convolution, batch norm and ReLU.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: side of the kernel; the padding keeps the size at stride 1.
        stride: stride of the convolution.
        deformable: use a :class:`DeformConv`, which is always 3x3 with stride 1.
    """
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
    """Make a learned upsampling of each channel, initialized to bilinear interpolation."""
    size = 2 * factor
    up = nn.ConvTranspose2d(
        channels, channels, size, stride=factor, padding=factor // 2, groups=channels, bias=False
    )
    with torch.no_grad():
        up.weight.copy_(bilinear_kernel(size))
    return up


def bilinear_kernel(size: int) -> Tensor:
    """Return the kernel (size, size) of a transposed convolution that upsamples by size / 2."""
    ramp = 1 - (2 * torch.arange(size) + 1 - size).abs() / size
    return ramp[:, None] * ramp
