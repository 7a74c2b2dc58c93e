"""CenterNet: backbone, neck, and heads."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from torch import Tensor, nn

from centernet.decode import DEFAULT_TOP_K, decode, decode_batch
from centernet.errors import InputError
from centernet.heads import DEFAULT_BOX_HEAD, HEADS, Head, Heatmap, select_heads
from centernet.models.backbones import channels_by_stride, make_backbone
from centernet.models.base import DetectionModel
from centernet.models.hourglass import Hourglass
from centernet.models.necks import NECKS
from centernet.targets import Targets, encode_targets


class CenterNet(DetectionModel):
    """Predict a heatmap of object centers per class, and a box at every cell.

    "Objects as Points" (Zhou et al., 2019). Backbone and neck give features at stride 4; every head
    is two convolutions on them. The sides of images must be multiples of 32 pixels (hourglass:
    128).
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
        box_head: str = DEFAULT_BOX_HEAD,
        pretrained: bool | Literal["auto"] = False,
        heads: Iterable[str] | None = None,
    ) -> None:
        """Build the network.

        Args:
            num_classes: number of classes.
            backbone: a timm model with features at stride 32 that takes images of any size, such as
                ``resnet18``; or ``hourglass104``, which has no neck.
            neck: ``deconv`` (the paper's for ResNets), ``dla`` (the paper's for DLA-34) or ``fpn``
                (trains fastest); see :mod:`centernet.models.necks`.
            neck_channels: widths of the neck's three steps. ``fpn`` uses only the last.
            deformable: use deformable convolutions in the neck, as the release's ``resdcn_*`` and
                ``dla_34``; slow on a CPU.
            head_channels: width of the hidden layer of each head.
            head_norm: use batch norm in that layer; the paper does not.
            box_head: how a box is predicted: ``size`` (and offset, the paper's) or ``sides``
                (distances to the four sides, as in "FCOS").
            pretrained: load ImageNet weights, and their mean and std; ``auto``: if there are any;
                see :func:`.make_backbone`.
            heads: names of further heads registered in :mod:`centernet.heads`.

        Raises:
            InputError: an argument is out of range, or the backbone lacks features the neck needs.
        """
        super().__init__(num_classes)
        _check_widths(neck, neck_channels, head_channels)
        further = list(heads or ())
        self.architecture = {
            "num_classes": num_classes,
            "backbone": backbone,
            "neck": neck,
            "neck_channels": list(neck_channels),
            "deformable": deformable,
            "head_channels": head_channels,
            "head_norm": head_norm,
            "box_head": box_head,
        } | ({"heads": further} if further else {})
        chosen = select_heads(box_head, further)
        self.backbone, normalization = make_backbone(backbone, pretrained)
        self.set_normalization(normalization)
        self.neck, width = _make_neck(self.backbone, neck, neck_channels, deformable)
        stacks = 1
        if isinstance(self.backbone, Hourglass):
            self.size_multiple, stacks = self.backbone.size_multiple, len(self.backbone.stacks)
        make_heads = partial(_make_heads, chosen, width, head_channels, num_classes, head_norm)
        self.heads = make_heads()
        # The heads of all stacks except the last; only the loss uses their outputs.
        self.earlier_heads = nn.ModuleList(make_heads() for _ in range(stacks - 1))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Predict the output maps, with h = H / 4 and w = W / 4.

        Args:
            images: (B, 3, H, W) RGB, uint8, or float where 0 is black and 1 is white. H and W are
                multiples of ``size_multiple``.

        Returns:
            ``heatmap`` (B, C, h, w) logits, and either ``size`` (B, 2, h, w) width and height in
            cells and ``offset`` (B, 2, h, w) x and y of the center in its cell, or ``sides`` (B, 4,
            h, w), the distances in cells from the middle of the cell to the left, top, right and
            bottom side; and the maps of further heads.

        Raises:
            ValueError: H or W is not a multiple of ``size_multiple``.
        """
        x = self.features(images)[-1]
        return {name: head(x) for name, head in self.heads.items()}

    def forward_stacks(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Predict the maps of every stack of the network, for the loss; the prediction last."""
        heads_by_stack = [*self.earlier_heads.children(), self.heads]
        return [
            {name: head(x) for name, head in heads.named_children()}
            for x, heads in zip(self.features(images), heads_by_stack, strict=True)
        ]

    def features(self, images: Tensor) -> list[Tensor]:
        """The features (B, channels, h, w) that the heads read; an hourglass has one per stack."""
        maps: list[Tensor] = self.backbone(self.normalize(images))
        if self.neck is None:
            return maps  # of an hourglass, each at stride 4
        return [self.neck(maps)]  # from several strides to stride 4

    def encode(
        self,
        targets: Sequence[Mapping[str, Any]],
        outputs: Mapping[str, Tensor],
        *,
        out: Targets | None = None,
    ) -> Targets:
        """The targets of these outputs; see :func:`centernet.targets.encode_targets`."""
        heatmap = outputs[Heatmap.name]
        batch, classes, rows, columns = heatmap.shape
        is_reusable = (
            out is not None
            and out.heatmap.shape == heatmap.shape
            and out.heatmap.device == heatmap.device
        )
        return encode_targets(
            targets,
            (batch, classes, rows, columns),
            stride=self.stride,
            out=out if is_reusable else None,
            device=heatmap.device,
        )

    def decode(
        self, outputs: Mapping[str, Tensor], *, top_k: int = DEFAULT_TOP_K
    ) -> list[dict[str, Tensor]]:
        """The detections of each image; see :func:`centernet.decode.decode`."""
        return decode(outputs, stride=self.stride, top_k=top_k)

    def decode_batch(
        self, outputs: Mapping[str, Tensor], *, top_k: int = DEFAULT_TOP_K
    ) -> dict[str, Tensor]:
        """The detections of all images; see :func:`centernet.decode.decode_batch`."""
        return decode_batch(outputs, stride=self.stride, top_k=top_k)

    def classifier_parameter_names(self) -> list[str]:
        """The parameters of the last convolution of every head with one channel per class."""
        names = []
        for path, module in self.named_modules():
            head = HEADS.get(path.rpartition(".")[2])
            if isinstance(module, nn.Sequential) and head and head.channels is None:
                convolutions = [i for i, layer in enumerate(module) if isinstance(layer, nn.Conv2d)]
                names += [f"{path}.{convolutions[-1]}.{part}" for part in ("weight", "bias")]
        return names


