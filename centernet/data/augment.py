"""Data augmentation: one affine matrix (2x3) for geometry and one color matrix (3x4) per sample.

All geometric variation is one crop and one resize, and all color variation is linear, so two calls
of OpenCV on uint8 do the work. An augmentation that is not linear goes into
:meth:`Augment.__call__`; nothing outside of this module changes.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from centernet import geometry
from centernet.data.tiles import Tile
from centernet.errors import InputError

# Weights of red, green and blue in gray (ITU-R BT.601).
_GRAY = np.array([0.299, 0.587, 0.114])
# Principal components of ImageNet's colors (Krizhevsky et al., 2012) as in the released code, but
# in RGB order.
_PCA_VALUES = np.array([0.2141788, 0.01817699, 0.00341571])
_PCA_VECTORS = np.array(
    [
        [-0.56089297, 0.71832671, 0.41158938],
        [-0.5832747, 0.00994535, -0.81221408],
        [-0.58752847, -0.69563484, 0.41340352],
    ]
)

# Fraction of the image's sides by which crops that stay inside the image may leave it.
_BEYOND = 0.05


@dataclass(frozen=True)
class Augment:
    """Random variation of training images; the defaults are those of the original release.

    Attributes:
        flip: probability of a left-right flip.
        vertical_flip: probability of an upside-down flip, for objects without an upright
            orientation, such as cells or aerial views.
        scale: range of the crop's longer side, as a factor of the image's. A multiple of 0.1 from
            the first number to below the second is drawn. Factors below 1 zoom in, factors above 1
            leave black borders.
        shift: whether the center of the crop is drawn at random.
        inside: crops that are smaller than the image stay inside it, larger ones contain it, but
            for 5 % of its sides. By default their center is anywhere but close to the border, as in
            the release, which cuts many large objects.
        min_visible: objects are ignored if a smaller part of their area is in the sample.
        brightness: colors are multiplied by 1 +- this.
        contrast: distances from the mean gray are multiplied by 1 +- this.
        saturation: distances from each pixel's gray are multiplied by 1 +- this.
        lighting: standard deviation of the shift along ImageNet's principal color components.
    """

    flip: float = 0.5
    vertical_flip: float = 0.0
    scale: tuple[float, float] = (0.6, 1.4)
    shift: bool = True
    inside: bool = False
    min_visible: float = 0.0
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
        for name in ("flip", "vertical_flip", "min_visible"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"augment.{name} must be in [0, 1], got {getattr(self, name)}")
        for name in ("brightness", "contrast", "saturation", "lighting"):
            if getattr(self, name) < 0:
                raise InputError(f"augment.{name} must not be negative, got {getattr(self, name)}")

    def __call__(
        self,
        image: NDArray[np.uint8],
        rng: np.random.Generator,
        input_size: tuple[int, int],
        tile: Tile | None = None,
    ) -> tuple[NDArray[np.uint8], geometry.Matrix]:
        """Draw a random sample of an image.

        Args:
            image: (H, W, 3) RGB.
            rng: source of all randomness.
            input_size: (height, width) in pixels that the image is scaled to fit.
            tile: the sample is a tile of this size; by default it has ``input_size``.

        Returns:
            The sample (height, width, 3) RGB, and the matrix from image to sample, which boxes and
            ignore regions have to pass, too.
        """
        matrix = self.draw_matrix(rng, image.shape[:2], input_size, tile)
        sample_size = (tile.side, tile.side) if tile else input_size
        pixels, matrix = geometry.warp_to_input(image, matrix, sample_size)
        color = self.draw_color(rng, mean=np.array(cv2.mean(pixels)[:3]))
        if color is not None:
            pixels = np.asarray(cv2.transform(pixels, color), np.uint8)
        return pixels, matrix

    def draw_matrix(
        self,
        rng: np.random.Generator,
        image_size: tuple[int, ...],
        input_size: tuple[int, int],
        tile: Tile | None = None,
    ) -> geometry.Matrix:
        """Draw scale, shift and flips: the matrix from image to sample; see :meth:`__call__`.

        Sizes are (height, width) in pixels.
        """
        height, width = image_size
        low, high = self.scale
        # Just below the end, which rounding can include: (1.3 - 1) / 0.1 is above 3.
        scales = np.arange(low, high - 1e-6, 0.1)
        scale = rng.choice(scales) if len(scales) else low
        matrix = geometry.letterbox((height, width), input_size)
        matrix[[0, 1], [0, 1]] /= scale
        sample_size = (tile.side, tile.side) if tile else input_size
        if tile:
            center = tile.draw_center(rng, (height, width), matrix[0, 0])
        else:
            center = self._draw_center(rng, (height, width), np.array(sample_size) / matrix[0, 0])
        for axis in range(2):
            matrix[axis, 2] = sample_size[1 - axis] / 2 - matrix[axis, axis] * center[axis]
        return geometry.flip(
            matrix,
            sample_size,
            horizontal=rng.random() < self.flip,
            vertical=rng.random() < self.vertical_flip,
        )

    def _draw_center(
        self, rng: np.random.Generator, image_size: tuple[int, int], crop: NDArray[np.float64]
    ) -> tuple[float, float]:
        """The center, x and y in image pixels, of a crop (height, width)."""
        height, width = image_size
        if not self.shift:
            return width / 2, height / 2
        if self.inside:
            size = np.array(image_size)
            # Where the crop's borders are on those of the image.
            ends = np.sort([crop / 2, size - crop / 2], axis=0)
            y, x = rng.uniform(ends[0] - _BEYOND * size, ends[1] + _BEYOND * size).tolist()
            return x, y
        borders = [(_border(length), length) for length in (width, height)]
        x, y = (int(rng.integers(b, max(length - b, b + 1))) for b, length in borders)
        return x, y

    def draw_color(
        self, rng: np.random.Generator, mean: NDArray[np.float64]
    ) -> NDArray[np.float32] | None:
        """Draw brightness, contrast, saturation and lighting as one color matrix.

        The first three have random order. As in the original release, contrast and saturation
        blend with the gray of the unchanged image, so each step is linear and all are one matrix.

        Args:
            rng: source of all randomness.
            mean: (3,) mean RGB of the image.

        Returns:
            (3, 4) matrix m, new = m[:, :3] @ rgb + m[:, 3]; None for no change.
        """
        if not (self.brightness or self.contrast or self.saturation or self.lighting):
            return None
        mean_gray, pixel_gray = np.zeros((3, 4)), np.zeros((3, 4))
        mean_gray[:, 3] = _GRAY @ mean
        pixel_gray[:, :3] = _GRAY
        blends = (
            (self.brightness, np.zeros((3, 4))),
            (self.contrast, mean_gray),
            (self.saturation, pixel_gray),
        )
        matrix = np.eye(3, 4)
        for step in rng.permutation(3):
            amount, other = blends[step]
            factor = 1 + rng.uniform(-amount, amount)
            matrix = factor * matrix + (1 - factor) * other
        matrix[:, 3] += 255 * _PCA_VECTORS @ (_PCA_VALUES * rng.normal(0, self.lighting, 3))
        return matrix.astype(np.float32)


# Training samples without random variation.
NONE = Augment(
    flip=0, scale=(1, 1), shift=False, brightness=0, contrast=0, saturation=0, lighting=0
)


def _border(length: int) -> int:
    """Distance of a crop's center from the edge: 128 pixels, halved until there is room."""
    border = 128
    while length - border <= border and border > 1:
        border //= 2
    return border if length > 2 * border else 0
