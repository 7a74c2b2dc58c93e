"""What a detector says about the annotations of an image: peaks, and heat at annotated centers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from centernet import geometry
from centernet.analysis.inspector.analyze import Example, ImageMaps, analyze_image
from centernet.analysis.inspector.error_types import Peaks, Regions, box_overlaps
from centernet.analysis.labels.suspicions import LabeledImage
from centernet.inference.detector import Detector


@dataclass(frozen=True)
class Evidence:
    """Annotations and peaks of an image with their relations.

    The relations are computed when they are read: those of all images would not fit in memory.

    Attributes:
        image: the image with n annotations.
        size: (height, width) of the image in pixels.
        peaks: k peaks outside of ignore regions, best first.
        heat: (n, C) highest probability of each class around each annotated center, in the cell
            of the center and its neighbors.
    """

    image: LabeledImage
    size: tuple[int, int]
    peaks: Peaks
    heat: NDArray[np.float32]

    @property
    def boxes(self) -> NDArray[np.float32]:
        """The annotated boxes clipped to the image, as the network predicts them, (n, 4)."""
        return _clipped(self.image.boxes, self.size)

    @property
    def overlap(self) -> NDArray:
        """IoU of each peak's box with each annotated box, (k, n)."""
        return box_overlaps(self.peaks.boxes, self.boxes)

    @property
    def between(self) -> NDArray:
        """IoU of the annotated boxes with each other, 0 on the diagonal, (n, n)."""
        between = box_overlaps(self.boxes, self.boxes)
        np.fill_diagonal(between, 0)
        return between


def collect_evidence(detector: Detector, example: Example, image: LabeledImage) -> Evidence:
    """Run the detector on an image.

    Args:
        detector: a detector that has not seen the image in training, or its peaks agree with the
            annotations too well.
        example: the image, with ignore regions.
        image: the same image with its split.

    Raises:
        InputError: the image cannot be read.
    """
    analysis, maps = analyze_image(detector, example)
    truth = analysis.truth
    peaks = analysis.peaks
    if truth is not None:
        peaks = _outside(peaks, truth.regions)
    heat = _heat_at_centers(_clipped(image.boxes, analysis.size), maps)
    return Evidence(image, analysis.size, peaks, heat)


def _clipped(boxes: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    return geometry.clip_boxes(boxes, size)[0]


def _outside(peaks: Peaks, regions: Regions) -> Peaks:
    """The peaks whose boxes are mostly outside of the ignore regions of their class."""
    inside = box_overlaps(peaks.boxes, regions.boxes, is_crowd=True) >= 0.5
    of_class = (regions.labels[None] < 0) | (regions.labels[None] == peaks.labels[:, None])
    kept = ~(inside & of_class).any(1)
    return Peaks(peaks.boxes[kept], peaks.labels[kept], peaks.cells[kept], peaks.scores[kept])


def _heat_at_centers(boxes: NDArray, maps: ImageMaps) -> NDArray[np.float32]:
    """The highest probability of each class in the 3x3 cells around each center, (n, C)."""
    if maps.heat is None:
        return np.zeros((len(boxes), 0), np.float32)
    height, width = maps.heat.shape[1:]
    to_cells = geometry.invert(maps.matrix)
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    cells = np.floor(centers * np.diag(to_cells) + to_cells[:, 2]).astype(int)
    cells = cells.clip(0, [width - 1, height - 1])
    padded = np.pad(maps.heat, ((0, 0), (1, 1), (1, 1)))
    windows = [padded[:, y : y + 3, x : x + 3].max((1, 2)) for x, y in cells]
    return np.array(windows, np.float32).reshape(len(boxes), len(maps.heat))
