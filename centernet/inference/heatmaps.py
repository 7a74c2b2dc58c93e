"""Heatmaps of an image: overlays, peaks, and a file of both."""

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from centernet import geometry
from centernet.data.images import load_image
from centernet.errors import InputError
from centernet.files import atomic_write
from centernet.inference.drawing import HEAT_COLORS, legend
from centernet.inference.lettering import letter_size
from centernet.inference.probabilities import sigmoid
from centernet.inference.thresholds import DEFAULT_SCORE_THRESHOLD, Threshold, per_class_thresholds

if TYPE_CHECKING:
    from centernet.data.images import ImageLike

# RGB, distinguishable with color blindness; the inspector's page has the same.
_TOO_MUCH = np.array([255, 150, 30], np.float32)
_TOO_LITTLE = np.array([70, 150, 255], np.float32)
# The arrays of a saved file.
_SAVED = {"probabilities", "class_names", "matrix", "peaks"}
PEAK = np.dtype([("x", np.float32), ("y", np.float32), ("score", np.float32), ("label", np.int64)])


@dataclass(frozen=True)
class Heatmaps:
    """The heatmap of each class for one image.

    Attributes:
        logits: (C, h, w) float32.
        matrix: (2, 3) from cells to image pixels; the center of the cell in column i and row j is
            (i + 0.5, j + 0.5).
        class_names: class names by channel.
    """

    logits: NDArray[np.float32]
    matrix: geometry.Matrix
    class_names: tuple[str, ...]

    @classmethod
    def of_input(
        cls,
        logits: NDArray[np.float32],
        matrix: geometry.Matrix,
        stride: int,
        class_names: tuple[str, ...],
    ) -> "Heatmaps":
        """The heatmaps of a network input.

        Args:
            logits: (C, h, w).
            matrix: (2, 3) from image to network input.
            stride: input pixels per cell.
            class_names: class names by channel.
        """
        return cls(logits, geometry.invert(matrix) * np.array([stride, stride, 1]), class_names)

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """(C, h, w) in [0, 1]."""
        return sigmoid(self.logits)

    def peaks(self, threshold: Threshold = DEFAULT_SCORE_THRESHOLD) -> NDArray:
        """Local maxima in 3x3 cells that reach the threshold, best first.

        These are the cells that detections are decoded at.

        Args:
            threshold: minimum score; one number, one per class, or a dict by class name.

        Returns:
            A structured array with ``x``, ``y`` (the cell's center in image pixels), ``score`` and
            ``label``.
        """
        thresholds = per_class_thresholds(threshold, None, self.class_names)
        label, row, column, score = peak_cells(self.logits, thresholds)
        peaks = np.empty(len(label), PEAK)
        peaks["x"] = self.matrix[0, 0] * (column + 0.5) + self.matrix[0, 2]
        peaks["y"] = self.matrix[1, 1] * (row + 0.5) + self.matrix[1, 2]
        peaks["score"], peaks["label"] = score, label
        return peaks

    def overlay(self, image: "ImageLike", label: int | None = None) -> NDArray[np.uint8]:
        """Draw a heatmap over the image, with a legend below.

        Args:
            image: the image of these heatmaps: a path, a PIL image, or an RGB array.
            label: the class to show; by default the maximum over all classes.

        Returns:
            (H + legend, W, 3) uint8 RGB.

        Raises:
            InputError: the image cannot be read, or there is no such class.
        """
        if label is not None and not 0 <= label < len(self.class_names):
            raise InputError(f"label must be from 0 to {len(self.class_names) - 1}, got {label}")
        pixels = load_image(image)
        cells = self.probabilities.max(0) if label is None else self.probabilities[label]
        # OpenCV's coordinates are 0 at a pixel's center, the matrix's at its corner.
        matrix = self.matrix.copy()
        matrix[:, 2] += np.diag(matrix) / 2 - 0.5
        size = pixels.shape[1], pixels.shape[0]
        heat = cv2.warpAffine(
            cells, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        ).astype(np.float32, copy=False)
        title = "all classes" if label is None else self.class_names[label]
        return np.vstack([blend(pixels, heat), legend(size[0], title, letter_size(*size))])

    def save(self, path: str | Path, *, threshold: Threshold = DEFAULT_SCORE_THRESHOLD) -> None:
        """Write ``probabilities`` (float16), ``class_names``, ``matrix`` and ``peaks`` as NPZ.

        Args:
            path: path of the ``.npz`` file.
            threshold: minimum score of a peak.

        Raises:
            InputError: the file cannot be written.
        """
        with atomic_write(path) as unfinished, unfinished.open("wb") as file:
            np.savez_compressed(
                file,
                probabilities=self.probabilities.astype(np.float16),
                class_names=np.array(self.class_names),
                matrix=self.matrix,
                peaks=self.peaks(threshold),
            )


def is_saved_file(path: str | Path) -> bool:
    """Whether a file was written by :meth:`Heatmaps.save`."""
    try:
        with np.load(path) as content:
            return set(content.files) == _SAVED
    except Exception:  # missing or damaged, or another file
        return False


def peak_cells(
    logits: NDArray[np.float32], threshold: ArrayLike
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Label, row, column and score of each peak, best first.

    Args:
        logits: (C, h, w).
        threshold: minimum score; one number, or one per class.
    """
    thresholds = np.broadcast_to(np.asarray(threshold, np.float64), len(logits))
    lowest = float(thresholds.min())
    # A little lower because of rounding: the scores are compared with the thresholds below.
    floor = math.log(lowest / (1 - lowest)) - 1e-3 if 0 < lowest < 1 else -math.inf
    cells = np.nonzero(_is_peak(logits) & (logits >= floor) & (logits > -np.inf))
    scores = sigmoid(logits[cells])
    # Logits are compared, as in decoding: probabilities near 1 are equal where logits differ.
    order = np.argsort(-logits[cells], kind="stable")
    order = order[scores[order] >= thresholds[cells[0][order]]]
    label, row, column = (index[order] for index in cells)
    return label, row, column, scores[order]


def _is_peak(logits: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether no cell of the 3 x 3 neighborhood is larger, for each cell of (C, h, w)."""
    window = np.ones((3, 3), np.uint8)
    # Outside the map OpenCV assumes the lowest number.
    return np.stack([plane >= cv2.dilate(plane, window) for plane in logits])


def blend_difference(
    image: NDArray[np.uint8], difference: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Color an image by prediction minus target: orange above 0, blue below.

    Args:
        image: (H, W, 3) uint8 RGB.
        difference: (H, W) in [-1, 1].
    """
    size = np.abs(difference, dtype=np.float32).clip(0, 1)
    colors = np.where(difference[..., None] > 0, _TOO_MUCH, _TOO_LITTLE) * size[..., None]
    return _mix(image, colors.astype(np.uint8), size)


def blend(image: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Color an image (H, W, 3) by a heatmap (H, W): dimmed where it is 0, bright where it is 1."""
    heat = heat.astype(np.float32).clip(0, 1)
    colors = HEAT_COLORS[(heat * 255).astype(np.uint8)]
    return _mix(image, colors, heat)


def _mix(
    image: NDArray[np.uint8], colors: NDArray[np.uint8], strength: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Mix an image and colors (H, W, 3); the weight of the colors grows with a strength (H, W)."""
    weight = (0.35 + 0.5 * np.sqrt(strength)).astype(np.float32)
    return cv2.blendLinear(image, colors, 1 - weight, weight).astype(np.uint8, copy=False)
