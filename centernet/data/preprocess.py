"""The input policy: how an image becomes network input.

Validation, ``validate``, the report, the inspector, the oracle, ``check`` and the Detector all
decide it here, so that their numbers are of the same inputs. Only training differs: a batch of
random crops needs one size, see :mod:`centernet.data.augment`.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from centernet import geometry


@dataclass(frozen=True)
class InputView:
    """An image as the network sees it.

    Attributes:
        pixels: (h, w, 3) uint8 RGB, both sides multiples of the network's ``size_multiple``.
        matrix: (2, 3) from image to network input.
    """

    pixels: NDArray[np.uint8]
    matrix: geometry.Matrix


def make_view(
    image: NDArray[np.uint8], fit: tuple[int, int] | int | None, multiple: int, scale: float = 1.0
) -> InputView:
    """Draw an image as network input.

    Args:
        image: (H, W, 3) uint8 RGB.
        fit: (height, width) that the network was trained for, or a longest side, see
            :func:`fit_input`; None keeps the image's own size, see :func:`keep_input`.
        multiple: both sides of the input are multiples of this.
        scale: enlarge the image by this factor beyond that.
    """
    size = image.shape[:2]
    if fit is not None:
        matrix, input_size = fit_input(size, fit, multiple, scale)
        return InputView(*geometry.warp_to_input(image, matrix, input_size))
    matrix, input_size = keep_input(size, multiple, scale)
    pixels, _ = geometry.warp_to_input(image, matrix, input_size)
    # Detections return by the requested scale, not by that of the rounded size, because published
    # multi-scale results did; the two differ by a pixel at most.
    matrix[[0, 1], [0, 1]] = scale
    return InputView(pixels, matrix)


def fit_input(
    image_size: tuple[int, int],
    fit: tuple[int, int] | int,
    multiple: int,
    scale: float = 1.0,
) -> tuple[geometry.Matrix, tuple[int, int]]:
    """Scale an image to fit the trained size, centered on black, as training does.

    So the network sees objects of the size, and borders of the kind, that it learned.

    Args:
        image_size: (height, width) in pixels.
        fit: (height, width) of the training samples; or the longest side of the scaled image, whose
            input is then no larger than its proportions need.
        multiple: both sides of the input are multiples of this.
        scale: enlarge both by this factor.

    Returns:
        The matrix from image to input, and the (height, width) of the input.
    """
    longest = max(image_size)
    sides = [side * fit / longest for side in image_size] if isinstance(fit, int) else fit
    factor = scale * min(most / side for most, side in zip(sides, image_size, strict=True))
    input_size = tuple(multiple * max(1, -(-round(side * scale) // multiple)) for side in sides)
    return geometry.centered(factor, image_size, input_size), input_size


def keep_input(
    image_size: tuple[int, int], multiple: int, scale: float = 1.0
) -> tuple[geometry.Matrix, tuple[int, int]]:
    """Keep an image's own size on a larger input, as the original release does.

    Arguments and result are those of :func:`fit_input`.
    """
    scaled = tuple(max(1, int(side * scale)) for side in image_size)
    input_size = tuple((side | (multiple - 1)) + 1 for side in scaled)
    return geometry.center_pad(image_size, input_size, scaled), input_size


def same_size_batches(input_sizes: Sequence[tuple[int, int]], batch_size: int) -> list[list[int]]:
    """Divide inputs into batches of one size.

    Args:
        input_sizes: (height, width) of each input.
        batch_size: most inputs in a batch.

    Returns:
        The indices of each batch's inputs, each index once.
    """
    of_size = defaultdict(list)
    for index, size in enumerate(input_sizes):
        of_size[size].append(index)
    return [
        alike[start : start + batch_size]
        for alike in of_size.values()
        for start in range(0, len(alike), batch_size)
    ]
