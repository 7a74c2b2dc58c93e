"""Tiles: square parts of large images as training samples."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from centernet.data.entries import image_sides
from centernet.data.images import image_size

# Fraction of the tiles that are drawn around an object; the others are anywhere in the image.
_AROUND_OBJECTS = 0.8


class Tile(NamedTuple):
    """A random tile of an image.

    Attributes:
        side: height and width of the sample in pixels.
        boxes: (n, 4) xyxy of the objects in image pixels.
    """

    side: int
    boxes: NDArray[np.float32]

    def draw_center(
        self, rng: np.random.Generator, image_size: tuple[int, int], scale: float
    ) -> tuple[float, float]:
        """Draw the center of the tile, x and y in image pixels; most tiles are around an object.

        Args:
            rng: source of all randomness.
            image_size: (height, width) in pixels.
            scale: sample pixels per image pixel.
        """
        size, side = np.array(image_size[::-1], np.float64), self.side / scale
        point = rng.random(2) * size
        if len(self.boxes) and rng.random() < _AROUND_OBJECTS:
            box = self.boxes[rng.integers(len(self.boxes))]
            point = box[:2] + rng.random(2) * (box[2:] - box[:2]) + (rng.random(2) - 0.5) * side
        inside = np.minimum(side, size) / 2  # the tile has as much of the image as possible
        x, y = point.clip(inside, size - inside).tolist()
        return x, y


def count_tiles(
    image: dict[str, Any], path: Path, objects: int, input_size: tuple[int, int], side: int
) -> int:
    """The number of :func:`tiles_of_image` of an image whose size may have to be read.

    Args:
        image: entry of the image in the annotations.
        path: file of the image.
        objects: as for :func:`tiles_of_image`, like the other arguments.
        input_size: (height, width) in pixels that the image is scaled to fit.
        side: side of a tile.
    """
    width, height = image_sides(image)
    is_known = math.isfinite(width + height)
    size = (int(height), int(width)) if is_known else image_size(path)
    return tiles_of_image(size, int(objects), input_size, side)


def tiles_of_image(
    image_size: tuple[int, int], objects: int, input_size: tuple[int, int], side: int
) -> int:
    """The number of samples per epoch of an image: enough to see its objects, or all of it.

    Args:
        image_size: (height, width) in pixels.
        objects: number of objects.
        input_size: (height, width) in pixels that the image is scaled to fit.
        side: side of a tile in pixels of the scaled image.
    """
    scale = min(fit / length for fit, length in zip(input_size, image_size, strict=True))
    rows, columns = (math.ceil(length * scale / side - 0.01) for length in image_size)
    return max(1, min(rows * columns, objects + 1))
