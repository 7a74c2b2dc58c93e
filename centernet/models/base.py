"""What training, evaluation, the detector and checkpoints ask of every detection network."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from centernet.decode import DEFAULT_TOP_K

# Mean and standard deviation of ImageNet, RGB, on which timm's pretrained backbones were trained.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class DetectionModel(nn.Module, ABC):
    """A detector as images to raw outputs, and outputs to boxes.

    Attributes:
        stride: canvas pixels per cell of the heatmaps and of the ignore regions' masks.
        size_multiple: image height and width must be multiples of this.
        has_heatmaps: whether the outputs have a ``heatmap``.
        architecture: the arguments that make the same network again, and ``detector``, its kind; a
            CenterNet's leaves that out.
        class_names: by label; "0", "1", ... until they are known.
        thresholds: by label, the score at which F1 is best; None where that is not known.
        top_k: most detections per image, as many as the data it was trained on ask for.
        mean: (3, 1, 1) RGB mean that is subtracted, in [0, 1].
        std: (3, 1, 1) RGB standard deviation that is divided by.
    """

    stride = 4
    size_multiple = 32
    has_heatmaps = False
    architecture: dict[str, Any]
    mean: Tensor
    std: Tensor

    def __init__(self, num_classes: int) -> None:
        """Know the number of classes, and what pretrained backbones were trained on."""
        super().__init__()
        self.num_classes = num_classes
        self.class_names = tuple(map(str, range(num_classes)))
        self.thresholds: tuple[float | None, ...] | None = None
        self.top_k = DEFAULT_TOP_K
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1))

    @abstractmethod
    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Raw outputs by name.

        Args:
            images: (B, 3, H, W) RGB, uint8, or float where 0 is black and 1 is white. H and W are
                multiples of ``size_multiple``.
        """

    def forward_stacks(self, images: Tensor) -> list[dict[str, Tensor]]:
        """What the loss sees: the outputs of every stack of the network, the prediction last."""
        return [self(images)]

    @abstractmethod
    def encode(
        self, targets: Sequence[Mapping], outputs: Mapping[str, Tensor], *, out: Any = None
    ) -> Any:
        """What the outputs of a batch should be, for the loss; the inverse of :meth:`decode`.

        Args:
            targets: B dicts with ``boxes`` (n, 4) float xyxy in canvas pixels, cut to the canvas
                and not empty, ``labels`` (n,) int64, and optionally ``ignore``, a list of (label or
                None for all classes, bool mask (h, w) of cells).
            outputs: of the network for the batch.
            out: an earlier result, whose memory may be used again.
        """

    @abstractmethod
    def decode(
        self, outputs: Mapping[str, Tensor], *, top_k: int = DEFAULT_TOP_K
    ) -> list[dict[str, Tensor]]:
        """The objects of each image.

        Returns:
            B dicts, best first, at most ``top_k`` each: ``boxes`` (K, 4) float32 xyxy in canvas
            pixels, not cut to the canvas, ``scores`` (K,) in [0, 1], ``labels`` (K,) int64.
        """

    @abstractmethod
    def classifier_parameter_names(self) -> list[str]:
        """Names of the tensors that tell the classes apart: worth nothing for other classes."""

    def normalize(self, images: Tensor) -> Tensor:
        """RGB images, uint8 or float in [0, 1], to what the backbone was trained on.

        Raises:
            ValueError: height or width is no multiple of ``size_multiple``.
        """
        height, width = images.shape[-2:]
        if height % self.size_multiple or width % self.size_multiple:
            raise ValueError(
                f"image size {height}x{width}: both must be multiples of {self.size_multiple}"
            )
        if images.dtype == torch.uint8:
            images = images.to(self.mean.dtype) / 255
        return (images - self.mean) / self.std
