"""The input policy: how an image becomes network input.

Validation, ``validate``, the report, the inspector, the oracle, ``check`` and the Detector share
it, so that their results are comparable. Only training differs: a batch of random crops needs one
size, see :mod:`centernet.data.augment`.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from centernet import geometry


@dataclass(frozen=True)
class InputView:
    """The network input made from an image.

    Attributes:
        pixels: (h, w, 3) uint8 RGB, both sides multiples of the network's ``size_multiple``.
        matrix: (2, 3) from image to network input.
    """

    pixels: NDArray[np.uint8]
    matrix: geometry.Matrix


def make_view(
    image: NDArray[np.uint8], fit: tuple[int, int] | int | None, multiple: int, scale: float = 1.0
) -> InputView:
    """Make a network input from an image.

    Args:
        image: (H, W, 3) uint8 RGB.
        fit: (height, width) the network was trained at, or a longest side, see :func:`fit_input`;
            None keeps the image's own size, see :func:`keep_input`.
        multiple: both sides of the input are multiples of this.
        scale: additional factor on the size of the image.
    """
    size = _height_width(image.shape)
    if fit is not None:
        matrix, input_size = fit_input(size, fit, multiple, scale)
        return InputView(*geometry.warp_to_input(image, matrix, input_size))
    matrix, input_size = keep_input(size, multiple, scale)
    pixels, _ = geometry.warp_to_input(image, matrix, input_size)
    # Boxes are mapped back by the requested scale, not by that of the rounded size, as in the
    # published multi-scale results. The two differ by at most one pixel.
    matrix[[0, 1], [0, 1]] = scale
    return InputView(pixels, matrix)


def view_matrix(
    image_size: tuple[int, int], fit: tuple[int, int], multiple: int
) -> geometry.Matrix:
    """The matrix of :func:`make_view` for an image of this (height, width)."""
    matrix, input_size = fit_input(image_size, fit, multiple)
    return geometry.rounded(matrix, image_size, input_size)


def fit_input(
    image_size: tuple[int, int],
    fit: tuple[int, int] | int,
    multiple: int,
    scale: float = 1.0,
) -> tuple[geometry.Matrix, tuple[int, int]]:
    """Letterbox an image: scale it to fit the training size, centered on black, as in training.

    Objects then have the size, and borders the appearance, that the network was trained on.

    Args:
        image_size: (height, width) in pixels.
        fit: (height, width) of the training samples; or the longest side of the scaled image, whose
            input is then only as large as its aspect ratio needs.
        multiple: both sides of the input are multiples of this.
        scale: additional factor on image and input.

    Returns:
        The matrix (2, 3) from image to input, and the (height, width) of the input.
    """
    height, width = image_size
    if isinstance(fit, int):
        fit_height, fit_width = height * fit / max(image_size), width * fit / max(image_size)
    else:
        fit_height, fit_width = fit
    factor = scale * min(fit_height / height, fit_width / width)
    input_size = (
        _round_up(round(fit_height * scale), multiple),
        _round_up(round(fit_width * scale), multiple),
    )
    return geometry.centered(factor, image_size, input_size), input_size


def keep_input(
    image_size: tuple[int, int], multiple: int, scale: float = 1.0
) -> tuple[geometry.Matrix, tuple[int, int]]:
    """Center an image at its own size on a larger input, as the original release does.

    Arguments and result are those of :func:`fit_input`.
    """
    height, width = (max(1, int(side * scale)) for side in image_size)
    input_size = (height | (multiple - 1)) + 1, (width | (multiple - 1)) + 1
    return geometry.center_pad(image_size, input_size, (height, width)), input_size


def same_size_batches(input_sizes: Sequence[tuple[int, int]], batch_size: int) -> list[list[int]]:
    """Divide inputs into batches of one size.

    Args:
        input_sizes: (height, width) of each input.
        batch_size: maximum number of inputs in a batch.

    Returns:
        The indices of each batch's inputs, each index once.
    """
    by_size = defaultdict(list)
    for index, size in enumerate(input_sizes):
        by_size[size].append(index)
    return [
        same[start : start + batch_size]
        for same in by_size.values()
        for start in range(0, len(same), batch_size)
    ]


def _height_width(shape: tuple[int, ...]) -> tuple[int, int]:
    return shape[0], shape[1]


def _round_up(side: int, multiple: int) -> int:
    """The smallest positive multiple that is at least ``side``."""
    return multiple * max(1, -(-side // multiple))
