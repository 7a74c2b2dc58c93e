"""The network: backbone, neck, heads."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import timm
import torch
from torch import Tensor, nn

from centernet.errors import InputError
from centernet.hourglass import Hourglass
from centernet.necks import NECKS

# Mean and standard deviation of ImageNet, RGB, on which timm's pretrained backbones were trained.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HOURGLASS = "hourglass104"


class CenterNet(nn.Module):
    """From an image to dense maps: where objects are, how large, where in its cell the centre.

    "Objects as Points" (Zhou et al., 2019).

    Attributes:
        stride: canvas pixels per cell of the maps.
        size_multiple: image height and width must be multiples of this: 32, for the hourglass 128.
        architecture: the arguments that make the same network again.
        class_names: by channel of the heatmap; "0", "1", ... until they are known.
        mean: (3, 1, 1) RGB mean that is subtracted, in [0, 1].
        std: (3, 1, 1) RGB standard deviation that is divided by.
    """

    stride = 4
    size_multiple = 32

    def __init__(
        self,
        num_classes: int,
        backbone: str = "resnet18",
        *,
        neck: str = "deconv",
        neck_channels: Sequence[int] = (256, 128, 64),
        deformable: bool = False,
        head_channels: int = 64,
        pretrained: bool = False,
        heads: Mapping[str, int] | None = None,
    ) -> None:
        """Build the network.

        Args:
            num_classes: number of classes, the channels of the heatmap.
            backbone: any timm model that offers features at stride 32, as ``resnet18`` or
                ``mobilenetv4_conv_small``; or ``hourglass104``, which has no use for a neck.
            neck: ``deconv``, the paper's for ResNets; ``dla``, the paper's for DLA-34; or ``fpn``,
                which learns fastest; see :mod:`centernet.necks`.
            neck_channels: widths of the neck's three steps; the original's ``res_*`` networks have
                (256, 256, 256). A pyramid has the last one throughout.
            deformable: deformable convolutions in the neck, as in the original's ``resdcn_*`` and
                ``dla_34``; slow on a CPU.
            head_channels: width of the hidden layer of each head; 0 leaves that layer out.
            pretrained: start from timm's ImageNet weights (fetched on first use).
            heads: channels of further heads by name, or of the standard ones instead of ``heatmap``
                C, ``size`` 2, ``offset`` 2.

        Raises:
            InputError: the backbone is unknown or lacks the features that the neck needs, the neck
                is unknown, or there are not three widths.
        """
        super().__init__()
        if neck not in NECKS:
            raise InputError(f"unknown neck {neck!r}: choose {' or '.join(NECKS)}")
        if len(neck_channels) != 3:
            raise InputError(
                f"neck_channels must be 3 widths (stride 32 to 4), got {list(neck_channels)}"
            )
        self.architecture = {
            "num_classes": num_classes,
            "backbone": backbone,
            "neck": neck,
            "neck_channels": list(neck_channels),
            "deformable": deformable,
            "head_channels": head_channels,
        } | ({"heads": dict(heads)} if heads else {})
        self.num_classes = num_classes
        self.class_names = tuple(map(str, range(num_classes)))
        self.backbone = _backbone(backbone, pretrained)
        if isinstance(self.backbone, Hourglass):
            self.neck, self.size_multiple = None, self.backbone.size_multiple
            width, stacks = self.backbone.out_channels, len(self.backbone.stacks)
        else:
            channels = _channels_by_stride(self.backbone)
            self.neck = NECKS[neck](channels, neck_channels, deformable=deformable)
            width, stacks = self.neck.out_channels, 1
        counts = {"heatmap": num_classes, "size": 2, "offset": 2} | dict(heads or {})
        self.heads = _heads(width, head_channels, counts)
        # Of all stacks but the last; they only make the earlier stacks learn.
        self.earlier_heads = nn.ModuleList(
            _heads(width, head_channels, counts) for _ in range(stacks - 1)
        )
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Predict the maps. h = H / 4, w = W / 4.

        Args:
            images: (B, 3, H, W) RGB, uint8, or float where 0 is black and 1 is white. H and W are
                multiples of ``size_multiple``.

        Returns:
            ``heatmap`` (B, C, h, w) logits, ``size`` (B, 2, h, w) width and height in cells,
            ``offset`` (B, 2, h, w) x and y of the centre in its cell; and any further head.

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

    def normalize(self, images: Tensor) -> Tensor:
        """RGB images, uint8 or float in [0, 1], to what the backbone was trained on."""
        height, width = images.shape[-2:]
        if height % self.size_multiple or width % self.size_multiple:
            raise ValueError(
                f"image size {height}x{width}: both must be multiples of {self.size_multiple}"
            )
        if images.dtype == torch.uint8:
            images = images.to(self.mean.dtype) / 255
        return (images - self.mean) / self.std


def _backbone(name: str, pretrained: bool) -> nn.Module:
    """A backbone that returns its features by ascending stride, up to stride 32."""
    if name == HOURGLASS:
        if pretrained:
            raise InputError(f"{HOURGLASS} has no ImageNet weights: give --model.pretrained false")
        return Hourglass()
    try:
        backbone = timm.create_model(name, features_only=True, pretrained=pretrained)
    except OSError as error:
        raise InputError(
            f"the ImageNet weights of {name!r} cannot be fetched ({type(error).__name__}): "
            "without a network give --model.pretrained false"
        ) from None
    except (RuntimeError, AttributeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        close = get_close_matches(name, [*timm.list_models(), HOURGLASS], 5) or [
            "resnet18",
            "dla34",
        ]
        raise InputError(
            f"backbone {name!r} cannot be made by timm ({reason}); try {', '.join(close)}"
        ) from None
    last = backbone.feature_info.reduction()[-1]
    if last != CenterNet.size_multiple:
        raise InputError(f"backbone {name!r} ends at stride {last}, not {CenterNet.size_multiple}")
    return backbone


def _channels_by_stride(backbone: nn.Module) -> dict[int, int]:
    info = backbone.feature_info
    return dict(zip(info.reduction(), info.channels(), strict=True))


def _heads(in_channels: int, hidden: int, counts: Mapping[str, int]) -> nn.ModuleDict:
    heads = nn.ModuleDict({name: _head(in_channels, hidden, n) for name, n in counts.items()})
    # So that every cell starts as an object with probability 0.1, as in the focal loss's paper
    # (Lin et al., 2017).
    nn.init.constant_(heads["heatmap"][-1].bias, -2.19)
    return heads


def _head(in_channels: int, hidden: int, out_channels: int) -> nn.Sequential:
    if not hidden:
        return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1))
    return nn.Sequential(
        nn.Conv2d(in_channels, hidden, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(hidden, out_channels, 1),
    )
