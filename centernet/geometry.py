"""The one affine matrix between an image and its canvas, for pixels, boxes and masks.

A matrix is a float64 array (2, 3) that maps image coordinates to canvas coordinates. Coordinates
are continuous: pixel i covers [i, i + 1) and its centre is i + 0.5. There is no rotation, so a
matrix is ``[[sx, 0, tx], [0, sy, ty]]``; a negative scale is a flip. Sizes are (height, width) in
pixels.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def letterbox(image_size: tuple[int, int], input_size: tuple[int, int]) -> Matrix:
    """Scale an image, keeping its proportions, to fit a canvas, and centre it there."""
    (height, width), (input_height, input_width) = image_size, input_size
    return centered(min(input_height / height, input_width / width), image_size, input_size)


def centered(scale: float, image_size: tuple[int, int], input_size: tuple[int, int]) -> Matrix:
    """Scale an image and centre it on a canvas."""
    (height, width), (input_height, input_width) = image_size, input_size
    shift = (input_width - scale * width) / 2, (input_height - scale * height) / 2
    return np.array([[scale, 0.0, shift[0]], [0.0, scale, shift[1]]])


def keep(
    image_size: tuple[int, int],
    input_size: tuple[int, int],
    scaled_size: tuple[int, int] | None = None,
) -> Matrix:
    """Centre an image on a canvas as the original does: by whole pixels, rounded down.

    The image keeps its size, or is scaled to ``scaled_size`` first.
    """
    (height, width), (input_height, input_width) = image_size, input_size
    scaled_height, scaled_width = scaled_size or image_size
    return np.array(
        [
            [scaled_width / width, 0.0, input_width // 2 - scaled_width // 2],
            [0.0, scaled_height / height, input_height // 2 - scaled_height // 2],
        ]
    )


def flip(
    matrix: Matrix,
    input_size: tuple[int, int],
    *,
    horizontal: bool = False,
    vertical: bool = False,
) -> Matrix:
    """Mirror the canvas that a matrix leads to."""
    flipped = matrix.copy()
    for axis, (wanted, length) in enumerate(
        [(horizontal, input_size[1]), (vertical, input_size[0])]
    ):
        if wanted:
            flipped[axis] *= -1
            flipped[axis, 2] += length
    return flipped


def invert(matrix: Matrix) -> Matrix:
    """The matrix of the way back, from canvas to image."""
    scale = np.diag(matrix)
    return np.column_stack([np.diag(1 / scale), -matrix[:, 2] / scale])


def transform_boxes(boxes: NDArray, matrix: Matrix) -> NDArray:
    """Move xyxy boxes (n, 4) through a matrix; a flip keeps x1 <= x2 and y1 <= y2.

    Boxes of negative size stay so: an untrained network predicts them, and hiding that helps
    nobody.
    """
    corners = boxes.reshape(-1, 2, 2) * np.diag(matrix) + matrix[:, 2]
    for axis in range(2):
        if matrix[axis, axis] < 0:
            corners[..., axis] = corners[:, ::-1, axis]
    return corners.reshape(-1, 4).astype(np.float32)


def xywh_to_xyxy(boxes: NDArray) -> NDArray:
    """Boxes (n, 4) as COCO stores them, left, top, width, height, as corners."""
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def clip_boxes(
    boxes: NDArray[np.float32], input_size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Cut xyxy boxes (n, 4) at the edges of a canvas.

    Args:
        boxes: (n, 4) xyxy in canvas pixels.
        input_size: (height, width) in pixels.

    Returns:
        The boxes (n, 4), and of which something is left (n,).
    """
    height, width = input_size
    cut = boxes.clip(0, np.array([width, height, width, height], np.float32))
    return cut, (cut[:, 2:] > cut[:, :2]).all(1)


def warp_to_input(
    image: NDArray, matrix: Matrix, input_size: tuple[int, int]
) -> tuple[NDArray, Matrix]:
    """Draw an image on a black canvas through a matrix: one crop and one resize.

    The crop and its place on the canvas are whole pixels, so the matrix is rounded a little first.
    The rounded one is returned and is exact: use it for everything else of this sample.

    Args:
        image: (H, W, 3) uint8.
        matrix: from image to canvas.
        input_size: (height, width) of the canvas.

    Returns:
        The canvas (height, width, 3) uint8 and the matrix that was applied.
    """
    upright, mirrored = _upright(matrix, input_size)
    x, y = _axis_mapping(upright, image.shape[:2], input_size)
    canvas = np.zeros((*input_size, 3), np.uint8)
    if x is None or y is None:
        return canvas, matrix
    (left, right, to_left, to_right), (top, bottom, to_top, to_bottom) = x, y
    size = (to_right - to_left, to_bottom - to_top)
    shrinks = size[0] < (right - left) // 2 or size[1] < (bottom - top) // 2
    resized = cv2.resize(
        image[top:bottom, left:right],
        size,
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
    )
    rows = slice(max(to_top, 0), min(to_bottom, input_size[0]))
    columns = slice(max(to_left, 0), min(to_right, input_size[1]))
    canvas[rows, columns] = resized[
        rows.start - to_top : rows.stop - to_top, columns.start - to_left : columns.stop - to_left
    ]
    if mirrored.any():
        canvas = cv2.flip(
            canvas, {(True, False): 1, (False, True): 0, (True, True): -1}[*mirrored.tolist()]
        )
    return canvas, rounded(matrix, image.shape[:2], input_size)


def rounded(matrix: Matrix, image_size: tuple[int, int], input_size: tuple[int, int]) -> Matrix:
    """The matrix that :func:`warp_to_input` applies: crop and place are whole pixels."""
    upright, mirrored = _upright(matrix, input_size)
    places = _axis_mapping(upright, image_size, input_size)
    if None in places:
        return matrix
    applied = np.zeros((2, 3))
    for axis, (start, stop, to_start, to_stop) in enumerate(places):
        applied[axis, axis] = (to_stop - to_start) / (stop - start)
        applied[axis, 2] = to_start - applied[axis, axis] * start
    return flip(applied, input_size, horizontal=mirrored[0], vertical=mirrored[1])


def _upright(matrix: Matrix, input_size: tuple[int, int]) -> tuple[Matrix, NDArray[np.bool_]]:
    """The matrix without its flips, and which axes (x, y) it mirrors."""
    mirrored = np.diag(matrix) < 0
    return flip(matrix, input_size, horizontal=mirrored[0], vertical=mirrored[1]), mirrored


def _axis_mapping(
    matrix: Matrix, image_size: tuple[int, int], input_size: tuple[int, int]
) -> list[tuple[int, int, int, int] | None]:
    """Along x and y: the image pixels that are seen, and where they go."""
    lengths = zip(reversed(image_size), reversed(input_size), strict=True)
    return [
        _pixel_aligned(matrix[axis, axis], matrix[axis, 2], *both)
        for axis, both in enumerate(lengths)
    ]


def _pixel_aligned(
    scale: float, shift: float, image_length: int, input_length: int
) -> tuple[int, int, int, int] | None:
    """Along one axis: the image pixels [start, stop) that are seen, and where they go."""
    start = max(0, int(np.floor(-shift / scale)))
    stop = min(image_length, int(np.ceil((input_length - shift) / scale)))
    if start >= stop:
        return None
    to_start = round(scale * start + shift)
    to_stop = max(to_start + 1, round(scale * stop + shift))
    if to_stop <= 0 or to_start >= input_length:
        return None
    return start, stop, to_start, to_stop
