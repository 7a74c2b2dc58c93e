"""CenterNet: backbone, neck, and heads."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from torch import Tensor, nn

from centernet.decode import DEFAULT_TOP_K, collapse_points, decode, decode_batch
from centernet.errors import InputError
from centernet.heads import DEFAULT_BOX_HEAD, HEADS, Heatmap, select_heads
from centernet.models.backbones import channels_by_stride, make_backbone
from centernet.models.base import DetectionModel
from centernet.models.head_layers import CoarseHeads, HeadLayers, make_head_layers
from centernet.models.hourglass import Hourglass
from centernet.models.necks import NECKS, FPNNeck
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
        pyramid_heads: bool = False,
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
            pyramid_heads: heads read all maps of an ``fpn``, see :class:`.CoarseHeads`.
            box_head: how a box is predicted: ``size`` (and offset, the paper's) or ``sides``
                (distances to the four sides, as in "FCOS").
            pretrained: load ImageNet weights, see :func:`.make_backbone`.
            heads: names of further heads registered in :mod:`centernet.heads`.

        Raises:
            InputError: an argument is out of range or does not suit the neck, or the backbone
                lacks features the neck needs.
        """
        super().__init__(num_classes)
        _check_options(neck, neck_channels, head_channels, pyramid_heads)
        further = list(heads or ())
        self.architecture = {
            "num_classes": num_classes,
            "backbone": backbone,
            "neck": neck,
            "neck_channels": list(neck_channels),
            "deformable": deformable,
            "head_channels": head_channels,
            "head_norm": head_norm,
            "pyramid_heads": pyramid_heads,
            "box_head": box_head,
        } | ({"heads": further} if further else {})
        chosen = select_heads(box_head, further)
        self.backbone, normalization = make_backbone(backbone, pretrained)
        self.set_normalization(normalization)
        self.neck, width = _make_neck(self.backbone, neck, neck_channels, deformable)
        make_heads = partial(make_head_layers, chosen, width, head_channels, num_classes, head_norm)
        self.heads, self.earlier_heads = make_heads(), self._earlier_heads(make_heads)
        self.coarse_heads = CoarseHeads(chosen, width, num_classes) if pyramid_heads else None

    def _earlier_heads(self, make_heads: Callable[[], nn.Module]) -> nn.ModuleList:
        """The heads of all stacks except the last; only the loss uses their outputs."""
        if not isinstance(self.backbone, Hourglass):
            return nn.ModuleList()
        self.size_multiple = self.backbone.size_multiple
        return nn.ModuleList(make_heads() for _ in self.backbone.stacks[1:])

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
        return self._predict(self.heads, self.features(images)[-1])

    def forward_stacks(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Predict the maps of every stack of the network, for the loss; the prediction last."""
        heads_by_stack = [*self.earlier_heads.children(), self.heads]
        return [
            self._predict(heads, maps)
            for maps, heads in zip(self.features(images), heads_by_stack, strict=True)
        ]

    def _predict(self, heads: nn.Module, maps: Sequence[Tensor]) -> dict[str, Tensor]:
        """The outputs of the heads of a stack on its maps, the finest first."""
        finest, *coarser = maps
        coarse = self.coarse_heads(coarser, finest.shape[-2:]) if self.coarse_heads else {}
        return {name: head(finest, coarse.get(name)) for name, head in heads.named_children()}

    def features(self, images: Tensor) -> list[list[Tensor]]:
        """The maps (B, channels, h, w) that the heads of each stack read, the finest first."""
        maps: list[Tensor] = self.backbone(self.normalize(images))
        if self.neck is None:
            return [[finest] for finest in maps]  # one per stack of an hourglass
        if self.coarse_heads is not None and isinstance(self.neck, FPNNeck):
            return [self.neck.pyramid(maps)]
        return [[self.neck(maps)]]

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
        found = decode(outputs, stride=self.stride, top_k=top_k)
        sizes = self.point_sizes
        return [collapse_points(fields, outputs, sizes, stride=self.stride) for fields in found]

    def decode_batch(
        self, outputs: Mapping[str, Tensor], *, top_k: int = DEFAULT_TOP_K
    ) -> dict[str, Tensor]:
        """The detections of all images; see :func:`centernet.decode.decode_batch`."""
        found = decode_batch(outputs, stride=self.stride, top_k=top_k)
        return collapse_points(found, outputs, self.point_sizes, stride=self.stride)

    def classifier_parameter_names(self) -> list[str]:
        """The parameters of the last convolutions of every head with one channel per class."""
        names = []
        for path, module in self.named_modules():
            head = HEADS.get(path.rpartition(".")[2])
            if head is None or head.channels is not None:
                continue
            if isinstance(module, HeadLayers):
                last = module.last_convolution
                names += [f"{path}.{last}.weight", f"{path}.{last}.bias"]
            else:  # of CoarseHeads
                names += [f"{path}.{name}" for name, _ in module.named_parameters()]
        return names


def _check_options(
    neck: str, neck_channels: Sequence[int], head_channels: int, pyramid_heads: bool
) -> None:
    """Raise InputError for an unknown neck, invalid widths, or pyramid_heads without a pyramid."""
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
    if pyramid_heads and neck != "fpn":
        raise InputError(f"pyramid_heads needs the neck fpn, got {neck}")


def _make_neck(
    backbone: nn.Module, name: str, widths: Sequence[int], deformable: bool
) -> tuple[nn.Module | None, int]:
    """The neck of a backbone, None for an hourglass, and the number of channels of the result."""
    if isinstance(backbone, Hourglass):
        return None, backbone.out_channels
    neck = NECKS[name](channels_by_stride(backbone), widths, deformable=deformable)
    return neck, neck.out_channels
