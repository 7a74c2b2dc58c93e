"""Heatmaps to look at and to take along: overlays on the image, peaks, and a file of both."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray

from centernet import geometry
from centernet.drawing import HEAT_COLORS, legend, letter_size
from centernet.files import whole

# RGB, told apart by everyone; the inspector's page has the same.
_TOO_MUCH, _TOO_LITTLE = np.float32([255, 150, 30]), np.float32([70, 150, 255])
PEAK = np.dtype([("x", np.float32), ("y", np.float32), ("score", np.float32), ("label", np.int64)])


@dataclass(frozen=True)
class Heatmaps:
    """What the network believes about each cell of one image.

    Attributes:
        probabilities: (C, h, w) float32 in [0, 1].
        matrix: (2, 3) from cells to image pixels; the centre of the cell in column i and row j is
            (i + 0.5, j + 0.5).
        class_names: by channel.
    """

    probabilities: NDArray[np.float32]
    matrix: geometry.Matrix
    class_names: tuple[str, ...]

    def peaks(self, threshold: ArrayLike = 0.3) -> NDArray:
        """Cells no smaller than their eight neighbours and at least ``threshold``, best first.

        Args:
            threshold: one number, or one per class.

        Returns:
            A structured array with ``x``, ``y`` (the cell's centre in image pixels), ``score`` and
            ``label``.
        """
        label, row, column = peak_cells(self.probabilities, threshold)
        peaks = np.empty(len(label), PEAK)
        peaks["x"] = self.matrix[0, 0] * (column + 0.5) + self.matrix[0, 2]
        peaks["y"] = self.matrix[1, 1] * (row + 0.5) + self.matrix[1, 2]
        peaks["score"], peaks["label"] = self.probabilities[label, row, column], label
        return peaks[np.argsort(-peaks["score"], kind="stable")]

    def overlay(self, image: NDArray[np.uint8], label: int | None = None) -> NDArray[np.uint8]:
        """The image with the heatmap over it and a legend below.

        Args:
            image: (H, W, 3) uint8 RGB, the image the heatmaps belong to.
            label: the class to show; by default, at every cell, the most probable one.

        Returns:
            (H + legend, W, 3) uint8 RGB.
        """
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

    def save(self, path: str | Path, *, threshold: ArrayLike = 0.3) -> None:
        """Write ``probabilities`` (float16), ``class_names``, ``matrix``, ``peaks`` as ``.npz``."""
        with whole(path) as unfinished, unfinished.open("wb") as file:
            np.savez_compressed(
                file,
                probabilities=self.probabilities.astype(np.float16),
                class_names=np.array(self.class_names),
                matrix=self.matrix,
                peaks=self.peaks(threshold),
            )


def peak_cells(
    probabilities: NDArray[np.float32], threshold: ArrayLike
) -> tuple[NDArray, NDArray, NDArray]:
    """Label, row and column of the peaks in maps (C, h, w); see :meth:`Heatmaps.peaks`."""
    maps = torch.from_numpy(probabilities)
    highest = F.max_pool2d(maps, 3, stride=1, padding=1).numpy()
    return np.nonzero(
        (probabilities == highest) & (probabilities >= np.reshape(threshold, (-1, 1, 1)))
    )


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
