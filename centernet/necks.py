"""Between backbone and heads: from stride-32 features back up to the stride of the maps."""

from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from centernet.errors import InputError


class DeconvNeck(nn.Sequential):
    """Transposed convolutions, each doubling the resolution (Xiao et al., 2018).

    The original's widths are (256, 256, 256); the project's default (256, 128, 64) halves the cost
    of the whole detector.
    """

    def __init__(self, in_channels: Mapping[int, int], widths: Sequence[int]) -> None:
        """One doubling per width, from stride 32 to 4; ``in_channels`` by stride."""
        if len(widths) != 3:
            raise InputError(f"neck_channels must be 3 widths (stride 32 to 4), got {list(widths)}")
        channels = in_channels[max(in_channels)]
        layers: list[nn.Module] = []
        for width in widths:
            up = nn.ConvTranspose2d(channels, width, 4, stride=2, padding=1, bias=False)
            layers += [up, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            channels = width
        super().__init__(*layers)
        self.out_channels = channels

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """From the backbone's feature maps, the last of which is used, to one map."""
        return super().forward(features[-1])


class FPNNeck(nn.Module):
    """A light feature pyramid: the features of every stride, from coarse to fine, summed up.

    After "Feature Pyramid Networks" (Lin et al., 2017), with the finest map alone as output. Unlike
    transposed convolutions it sees the backbone's fine features, so it learns small objects and
    exact places in fewer steps.
    """

    def __init__(self, in_channels: Mapping[int, int], widths: Sequence[int]) -> None:
        """The last of ``widths`` at every stride from 4 up; ``in_channels`` by stride."""
        super().__init__()
        if 4 not in in_channels:
            raise InputError("this backbone has no features at stride 4: choose the neck deconv")
        self.out_channels = widths[-1]
        used = [channels for stride, channels in sorted(in_channels.items()) if stride >= 4]
        self.lateral = nn.ModuleList(_conv(channels, self.out_channels, 1) for channels in used)
        self.smooth = nn.ModuleList(_conv(self.out_channels, self.out_channels, 3) for _ in used)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """From the backbone's feature maps by ascending stride to (B, out_channels, h, w)."""
        *finer, coarsest = [
            lateral(feature)
            for feature, lateral in zip(features[-len(self.lateral) :], self.lateral, strict=True)
        ]
        *smooth, smooth_coarsest = self.smooth
        x = smooth_coarsest(coarsest)
        for side, refine in zip(reversed(finer), reversed(smooth), strict=True):
            x = refine(side + F.interpolate(x, size=side.shape[-2:]))
        return x


def _conv(in_channels: int, out_channels: int, kernel_size: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


NECKS = {"deconv": DeconvNeck, "fpn": FPNNeck}
