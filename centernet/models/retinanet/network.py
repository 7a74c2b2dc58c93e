"""RetinaNet, the anchor-based baseline: torchvision's modules on the backbones of CenterNet."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

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
    decode_anchors_batch,
    encode_anchors,
)

# Strides of the levels P3 to P7; the backbone's features have the first three.
_STRIDES = (8, 16, 32, 64, 128)
_CHANNELS = 256


class RetinaNet(DetectionModel):
    """RetinaNet: class logits and a box for each of many anchors.

    "Focal Loss for Dense Object Detection" (Lin et al., 2017): a feature pyramid P3 to P7, nine
    anchors per cell, and two subnets of four 3x3 convolutions that all levels share. Three things
    differ from torchvision's ``retinanet_resnet50_fpn``:

    * The backbone is that of a CenterNet, from timm, so that a comparison compares the detectors.
      All of its layers are trained, batch norms too, as training from scratch needs.
    * P6 is computed from the backbone's last features, as in the paper.
    * Anchors are exactly one stride apart at every input size, and the input is not resized.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: str = "resnet18",
        *,
        pretrained: bool | Literal["auto"] = False,
    ) -> None:
        """Build the network.

        Args:
            num_classes: number of classes.
            backbone: a timm model with features at strides 8, 16 and 32 that accepts images of any
                size, for example ``resnet18`` to ``resnet152``.
            pretrained: load ImageNet weights, and their mean and std; ``auto``: if there are any;
                see :func:`.make_backbone`.

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
            self.backbone, normalization = make_backbone(backbone, pretrained)
            self.set_normalization(normalization)
            channels = channels_by_stride(self.backbone)
        if not {8, 16, 32} <= channels.keys():
            raise InputError(
                f"backbone {backbone!r} lacks features of stride 8, 16 and 32, which a RetinaNet "
                "needs: choose for example resnet18 or resnet50"
            )
        self._used = [list(channels).index(stride) for stride in (8, 16, 32)]
        self.pyramid = FeaturePyramidNetwork(
            [channels[stride] for stride in (8, 16, 32)],
            _CHANNELS,
            LastLevelP6P7(channels[32], _CHANNELS),
        )
        # By default torchvision computes P6 from P5 if the backbone's last features have as many
        # channels as the pyramid.
        self.pyramid.extra_blocks.use_P5 = False
        self._anchors = anchor_generator(_STRIDES)
        # Its bias prior gives every anchor the initial probability 0.01.
        self.head = RetinaNetHead(
            _CHANNELS, self._anchors.num_anchors_per_location()[0], num_classes
        )

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Predict class logits and boxes for all anchors; A anchors, nine per cell of each level.

        Args:
            images: (B, 3, H, W) RGB, uint8, or float where 0 is black and 1 is white. H and W are
                multiples of ``size_multiple``.

        Returns:
            ``classification`` (B, A, C) logits, ``boxes`` (B, A, 4) relative to the anchors,
            ``anchors`` (A, 4) xyxy in input pixels, and ``level_sizes`` (5,), on the CPU, the
            number of anchors of each level.

        Raises:
            ValueError: H or W is not a multiple of ``size_multiple``.
        """
        features = self.backbone(self.normalize(images))
        pyramid = self.pyramid({f"p{i}": features[used] for i, used in enumerate(self._used, 3)})
        levels = list(pyramid.values())
        predictions = self.head(levels)
        anchors = self.anchors([tuple(level.shape[-2:]) for level in levels], images.device)
        return {
            "classification": predictions["cls_logits"],
            "boxes": predictions["bbox_regression"],
            "anchors": torch.cat(anchors),
            "level_sizes": torch.tensor([len(level) for level in anchors]),
        }

    def anchors(
        self, grid_sizes: Sequence[tuple[int, int]], device: torch.device | str
    ) -> list[Tensor]:
        """Return the anchors (A_i, 4) of each level, xyxy in input pixels, cell by cell.

        Args:
            grid_sizes: (rows, columns) of each level.
            device: device of the result.
        """
        # AnchorGenerator.forward distributes them evenly over the input, which misplaces them if
        # the input size is not a multiple of the stride.
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
        """Return the detections of each image; see :func:`.decode_anchors`."""
        anchors = outputs["anchors"].split(outputs["level_sizes"].tolist())
        return decode_anchors(outputs["classification"], outputs["boxes"], anchors, top_k=top_k)

    def decode_batch(
        self, outputs: Mapping[str, Tensor], *, top_k: int = DEFAULT_TOP_K
    ) -> dict[str, Tensor]:
        """Return the detections of all images; see :func:`.decode_anchors_batch`."""
        return decode_anchors_batch(
            outputs["classification"], outputs["boxes"], outputs["anchors"], top_k=top_k
        )

    def classifier_parameter_names(self) -> list[str]:
        """Return the names of the parameters of the last layer of the class subnet."""
        return [f"head.classification_head.cls_logits.{name}" for name in ("weight", "bias")]