def _check_widths(neck: str, neck_channels: Sequence[int], head_channels: int) -> None:
    """Raise InputError for an unknown neck or invalid widths."""
    if neck not in NECKS:
        raise InputError(f"unknown neck {neck!r}: choose {' or '.join(NECKS)}")
    if len(neck_channels) != 3:
        raise InputError(
            f"neck_channels must be 3 widths (stride 32 to 4), got {list(neck_channels)}"
        )
    if min(*neck_channels, head_channels) < 1:
        raise InputError(
            f"widths must be at least 1, got neck_channels {list(neck_channels)} and "
            f"head_channels {head_channels}"
        )


def _make_neck(
    backbone: nn.Module, name: str, widths: Sequence[int], deformable: bool
) -> tuple[nn.Module | None, int]:
    """The neck of a backbone, None for an hourglass, and the number of channels of the result."""
    if isinstance(backbone, Hourglass):
        return None, backbone.out_channels
    neck = NECKS[name](channels_by_stride(backbone), widths, deformable=deformable)
    return neck, neck.out_channels


def _make_heads(
    heads: Mapping[str, Head], in_channels: int, hidden: int, num_classes: int, norm: bool
) -> nn.ModuleDict:
    """The layers of each head: 3x3 convolution, optional batch norm, ReLU, 1x1 convolution."""
    modules = nn.ModuleDict()
    for name, head in heads.items():
        layers = nn.Sequential(
            nn.Conv2d(in_channels, hidden, 3, padding=1, bias=not norm),
            *([nn.BatchNorm2d(hidden)] if norm else []),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, head.num_channels(num_classes), 1),
        )
        modules[name] = head.init(layers)
    return modules
