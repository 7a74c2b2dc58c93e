"""What a :class:`.Detector` needs of an engine."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from centernet.errors import InputError
from centernet.inference.counting import CountCalibration


@dataclass(frozen=True)
class EngineInfo:
    """Properties of a network that a :class:`.Detector` uses.

    Attributes:
        class_names: class names by label.
        thresholds: the best score threshold of each class, None for a class without one; None if
            the weights store none.
        stride: input pixels per heatmap cell.
        size_multiple: height and width of the input must be multiples of this.
        image_size: (height, width) the network was trained at; None if it takes images at their
            own size.
        top_k: maximum number of detections per image.
        has_heatmaps: whether the engine returns heatmaps.
        has_cells: whether each detection names the cell of its peak, as those of a CenterNet do.
        point_sizes: by label the side in image pixels of the squares that stand for the objects of
            a class that was learned from points, None for another class; None if there is no such
            class. The boxes of such a class have zero size and the point as their center.
        radius: the distance in pixels beyond which no pixel influences a cell; None if it is
            unlimited or unknown. An engine may measure it later, see :attr:`Engine.radius`.
        counting: the calibration of counts; None if the weights store none.
    """

    class_names: tuple[str, ...]
    thresholds: tuple[float | None, ...] | None
    stride: int
    size_multiple: int
    image_size: tuple[int, int] | None
    top_k: int
    has_heatmaps: bool
    has_cells: bool = False
    point_sizes: tuple[float | None, ...] | None = None
    radius: int | None = None
    counting: CountCalibration | None = None

    @property
    def has_box_sizes(self) -> bool:
        """Whether the boxes of a class have a meaning: not all were learned from points."""
        return self.point_sizes is None or None in self.point_sizes

    def require_heatmaps(self, option: str) -> None:
        """Raise InputError, for ``option``, if the engine returns no heatmaps."""
        if not self.has_heatmaps:
            raise InputError(
                f"{option} needs heatmaps, but these weights have none: use a CenterNet; an "
                "exported one has them with --maps"
            )

    def require_counting(self, option: str) -> None:
        """Raise InputError, for ``option``, if the weights store no calibration of counts."""
        if self.counting is None:
            raise InputError(
                f"{option}: these weights store no calibration of counts: `centernet report RUN` "
                "writes it into RUN/best.ckpt; then export again, if they are exported"
            )


@dataclass(frozen=True)
class EngineResult:
    """Detections in a batch of B images.

    Attributes:
        detections: B dicts, best first: ``boxes`` (K, 4) float32 xyxy in input pixels, ``scores``
            (K,) in [0, 1], ``labels`` (K,) int64; with ``info.has_cells`` also ``cells`` (K, 2)
            int64, column and row of each peak.
        heatmaps: (B, C, h, w) float32 logits if requested, else None. An engine whose
            network returns probabilities takes their logit.
        network_seconds: time of the network alone, without decoding where the two are separate.
    """

    detections: list[dict[str, NDArray]]
    heatmaps: NDArray[np.float32] | None
    network_seconds: float


class Engine(Protocol):
    """Runs a network on batches of images.

    Attributes:
        name: as in ``Detector.load(engine=name)``.
        info: the properties of the network.
        device: name of the network's device, as ``cpu`` or ``cuda:0``.
    """

    name: str
    info: EngineInfo
    device: str

    @property
    def radius(self) -> int | None:
        """The distance in pixels beyond which no pixel influences a cell; None if unlimited."""

    def run(self, images: NDArray[np.uint8], *, heatmaps: bool = False) -> EngineResult:
        """Detect objects in a batch.

        Args:
            images: (B, H, W, 3) uint8 RGB, H and W multiples of ``info.size_multiple``.
            heatmaps: also return the heatmaps, for a network that has them.
        """
