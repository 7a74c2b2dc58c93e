"""Random variation as two matrices per sample: one for geometry (2x3), one for colour (3x4)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from centernet import geometry
from centernet.errors import InputError

# Weights of red, green and blue in grey.
_GREY = np.array([0.299, 0.587, 0.114])
# Principal components of ImageNet's colours (Krizhevsky et al., 2012), as the released code has
# them, but in RGB order.
_PCA_VALUES = np.array([0.2141788, 0.01817699, 0.00341571])
_PCA_VECTORS = np.array(
    [
        [-0.56089297, 0.71832671, 0.41158938],
        [-0.5832747, 0.00994535, -0.81221408],
        [-0.58752847, -0.69563484, 0.41340352],
    ]
)


@dataclass(frozen=True)
class Augment:
    """How much training images vary; the defaults are the original's.

    Attributes:
        flip: probability of a left-right flip.
        vertical_flip: probability of an upside-down flip, for things without an up, such as cells
            or aerial views.
        scale: the part of the image that fills the canvas, as a factor on its longer side: a
            multiple of 0.1 from the first number to below the second. Below 1 zooms in, above 1
            leaves black borders.
        shift: whether the crop's centre moves at random over the image.
        brightness: colours are multiplied by 1 +- this.
        contrast: distance from the mean grey is multiplied by 1 +- this.
        saturation: distance from each pixel's grey is multiplied by 1 +- this.
        lighting: standard deviation of the shift along ImageNet's principal colour components.
    """

    flip: float = 0.5
    vertical_flip: float = 0.0
    scale: tuple[float, float] = (0.6, 1.4)
    shift: bool = True
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    lighting: float = 0.1

    def __post_init__(self) -> None:
        low, high = self.scale
        if not 0 < low <= high < np.inf:
            raise InputError(
                f"augment.scale must be two ascending positive numbers, got {self.scale}"
            )
        for name in ("flip", "vertical_flip"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"augment.{name} must be in [0, 1], got {getattr(self, name)}")
        for name in ("brightness", "contrast", "saturation", "lighting"):
            if getattr(self, name) < 0:
                raise InputError(f"augment.{name} must not be negative, got {getattr(self, name)}")

    def geometry(
        self, rng: np.random.Generator, image_size: tuple[int, int], input_size: tuple[int, int]
    ) -> geometry.Matrix:
        """Draw the matrix from image to canvas; sizes are (height, width)."""
        low, high = self.scale
        # A little below the end, which rounding would let in: (1.3 - 1) / 0.1 is above 3.
        scales = np.arange(low, high - 1e-6, 0.1)
        scale = rng.choice(scales) if len(scales) else low
        matrix = geometry.letterbox(image_size, input_size)
        for axis in range(2):
            length = image_size[1 - axis]
            center = length / 2
            if self.shift:
                border = _border(length)
                center = rng.integers(border, max(length - border, border + 1))
            matrix[axis, axis] /= scale
            matrix[axis, 2] = input_size[1 - axis] / 2 - matrix[axis, axis] * center
        return geometry.flip(
            matrix,
            input_size,
            horizontal=rng.random() < self.flip,
            vertical=rng.random() < self.vertical_flip,
        )

    def color(self, rng: np.random.Generator, mean: NDArray) -> NDArray[np.float32] | None:
        """Draw the colour matrix for an image of this mean RGB: new = m[:, :3] @ rgb + m[:, 3].

        Brightness, contrast and saturation come in random order; the grey that the last two blend
        with is the untouched image's, as in the original. So each is linear, and all are one
        matrix.

        Returns:
            (3, 4) float32, or None when nothing changes.
        """
        if not (self.brightness or self.contrast or self.saturation or self.lighting):
            return None
        matrix = np.eye(3, 4)
        grey = np.zeros((3, 4))
        grey[:, :3] = _GREY
        mean_grey = np.zeros((3, 4))
        mean_grey[:, 3] = _GREY @ mean
        blends = [(self.brightness, 0.0), (self.contrast, mean_grey), (self.saturation, grey)]
        for which in rng.permutation(3):
            amount, other = blends[which]
            factor = 1 + rng.uniform(-amount, amount)
            matrix = factor * matrix + (1 - factor) * other
        matrix[:, 3] += 255 * _PCA_VECTORS @ (_PCA_VALUES * rng.normal(0, self.lighting, 3))
        return matrix.astype(np.float32)


# Training images without random variation, only drawn at the training size.
NONE = Augment(
    flip=0, scale=(1, 1), shift=False, brightness=0, contrast=0, saturation=0, lighting=0
)


def _border(length: int) -> int:
    """How far a crop's centre stays from the edge: 128 pixels, halved until there is room."""
    border = 128
    while length - border <= border and border > 1:
        border //= 2
    return border if length > 2 * border else 0
