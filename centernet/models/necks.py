"""Necks: upsample the backbone's features to the stride of the heads.

The constructor of a neck takes the channels of the backbone's features by stride and three widths.
Its ``forward`` takes the list of feature maps by ascending stride and returns one map
(B, ``out_channels``, h, w) of stride 4.
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
    """Three transposed convolutions that each double the resolution.

    "Simple Baselines for Human Pose Estimation and Tracking" (Xiao et al., 2018). The widths of the
    original release are (256, 256, 256) for its ``res_*`` networks and (256, 128, 64) for
    ``resdcn_*``, which have a deformable convolution before each transposed one.
    """

    def __init__(
        self, in_channels: Mapping[int, int], widths: Sequence[int], *, deformable: bool = False
    ) -> None:
        """Build the neck.

        Args:
            in_channels: channels of the backbone's features by stride.
            widths: output channels of each step, from stride 32 to 4.
            deformable: apply a deformable convolution before each step.
        """
        channels = [in_channels[max(in_channels)], *widths]
        super().__init__(
            *(_doubling(before, width, deformable) for before, width in pairwise(channels))
        )
        self.out_channels = widths[-1]

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Upsample the coarsest feature map; the others are not used."""
        return super().forward(features[-1])


def _doubling(in_channels: int, width: int, deformable: bool) -> nn.Sequential:
    """One step of the neck: it doubles the resolution."""
    layers: dict[str, nn.Module] = {}
    if deformable:
        layers["conv"] = conv_norm_relu(in_channels, width, deformable=True)
    up = nn.ConvTranspose2d(
        width if deformable else in_channels, width, 4, stride=2, padding=1, bias=False
    )
    if deformable:
        # As in the original, each channel initially adds its own bilinear upsampling to the random
        # mixture of all channels.
        with torch.no_grad():
            up.weight[range(width), range(width)] = bilinear_kernel(4)
    layers |= {"up": up, "norm": nn.BatchNorm2d(width), "relu": nn.ReLU(inplace=True)}
    return nn.Sequential(OrderedDict(layers))


class FPNNeck(nn.Module):
    """A light feature pyramid; its output is the finest map.

    "Feature Pyramid Networks" (Lin et al., 2017). Unlike :class:`DeconvNeck` it uses the backbone's
    fine features, so it learns small objects and precise positions in fewer steps.
    """

    def __init__(
        self, in_channels: Mapping[int, int], widths: Sequence[int], *, deformable: bool = False
    ) -> None:
        """Build the neck.

        Args:
            in_channels: channels of the backbone's features by stride, with 4, 8, 16 and 32.
            widths: the last one is the number of channels at every stride.
            deformable: use deformable 3x3 convolutions.

        Raises:
            InputError: the backbone lacks one of these strides.
        """
        super().__init__()
        width = self.out_channels = widths[-1]
        used = _channels_from_stride_4(in_channels)
        self.lateral = nn.ModuleList(conv_norm_relu(channels, width, 1) for channels in used)
        self.smooth = nn.ModuleList(
            conv_norm_relu(width, width, deformable=deformable) for _ in used
        )

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """The finest map of :meth:`pyramid`."""
        return self.pyramid(features)[0]

    def pyramid(self, features: Sequence[Tensor]) -> list[Tensor]:
        """The maps of strides 4, 8, 16 and 32, all with ``out_channels`` channels.

        Features are added from the coarsest to the finest.
        """
        *finer, coarsest = [
            lateral(feature)
            for feature, lateral in zip(features[-len(self.lateral) :], self.lateral, strict=True)
        ]
        *smooth, smooth_coarsest = self.smooth
        maps = [smooth_coarsest(coarsest)]
        for side, refine in zip(reversed(finer), reversed(smooth), strict=True):
            maps.append(refine(side + F.interpolate(maps[-1], size=side.shape[-2:])))
        return maps[::-1]


class DLANeck(nn.Module):
    """Iterative deep aggregation in two rounds, as in the original DLA-34.

    "Deep Layer Aggregation" (Yu et al., 2018). The first round aggregates, at each stride from
    coarse to fine, the features of all coarser strides. The second round aggregates the results of
    strides 4, 8 and 16 into the output.
    """

    def __init__(
        self, in_channels: Mapping[int, int], widths: Sequence[int], *, deformable: bool = False
    ) -> None:
        """Build the neck.

        Args:
            in_channels: channels of the backbone's features by stride, with 4, 8, 16 and 32.
            widths: channels at strides 16, 8 and 4; those of DLA-34 are (256, 128, 64).
            deformable: use deformable 3x3 convolutions.

        Raises:
            InputError: the backbone lacks one of these strides.
        """
        super().__init__()
        *finer, coarsest = _channels_from_stride_4(in_channels)
        self.out_channels = widths[-1]
        # Features that already have the width need no convolution.
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
        """Apply both rounds of aggregation."""
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
    """Adds coarser maps, one after the other, to a fine map."""

    def __init__(
        self, in_channels: Sequence[int], width: int, factors: Sequence[int], deformable: bool
    ) -> None:
        """Take the channels and the downsampling factor of each coarser map."""
        super().__init__()
        self.project = nn.ModuleList(
            conv_norm_relu(channels, width, deformable=deformable) for channels in in_channels
        )
        self.up = nn.ModuleList(bilinear_up(width, factor) for factor in factors)
        self.node = nn.ModuleList(
            conv_norm_relu(width, width, deformable=deformable) for _ in in_channels
        )

    def forward(self, fine: Tensor, coarser: Sequence[Tensor]) -> list[Tensor]:
        """Return the fine map after each addition."""
        states = [fine]
        for x, project, up, node in zip(coarser, self.project, self.up, self.node, strict=True):
            states.append(node(up(project(x)) + states[-1]))
        return states[1:]


def _channels_from_stride_4(in_channels: Mapping[int, int]) -> list[int]:
    """Channels at strides 4, 8, 16 and 32."""
    if not {4, 8, 16, 32} <= in_channels.keys():
        raise InputError(
            f"the backbone has features at strides {sorted(in_channels)}, and this neck needs "
            "4, 8, 16 and 32: use the neck deconv"
        )
    return [channels for stride, channels in sorted(in_channels.items()) if stride >= 4]


NECKS: dict[str, type[DeconvNeck | DLANeck | FPNNeck]] = {
    "deconv": DeconvNeck,
    "dla": DLANeck,
    "fpn": FPNNeck,
}
