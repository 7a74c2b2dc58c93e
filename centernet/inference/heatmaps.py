"""Heatmaps to look at and to take along: overlays on the image, peaks, and a file of both."""

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from centernet import geometry
from centernet.data.images import load_image
from centernet.decode import peaks_above
from centernet.errors import InputError
from centernet.files import atomic_write
from centernet.inference.drawing import HEAT_COLORS, legend, letter_size
from centernet.inference.thresholds import USUAL, Threshold, per_class_thresholds

if TYPE_CHECKING:
    from centernet.data.images import ImageLike

# RGB, told apart by everyone; the inspector's page has the same.
_TOO_MUCH, _TOO_LITTLE = np.float32([255, 150, 30]), np.float32([70, 150, 255])
PEAK = np.dtype([("x", np.float32), ("y", np.float32), ("score", np.float32), ("label", np.int64)])


@dataclass(frozen=True)
class Heatmaps:
    """What the network believes about each cell of one image.

    Attributes:
        logits: (C, h, w) float32.
        matrix: (2, 3) from cells to image pixels; the centre of the cell in column i and row j is
            (i + 0.5, j + 0.5).
        class_names: by channel.
    """

    logits: NDArray[np.float32]
    matrix: geometry.Matrix
    class_names: tuple[str, ...]

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """(C, h, w) in [0, 1]."""
        return torch.from_numpy(self.logits).sigmoid().numpy()

    def peaks(self, threshold: Threshold = USUAL) -> NDArray:
        """Cells no smaller than their eight neighbors and at least ``threshold``, best first.

        These are the cells at which detection reads its boxes.

        Args:
            threshold: least score; one number, one per class, or a dict by class name.

        Returns:
            A structured array with ``x``, ``y`` (the cell's centre in image pixels), ``score`` and
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
        """The image with the heatmap over it and a legend below.

        Args:
            image: the image the heatmaps belong to: a path, a PIL image, or an RGB array.
            label: the class to show; by default, at every cell, the most probable one.

        Returns:
            (H + legend, W, 3) uint8 RGB.

        Raises:
            InputError: the image cannot be read, or there is no such class.
        """
        if label is not None and not 0 <= label < len(self.class_names):
            raise InputError(f"label must be from 0 to {len(self.class_names) - 1}, got {label}")
        image = load_image(image)
        cells = self.probabilities.max(0) if label is None else self.probabilities[label]
        # OpenCV counts from pixel centres, the matrix from pixel corners.
        matrix = self.matrix.copy()
        matrix[:, 2] += np.diag(matrix) / 2 - 0.5
        size = image.shape[1], image.shape[0]
        heat = cv2.warpAffine(
            cells, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        title = "all classes" if label is None else self.class_names[label]
        return np.vstack([blend(image, heat), legend(size[0], title, letter_size(*size))])

    def save(self, path: str | Path, *, threshold: Threshold = USUAL) -> None:
        """Write ``probabilities`` (float16), ``class_names``, ``matrix``, ``peaks`` as ``.npz``."""
        with atomic_write(path) as unfinished, unfinished.open("wb") as file:
            np.savez_compressed(
                file,
                probabilities=self.probabilities.astype(np.float16),
                class_names=np.array(self.class_names),
                matrix=self.matrix,
                peaks=self.peaks(threshold),
            )


def peak_cells(
    logits: NDArray[np.float32], threshold: ArrayLike
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Label, row, column and score of the peaks in maps (C, h, w), best first.

    Args:
        logits: (C, h, w).
        threshold: least score; one number, or one per class.
    """
    thresholds = np.broadcast_to(np.asarray(threshold, np.float64), len(logits))
    least = float(thresholds.min())
    # A little lower, so that rounding decides nothing: scores are compared below.
    floor = math.log(least / (1 - least)) - 1e-3 if 0 < least < 1 else -math.inf
    values, index = peaks_above(torch.from_numpy(logits), floor)
    scores = values.sigmoid().numpy()
    label, row, column = np.unravel_index(index.numpy(), logits.shape)
    kept = scores >= thresholds[label]
    return label[kept], row[kept], column[kept], scores[kept]


def blend_difference(
    image: NDArray[np.uint8], difference: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Colour an image by prediction minus target: orange for too much heat, blue for too little.

    Args:
        image: (H, W, 3) uint8 RGB.
        difference: (H, W) in [-1, 1].
    """
    size = np.abs(difference, dtype=np.float32).clip(0, 1)
    colors = np.where(difference[..., None] > 0, _TOO_MUCH, _TOO_LITTLE) * size[..., None]
    weight = 0.35 + 0.5 * np.sqrt(size)
    return cv2.blendLinear(image, colors.astype(np.uint8), 1 - weight, weight)


def blend(image: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Colour an image by a heatmap of its size: dimmed where that is 0, glowing where it is 1."""
    heat = heat.astype(np.float32).clip(0, 1)
    colors = HEAT_COLORS[(heat * 255).astype(np.uint8)]
    weight = 0.35 + 0.5 * np.sqrt(heat)
    return cv2.blendLinear(image, colors, 1 - weight, weight)
