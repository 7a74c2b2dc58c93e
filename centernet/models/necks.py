"""Between backbone and heads: from the backbone's features back up to the stride of the maps.

A neck is made from the backbone's channels by stride and three widths, and turns the list of
feature maps, by ascending stride, into one map (B, ``out_channels``, h, w) of stride 4.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from centernet.errors import InputError
from centernet.models.layers import bilinear_kernel, bilinear_up, conv_norm_relu


class DeconvNeck(nn.Sequential):
    """Transposed convolutions, each doubling the resolution (Xiao et al., 2018).

    The original's widths are (256, 256, 256) for its plain networks ``res_*`` and (256, 128, 64)
    for ``resdcn_*``, which have a deformable convolution before each doubling.
    """

    def __init__(
        self, in_channels: Mapping[int, int], widths: Sequence[int], *, deformable: bool = False
    ) -> None:
        """One doubling per width, from stride 32 to 4; ``in_channels`` by stride."""
        channels = [in_channels[max(in_channels)], *widths]
        super().__init__(
            *(_doubling(before, width, deformable) for before, width in pairwise(channels))
        )
        self.out_channels = widths[-1]

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Up from the coarsest feature map alone."""
        return super().forward(features[-1])


def _doubling(in_channels: int, width: int, deformable: bool) -> nn.Sequential:
    layers: dict[str, nn.Module] = {}
    if deformable:
        layers["conv"] = conv_norm_relu(in_channels, width, deformable=True)
    up = nn.ConvTranspose2d(
        width if deformable else in_channels, width, 4, stride=2, padding=1, bias=False
    )
    if deformable:
        # Each channel starts as its own bilinear up-sampling, beside the usual random mixing.
        with torch.no_grad():
            up.weight[range(width), range(width)] = bilinear_kernel(4)
    layers |= {"up": up, "norm": nn.BatchNorm2d(width), "relu": nn.ReLU(inplace=True)}
    return nn.Sequential(OrderedDict(layers))


class FPNNeck(nn.Module):
    """A light feature pyramid: the features of every stride, from coarse to fine, summed up.

    After "Feature Pyramid Networks" (Lin et al., 2017), with the finest map alone as output. Unlike
    transposed convolutions it sees the backbone's fine features, so it learns small objects and
    exact places in fewer steps.
    """

    def __init__(
        self, in_channels: Mapping[int, int], widths: Sequence[int], *, deformable: bool = False
    ) -> None:
        """The last of ``widths`` at every stride from 4 up; ``in_channels`` by stride."""
        super().__init__()
        width = self.out_channels = widths[-1]
        used = _channels_from_stride_4(in_channels)
        self.lateral = nn.ModuleList(conv_norm_relu(channels, width, 1) for channels in used)
        self.smooth = nn.ModuleList(
            conv_norm_relu(width, width, deformable=deformable) for _ in used
        )

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Down from the coarsest feature map, taking in a finer one at each step."""
        *finer, coarsest = [
            lateral(feature)
            for feature, lateral in zip(features[-len(self.lateral) :], self.lateral, strict=True)
        ]
        *smooth, smooth_coarsest = self.smooth
        x = smooth_coarsest(coarsest)
        for side, refine in zip(reversed(finer), reversed(smooth), strict=True):
            x = refine(side + F.interpolate(x, size=side.shape[-2:]))
        return x


class DLANeck(nn.Module):
    """Iterative deep aggregation, twice over, as the original's DLA-34 has it.

    "Deep Layer Aggregation" (Yu et al., 2018): from coarse to fine, the features of each stride
    take in all that lies above them; the results of strides 4, 8 and 16 are then aggregated once
    more into the output.
    """

    def __init__(
        self, in_channels: Mapping[int, int], widths: Sequence[int], *, deformable: bool = False
    ) -> None:
        """``widths`` at strides 16, 8 and 4: those of DLA-34 itself are (256, 128, 64)."""
        super().__init__()
        *finer, coarsest = _channels_from_stride_4(in_channels)
        self.out_channels = widths[-1]
        # The backbone's features as they are, where they have the width already.
        self.lateral = nn.ModuleList(
            nn.Identity() if channels == width else conv_norm_relu(channels, width, 1)
            for channels, width in zip(finer, reversed(widths), strict=True)
        )
        self.steps = nn.ModuleList()
        above = [coarsest]
        for width in widths:
            factors = [2] * len(above)
            self.steps.append(_Aggregation(above, width, factors, deformable))
            above = [width] * (len(above) + 1)
        self.merge = _Aggregation(widths[-2::-1], widths[-1], (2, 4), deformable)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Aggregate from coarse to fine, then the results from fine to coarse."""
        *finer, coarsest = features[-1 - len(self.lateral) :]
        finer = [lateral(feature) for lateral, feature in zip(self.lateral, finer, strict=True)]
        results, above = [], [coarsest]
        for own, step in zip(reversed(finer), self.steps, strict=True):
            aggregated = step(own, above)
            results.append(aggregated[-1])
            above = [own, *aggregated]
        finest, *coarser = reversed(results)
        return self.merge(finest, coarser)[-1]


class _Aggregation(nn.Module):
    """Takes coarser maps, one after the other, into a fine one."""

    def __init__(
        self, in_channels: Sequence[int], width: int, factors: Sequence[int], deformable: bool
    ) -> None:
        """Of coarser maps: their channels, and by what factor each is coarser."""
        super().__init__()
        self.project = nn.ModuleList(
            conv_norm_relu(channels, width, deformable=deformable) for channels in in_channels
        )
        self.up = nn.ModuleList(bilinear_up(width, factor) for factor in factors)
        self.node = nn.ModuleList(
            conv_norm_relu(width, width, deformable=deformable) for _ in in_channels
        )

    def forward(self, fine: Tensor, coarser: Sequence[Tensor]) -> list[Tensor]:
        """The state after each coarser map was taken in."""
        states = [fine]
        for x, project, up, node in zip(coarser, self.project, self.up, self.node, strict=True):
            states.append(node(up(project(x)) + states[-1]))
        return states[1:]


def _channels_from_stride_4(in_channels: Mapping[int, int]) -> list[int]:
    if not {4, 8, 16, 32} <= in_channels.keys():
        raise InputError(
            f"this backbone has features at strides {sorted(in_channels)}, not at 4, 8, 16 and 32: "
            "choose the neck deconv"
        )
    return [channels for stride, channels in sorted(in_channels.items()) if stride >= 4]


NECKS: dict[str, type[DeconvNeck | DLANeck | FPNNeck]] = {
    "deconv": DeconvNeck,
    "dla": DLANeck,
    "fpn": FPNNeck,
}
