"""The result for one image: detections, heatmaps, and drawing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from centernet.inference.heatmaps import Heatmaps

if TYPE_CHECKING:
    import supervision as sv

# Longest side in pixels; smaller images are drawn enlarged, or labels would cover them.
_MIN_DRAWN_SIDE = 320


class DetectedObject(NamedTuple):
    """One detection.

    Attributes:
        class_name: name of the class.
        label: number of the class.
        score: score in [0, 1].
        box: x1, y1, x2, y2 in image pixels.
    """

    class_name: str
    label: int
    score: float
    box: list[float]


@dataclass(frozen=True)
class Prediction:
    """The detections in one image, and the heatmaps they are decoded from.

    Attributes:
        image: (H, W, 3) uint8 RGB, upright.
        detections: boxes in image pixels, best first.
        heatmaps: probabilities, and the position of their cells in the image; None if they were not
            requested, or the network has none.
        seconds: time by step: ``load`` (read and preprocess), ``network``, ``decode``.
    """

    image: NDArray[np.uint8]
    detections: "sv.Detections"
    heatmaps: Heatmaps | None
    seconds: dict[str, float]

    @property
    def objects(self) -> list[DetectedObject]:
        """The detections one by one, best first."""
        found = self.detections
        names, labels, scores = found.data["class_name"], found.class_id, found.confidence
        assert labels is not None and scores is not None  # the Detector sets all three
        return [
            DetectedObject(str(name), int(label), float(score), box)
            for name, label, score, box in zip(
                names, labels, scores, found.xyxy.tolist(), strict=True
            )
        ]

    @cached_property
    def drawn(self) -> NDArray[np.uint8]:
        """The image (h, w, 3) uint8 RGB with boxes and labels, enlarged if it is small."""
        from centernet.inference.drawing import draw

        return draw(self.upscaled.image, self.upscaled.detections)

    @cached_property
    def upscaled(self) -> "Prediction":
        """The same prediction for an image that is large enough to draw on."""
        return upscale_for_drawing(self)


def to_detections(
    found: Mapping[str, NDArray], thresholds: NDArray[np.float64], class_names: Sequence[str]
) -> "sv.Detections":
    """The detections that reach the threshold of their class, as ``supervision.Detections``.

    Args:
        found: ``boxes`` (K, 4) xyxy, ``scores`` (K,), ``labels`` (K,).
        thresholds: (C,).
        class_names: class names by label.
    """
    import supervision as sv  # takes long to import

    kept = found["scores"] >= thresholds[found["labels"]]
    labels = found["labels"][kept]
    return sv.Detections(
        xyxy=found["boxes"][kept],
        confidence=found["scores"][kept],
        class_id=labels,
        data={"class_name": np.array(class_names, dtype=str)[labels]},
    )


def upscale_for_drawing(prediction: Prediction) -> Prediction:
    """Enlarge a small image with its boxes and heatmaps, so that labels do not cover it."""
    image = prediction.image
    factor = -(-_MIN_DRAWN_SIDE // max(image.shape[:2]))
    if factor <= 1:
        return prediction
    found, maps = prediction.detections, prediction.heatmaps
    enlarged = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    return replace(
        prediction,
        image=enlarged.astype(np.uint8, copy=False),
        detections=replace(found, xyxy=found.xyxy * factor),
        heatmaps=maps and replace(maps, matrix=maps.matrix * factor),
    )
