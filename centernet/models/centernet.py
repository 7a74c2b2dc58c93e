"""The network: backbone, neck, heads."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Literal

from torch import Tensor, nn

from centernet.decode import DEFAULT_TOP_K, decode
from centernet.errors import InputError
from centernet.models.backbones import channels_by_stride, make_backbone
from centernet.models.base import DetectionModel
from centernet.models.hourglass import Hourglass
from centernet.models.necks import NECKS
from centernet.targets import Targets, encode_targets

# The heads that say what a box is, with their channels.
BOX_HEADS = {"size": {"size": 2, "offset": 2}, "sides": {"sides": 4}}


class CenterNet(DetectionModel):
    """From an image to dense maps: where objects are, how large, where in its cell the centre.

    "Objects as Points" (Zhou et al., 2019).

    Labels are the channels of the heatmap. Images are multiples of 32 pixels, for the hourglass of
    128.
    """

    has_heatmaps = True

    def __init__(
        self,
        num_classes: int,
        backbone: str = "resnet18",
        *,
        neck: str = "deconv",
        neck_channels: Sequence[int] = (256, 128, 64),
        deformable: bool = False,
        head_channels: int = 64,
        head_norm: bool = False,
        box_head: str = "size",
        pretrained: bool | Literal["auto"] = False,
        heads: Mapping[str, int] | None = None,
    ) -> None:
        """Build the network.

        Args:
            num_classes: number of classes, the channels of the heatmap.
            backbone: any timm model that offers features at stride 32 and takes images of any size,
                as ``resnet18`` or ``mobilenetv4_conv_small``; or ``hourglass104``, which has no use
                for a neck.
            neck: ``deconv``, the paper's for ResNets; ``dla``, the paper's for DLA-34; or ``fpn``,
                which learns fastest; see :mod:`centernet.models.necks`.
            neck_channels: widths of the neck's three steps; the original's ``res_*`` networks have
                (256, 256, 256). A pyramid has the last one throughout.
            deformable: deformable convolutions in the neck, as in the original's ``resdcn_*`` and
                ``dla_34``; slow on a CPU.
            head_channels: width of the hidden layer of each head.
            head_norm: batch norm in the heads' hidden layer; the paper has none.
            box_head: how a box is predicted: ``size``, the paper's, its size and where in its cell
                the centre lies; or ``sides``, the distances from the middle of the cell to the four
                sides, as in "FCOS" (Tian et al., 2019), which any cell of an object can learn.
            pretrained: start from timm's ImageNet weights (fetched on first use); ``auto`` for only
                where they can be fetched.
            heads: channels of further heads by name, or of the standard ones instead of ``heatmap``
                C, and ``size`` 2 and ``offset`` 2 or ``sides`` 4.

        Raises:
            InputError: the backbone is unknown or lacks the features that the neck needs, the neck
                is unknown, or there are not three widths.
        """
        super().__init__(num_classes)
        if neck not in NECKS:
            raise InputError(f"unknown neck {neck!r}: choose {' or '.join(NECKS)}")
        if box_head not in BOX_HEADS:
            raise InputError(f"unknown box_head {box_head!r}: choose {' or '.join(BOX_HEADS)}")
        if len(neck_channels) != 3:
            raise InputError(
                f"neck_channels must be 3 widths (stride 32 to 4), got {list(neck_channels)}"
            )
        if min(*neck_channels, head_channels) < 1:
            raise InputError(
                f"widths must be at least 1, got neck_channels {list(neck_channels)} and "
                f"head_channels {head_channels}"
            )
        self.architecture = {
            "num_classes": num_classes,
            "backbone": backbone,
            "neck": neck,
            "neck_channels": list(neck_channels),
            "deformable": deformable,
            "head_channels": head_channels,
            "head_norm": head_norm,
            "box_head": box_head,
        } | ({"heads": dict(heads)} if heads else {})
        self.backbone = make_backbone(backbone, pretrained)
        if isinstance(self.backbone, Hourglass):
            self.neck, self.size_multiple = None, self.backbone.size_multiple
            width, stacks = self.backbone.out_channels, len(self.backbone.stacks)
        else:
            channels = channels_by_stride(self.backbone)
            self.neck = NECKS[neck](channels, neck_channels, deformable=deformable)
            width, stacks = self.neck.out_channels, 1
        counts = {"heatmap": num_classes} | BOX_HEADS[box_head] | dict(heads or {})
        self.heads = _heads(width, head_channels, counts, head_norm)
        # Of all stacks but the last; they only make the earlier stacks learn.
        self.earlier_heads = nn.ModuleList(
            _heads(width, head_channels, counts, head_norm) for _ in range(stacks - 1)
        )

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Predict the maps. h = H / 4, w = W / 4.

        Args:
            images: (B, 3, H, W) RGB, uint8, or float where 0 is black and 1 is white. H and W are
                multiples of ``size_multiple``.

        Returns:
            ``heatmap`` (B, C, h, w) logits; ``size`` (B, 2, h, w) width and height in cells and
            ``offset`` (B, 2, h, w) x and y of the centre in its cell, or instead of both ``sides``
            (B, 4, h, w), the distances in cells from the middle of the cell to the left, top, right
            and bottom side; and any further head.

        Raises:
            ValueError: H or W is no such multiple.
        """
        x = self.features(images)[-1]
        return {name: head(x) for name, head in self.heads.items()}

    def forward_stacks(self, images: Tensor) -> list[dict[str, Tensor]]:
        """What the loss sees: the maps of every stack of the network, the prediction last."""
        return [
            {name: head(x) for name, head in heads.items()}
            for x, heads in zip(
                self.features(images), [*self.earlier_heads, self.heads], strict=True
            )
        ]

    def features(self, images: Tensor) -> list[Tensor]:
        """What the heads see: of every stack a map (B, channels, h, w)."""
        features = self.backbone(self.normalize(images))
        return [self.neck(features)] if self.neck else features

    def encode(
        self,
        targets: Sequence[Mapping],
        outputs: Mapping[str, Tensor],
        *,
        out: Targets | None = None,
    ) -> Targets:
        """What these outputs should be; see :func:`centernet.targets.encode_targets`."""
        heatmap = outputs["heatmap"]
        fits = out is not None and out.heatmap.shape == heatmap.shape
        return encode_targets(
            targets,
            tuple(heatmap.shape),
            stride=self.stride,
            out=out if fits else None,
            device=heatmap.device,
        )

    def decode(
        self, outputs: Mapping[str, Tensor], *, top_k: int = DEFAULT_TOP_K
    ) -> list[dict[str, Tensor]]:
        """The objects of each image; see :func:`centernet.decode.decode`."""
        return decode(outputs, stride=self.stride, top_k=top_k)

    def classifier_parameter_names(self) -> list[str]:
        """The last layer of the heatmap, in every stack."""
        last = len(self.heads["heatmap"]) - 1
        of_classes = re.compile(rf"(heads|earlier_heads\.\d)\.heatmap\.{last}\.")
        return [name for name in self.state_dict() if of_classes.match(name)]


class Distances(nn.Module):
    """Numbers to positive distances in cells, by exp, so that an equal step is an equal ratio."""

    def forward(self, x: Tensor) -> Tensor:
        """At most 1097 cells, which float16 still holds."""
        return x.clamp(max=7).exp()


def _heads(in_channels: int, hidden: int, counts: Mapping[str, int], norm: bool) -> nn.ModuleDict:
    heads = nn.ModuleDict({name: _head(in_channels, hidden, n, norm) for name, n in counts.items()})
    # So that every cell starts as an object with probability 0.1, as in the focal loss's paper
    # (Lin et al., 2017).
    nn.init.constant_(heads["heatmap"][-1].bias, -2.19)
    if "sides" in heads:
        # An object of 4x4 cells at first.
        nn.init.constant_(heads["sides"][-1].bias, math.log(2))
        heads["sides"].append(Distances())
    return heads


def _head(in_channels: int, hidden: int, out_channels: int, norm: bool) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, hidden, 3, padding=1, bias=not norm),
        *([nn.BatchNorm2d(hidden)] if norm else []),
        nn.ReLU(inplace=True),
        nn.Conv2d(hidden, out_channels, 1),
    )
