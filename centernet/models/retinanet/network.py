"""RetinaNet, the anchor-based yardstick: torchvision's parts on the backbones of CenterNet."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelP6P7

from centernet.decode import DEFAULT_TOP_K
from centernet.errors import InputError
from centernet.models.backbones import HOURGLASS, channels_by_stride, make_backbone
from centernet.models.base import DetectionModel
from centernet.models.retinanet.anchors import (
    AnchorTargets,
    anchor_generator,
    decode_anchors,
    encode_anchors,
)

# Of the levels P3 to P7; the first three are made of the backbone's features.
_STRIDES = (8, 16, 32, 64, 128)
_CHANNELS = 256


class RetinaNet(DetectionModel):
    """From an image to what each of many anchors shows: of which class it is, and its true box.

    "Focal Loss for Dense Object Detection" (Lin et al., 2017): a feature pyramid P3 to P7, nine
    anchors for each of its places, and two subnets of four 3x3 convolutions that all levels share.
    Three things differ from torchvision's ``retinanet_resnet50_fpn``. The backbone is timm's, the
    same as a CenterNet's, so that a comparison compares the detectors; all of it learns, batch
    norms too, which is what training from scratch needs. P6 is made of the backbone's last
    features, as in the paper. And anchors are a whole stride apart on canvases of any size, which
    is taken as it is: nothing is resized here.
    """

    def __init__(
        self, num_classes: int, backbone: str = "resnet18", *, pretrained: bool = False
    ) -> None:
        """Build the network.

        Args:
            num_classes: number of classes.
            backbone: any timm model that offers features at strides 8, 16 and 32 and takes images
                of any size: ``resnet18`` to ``resnet152``, ...
            pretrained: start from timm's ImageNet weights (fetched on first use).

        Raises:
            InputError: the backbone is unknown or lacks these features.
        """
        super().__init__(num_classes)
        self.architecture = {
            "detector": "retinanet",
            "num_classes": num_classes,
            "backbone": backbone,
        }
        channels = {}
        if backbone != HOURGLASS:
            self.backbone = make_backbone(backbone, pretrained)
            channels = channels_by_stride(self.backbone)
        if not {8, 16, 32} <= channels.keys():
            raise InputError(
                f"backbone {backbone!r} lacks features of stride 8, 16 and 32, from which a "
                "RetinaNet is made: choose resnet18, resnet50, ..."
            )
        self._used = [list(channels).index(stride) for stride in (8, 16, 32)]
        self.pyramid = FeaturePyramidNetwork(
            [channels[stride] for stride in (8, 16, 32)],
            _CHANNELS,
            LastLevelP6P7(channels[32], _CHANNELS),
        )
        # Else backbones that end as wide as the pyramid would be treated differently.
        self.pyramid.extra_blocks.use_P5 = False
        self._anchors = anchor_generator(_STRIDES)
        # Every anchor starts as an object with probability 0.01.
        self.head = RetinaNetHead(
            _CHANNELS, self._anchors.num_anchors_per_location()[0], num_classes
        )

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Predict for every anchor. A anchors, nine for each place of each level.

        Args:
            images: (B, 3, H, W) RGB, uint8, or float where 0 is black and 1 is white. H and W are
                multiples of ``size_multiple``.

        Returns:
            ``classification`` (B, A, C) logits, ``boxes`` (B, A, 4) relative to the anchors,
            ``anchors`` (A, 4) xyxy in canvas pixels, and ``level_sizes`` (5,), on the CPU, how many
            of them there are on each level.

        Raises:
            ValueError: H or W is no such multiple.
        """
        features = self.backbone(self.normalize(images))
        levels = self.pyramid({f"p{i}": features[used] for i, used in enumerate(self._used, 3)})
        levels = list(levels.values())
        found = self.head(levels)
        anchors = self.anchors([tuple(level.shape[-2:]) for level in levels], images.device)
        return {
            "classification": found["cls_logits"],
            "boxes": found["bbox_regression"],
            "anchors": torch.cat(anchors),
            "level_sizes": torch.tensor([len(level) for level in anchors]),
        }

    def anchors(
        self, grid_sizes: Sequence[tuple[int, int]], device: torch.device | str
    ) -> list[Tensor]:
        """Anchors (A_i, 4) of each level, xyxy in canvas pixels, place by place.

        Args:
            grid_sizes: (rows, columns) of each level.
            device: where they are made.
        """
        # Not by its forward: that spreads them evenly over the canvas, and so misplaces them where
        # its size is no multiple of the stride.
        self._anchors.set_cell_anchors(torch.float32, device)
        return self._anchors.grid_anchors(grid_sizes, [(stride, stride) for stride in _STRIDES])

    def encode(
        self, targets: Sequence[Mapping], outputs: Mapping[str, Tensor], *, out: Any = None
    ) -> AnchorTargets:
        """Match the anchors with the objects of each image; see :func:`.encode_anchors`."""
        return encode_anchors(targets, outputs["anchors"], self.num_classes, stride=self.stride)

    def decode(
        self, outputs: Mapping[str, Tensor], *, top_k: int = DEFAULT_TOP_K
    ) -> list[dict[str, Tensor]]:
        """Detections of each image; see :func:`.decode_anchors`."""
        anchors = outputs["anchors"].split(outputs["level_sizes"].tolist())
        return decode_anchors(outputs["classification"], outputs["boxes"], anchors, top_k=top_k)

    def classifier_parameter_names(self) -> list[str]:
        """The last layer of the class subnet."""
        return [f"head.classification_head.cls_logits.{name}" for name in ("weight", "bias")]
