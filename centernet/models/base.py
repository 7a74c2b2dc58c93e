"""Abstract base class of all detection networks."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from centernet.decode import DEFAULT_TOP_K
from centernet.sizes import format_size
from centernet.targets import DEFAULT_STRIDE


class Normalization(NamedTuple):
    """Mean and standard deviation of RGB images in [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


# Of ImageNet: what most of timm's pretrained backbones expect.
IMAGENET_NORMALIZATION = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class DetectionModel(nn.Module, ABC):
    """A network that maps images to raw outputs, and the functions that turn these into boxes.

    Attributes:
        stride: network input pixels per cell of the heatmaps and of the ignore masks.
        size_multiple: image height and width must be multiples of it.
        has_heatmaps: whether the outputs contain ``heatmap``.
        architecture: keyword arguments that rebuild the network, plain values only, and its
            ``detector`` name, which a CenterNet omits.
        class_names: class names by label; "0", "1", ... by default.
        thresholds: score threshold with the best F1 score by label; None if unknown.
        point_sizes: by label the side in image pixels of the squares that stand for the objects of
            a class that was learned from points, whose sizes were never learned; None for another
            class; None if there is no such class.
        counting: calibration of counts as plain values, see
            :class:`centernet.inference.counting.CountCalibration`; None if unknown.
        top_k: detections per image, enough for the images it was trained on.
        is_pretrained: whether the backbone was initialized with ImageNet weights.
        mean: (3, 1, 1) RGB mean that is subtracted from images in [0, 1].
        std: (3, 1, 1) RGB standard deviation by which they are then divided.
    """

    stride = DEFAULT_STRIDE
    size_multiple = 32
    has_heatmaps = False
    architecture: dict[str, Any]
    mean: Tensor
    std: Tensor

    def __init__(self, num_classes: int) -> None:
        """Set the number of classes and everything else to its default."""
        super().__init__()
        self.num_classes = num_classes
        self.class_names = tuple(map(str, range(num_classes)))
        self.thresholds: tuple[float | None, ...] | None = None
        self.point_sizes: tuple[float | None, ...] | None = None
        self.counting: dict[str, Any] | None = None
        self.top_k = DEFAULT_TOP_K
        self.set_normalization(None)

    @property
    def has_box_sizes(self) -> bool:
        """Whether the size of a class was learned, or at least may have been."""
        return self.point_sizes is None or None in self.point_sizes

    def set_normalization(self, normalization: Normalization | None) -> None:
        """Set ``mean`` and ``std``, which checkpoints and exported models contain.

        Args:
            normalization: that of the backbone's ImageNet weights; None if it has none.
        """
        self.is_pretrained = normalization is not None
        normalization = normalization or IMAGENET_NORMALIZATION
        self.register_buffer("mean", torch.tensor(normalization.mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(normalization.std).view(3, 1, 1))

    @abstractmethod
    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Compute the raw outputs by name.

        Args:
            images: (B, 3, H, W) RGB, uint8, or float in [0, 1]. H and W are multiples of
                ``size_multiple``.
        """

    def forward_stacks(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Compute the outputs of every stack of the network, for the loss; the prediction last."""
        return [self(images)]

    @abstractmethod
    def encode(
        self,
        targets: Sequence[Mapping[str, Any]],
        outputs: Mapping[str, Tensor],
        *,
        out: Any = None,
    ) -> Any:
        """Encode the targets of a batch for the loss; the inverse of :meth:`decode`.

        Args:
            targets: B dicts with ``boxes`` (n, 4) float xyxy in network input pixels, clipped to
                the input and not empty, ``labels`` (n,) int64, and optionally ``ignore``, a list of
                (label, or None for all classes; bool mask (h, w) of cells).
            outputs: outputs of the network for the batch.
            out: an earlier result, whose memory may be reused.
        """

    @abstractmethod
    def decode(
        self, outputs: Mapping[str, Tensor], *, top_k: int = DEFAULT_TOP_K
    ) -> list[dict[str, Tensor]]:
        """The detections of each image.

        Returns:
            B dicts, best first, at most ``top_k`` each: ``boxes`` (K, 4) float32 xyxy in network
            input pixels, not clipped to the input, ``scores`` (K,) in [0, 1], ``labels`` (K,)
            int64.
        """

    @abstractmethod
    def decode_batch(
        self, outputs: Mapping[str, Tensor], *, top_k: int = DEFAULT_TOP_K
    ) -> dict[str, Tensor]:
        """The detections of all images, by operations that torch.onnx can export.

        Returns:
            ``boxes`` (B, K, 4), ``scores`` (B, K), ``labels`` (B, K) as in :meth:`decode`, with
            K = top_k; detections of score 0 fill the lists.
        """

    @abstractmethod
    def classifier_parameter_names(self) -> list[str]:
        """Names of the tensors of the classification layer, re-initialized for other classes."""

    def normalize(self, images: Tensor) -> Tensor:
        """Scale RGB images, uint8 or float in [0, 1], to mean 0 and standard deviation 1.

        Raises:
            ValueError: height or width is not a multiple of ``size_multiple``.
        """
        height, width = images.shape[-2:]
        if height % self.size_multiple or width % self.size_multiple:
            raise ValueError(
                f"image size {format_size((height, width))}: both sides must be multiples of "
                f"{self.size_multiple}"
            )
        if images.dtype == torch.uint8:
            images = images.to(self.mean.dtype) / 255
        return (images - self.mean) / self.std
