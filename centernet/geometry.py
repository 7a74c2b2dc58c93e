"""The affine matrix between an image and the network input, for pixels and boxes.

A matrix is a float64 array (2, 3) that maps image coordinates to input coordinates. Coordinates are
continuous: pixel i covers [i, i + 1) and its center is i + 0.5. There is no rotation, so a matrix
is ``[[sx, 0, tx], [0, sy, ty]]``; a negative scale is a flip. Sizes are (height, width) in pixels.
The input size is the size of the image that the network receives.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

# OpenCV's flip codes by whether x and y are mirrored.
_FLIP_CODES = {(True, False): 1, (False, True): 0, (True, True): -1}


def letterbox(image_size: tuple[int, int], input_size: tuple[int, int]) -> Matrix:
    """Scale an image to fit the input size, keeping its aspect ratio, and center it."""
    (height, width), (input_height, input_width) = image_size, input_size
    return centered(min(input_height / height, input_width / width), image_size, input_size)


def centered(scale: float, image_size: tuple[int, int], input_size: tuple[int, int]) -> Matrix:
    """Scale an image by a factor and center it in the input."""
    (height, width), (input_height, input_width) = image_size, input_size
    shift = (input_width - scale * width) / 2, (input_height - scale * height) / 2
    return np.array([[scale, 0.0, shift[0]], [0.0, scale, shift[1]]])


def center_pad(
    image_size: tuple[int, int],
    input_size: tuple[int, int],
    scaled_size: tuple[int, int] | None = None,
) -> Matrix:
    """Center an image in the input as the original release does, with integer shifts.

    Args:
        image_size: (height, width) of the image.
        input_size: (height, width) of the input.
        scaled_size: (height, width) to which the image is scaled first; by default its own size.
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
    """Mirror the input that a matrix maps to."""
    height, width = input_size
    flipped = matrix.copy()
    for axis, (mirror, length) in enumerate([(horizontal, width), (vertical, height)]):
        if mirror:
            flipped[axis] *= -1
            flipped[axis, 2] += length
    return flipped


def invert(matrix: Matrix) -> Matrix:
    """Invert a matrix: the result maps input coordinates to image coordinates."""
    scale = np.diag(matrix)
    return np.column_stack([np.diag(1 / scale), -matrix[:, 2] / scale])


def transform_boxes(boxes: NDArray, matrix: Matrix) -> NDArray:
    """Map xyxy boxes (n, 4) through a matrix; x1 <= x2 and y1 <= y2 still hold after a flip.

    Boxes of negative size, which an untrained network predicts, keep their negative size.
    """
    corners = boxes.reshape(-1, 2, 2) * np.diag(matrix) + matrix[:, 2]
    for axis in range(2):
        if matrix[axis, axis] < 0:
            corners[..., axis] = corners[:, ::-1, axis]
    return corners.reshape(-1, 4).astype(np.float32)


def xywh_to_xyxy(boxes: NDArray) -> NDArray:
    """Convert boxes (n, 4) from left, top, width, height (COCO's format) to xyxy."""
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def box_iou(boxes: NDArray, others: NDArray, *, extra: float = 0.0) -> NDArray:
    """Compute the intersection over union of pairs of xyxy boxes.

    Leading dimensions broadcast: ``box_iou(a[:, None], b)`` compares all pairs. Tensors have
    ``torchvision.ops.box_iou``.

    Args:
        boxes: (..., 4) xyxy.
        others: (..., 4) xyxy, broadcastable to ``boxes``.
        extra: length that is added to every width and height, also to those of intersections. The
            soft-NMS of the original release adds 1 because its boxes name their last pixel.

    Returns:
        (...) the IoU; 0 where the union is 0.
    """
    low = np.maximum(boxes[..., :2], others[..., :2])
    high = np.minimum(boxes[..., 2:], others[..., 2:])
    intersection = (high - low + extra).clip(0).prod(-1)
    area, other_area = ((b[..., 2:] - b[..., :2] + extra).prod(-1) for b in (boxes, others))
    union = area + other_area - intersection
    # Areas of boxes of negative size, which an untrained network predicts, may add up to 0.
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union != 0)


def clip_boxes(
    boxes: NDArray[np.float32], input_size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Clip xyxy boxes to the input.

    Args:
        boxes: (n, 4) xyxy in input pixels.
        input_size: (height, width) in pixels.

    Returns:
        The clipped boxes (n, 4), and a mask (n,) that is False where the clipped box is empty.
    """
    height, width = input_size
    clipped = boxes.clip(0, np.array([width, height, width, height], np.float32))
    return clipped, np.all(clipped[:, 2:] > clipped[:, :2], axis=1)


def warp_to_input(
    image: NDArray[np.uint8], matrix: Matrix, input_size: tuple[int, int]
) -> tuple[NDArray[np.uint8], Matrix]:
    """Map an image to a black network input: one crop and one resize.

    Crop and position are in integer pixels, so this function rounds the matrix. It returns the
    rounded matrix: use it for the boxes and masks of the sample.

    Args:
        image: (H, W, 3) uint8.
        matrix: from image to input.
        input_size: (height, width) of the input.

    Returns:
        The input (height, width, 3) uint8, and the matrix that was applied.
    """
    image_size = (image.shape[0], image.shape[1])
    upright, (mirror_x, mirror_y) = _upright(matrix, input_size)
    x, y = _axis_mapping(upright, image_size, input_size)
    pixels = np.zeros((*input_size, 3), np.uint8)
    if x is None or y is None:
        return pixels, matrix
    (left, right, to_left, to_right), (top, bottom, to_top, to_bottom) = x, y
    size = to_bottom - to_top, to_right - to_left
    rows = slice(max(to_top, 0), min(to_bottom, input_size[0]))
    columns = slice(max(to_left, 0), min(to_right, input_size[1]))
    place = pixels[rows, columns]
    if place.shape[:2] == size:
        _resize(image[top:bottom, left:right], size, place)
    else:
        resized = _resize(image[top:bottom, left:right], size)
        place[:] = resized[
            rows.start - to_top : rows.stop - to_top,
            columns.start - to_left : columns.stop - to_left,
        ]
    if mirror_x or mirror_y:
        cv2.flip(pixels, _FLIP_CODES[mirror_x, mirror_y], pixels)
    return pixels, rounded(matrix, image_size, input_size)


def _resize(
    image: NDArray[np.uint8], size: tuple[int, int], out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """Resize to (height, width), into ``out``; averages where it shrinks to less than half."""
    height, width = size
    shrinks = height < image.shape[0] // 2 or width < image.shape[1] // 2
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(
        cv2.resize(image, (width, height), out, interpolation=interpolation), np.uint8
    )


def rounded(matrix: Matrix, image_size: tuple[int, int], input_size: tuple[int, int]) -> Matrix:
    """Round a matrix to integer pixels, as :func:`warp_to_input` does.

    Args:
        matrix: from image to input.
        image_size: (height, width) of the image.
        input_size: (height, width) of the input.

    Returns:
        The rounded matrix; the matrix itself if no part of the image is inside the input.
    """
    upright, (mirror_x, mirror_y) = _upright(matrix, input_size)
    x, y = _axis_mapping(upright, image_size, input_size)
    if x is None or y is None:
        return matrix
    applied = np.zeros((2, 3))
    for axis, (start, stop, to_start, to_stop) in enumerate((x, y)):
        applied[axis, axis] = (to_stop - to_start) / (stop - start)
        applied[axis, 2] = to_start - applied[axis, axis] * start
    return flip(applied, input_size, horizontal=mirror_x, vertical=mirror_y)


def _upright(matrix: Matrix, input_size: tuple[int, int]) -> tuple[Matrix, tuple[bool, bool]]:
    """Return the matrix without its flips, and whether it mirrors x and y."""
    mirror_x, mirror_y = bool(matrix[0, 0] < 0), bool(matrix[1, 1] < 0)
    return flip(matrix, input_size, horizontal=mirror_x, vertical=mirror_y), (mirror_x, mirror_y)


# The image pixels [start, stop) along one axis, and the input pixels that they are mapped to; None
# if no pixel is inside the input.
_Span = tuple[int, int, int, int] | None


def _axis_mapping(
    matrix: Matrix, image_size: tuple[int, int], input_size: tuple[int, int]
) -> tuple[_Span, _Span]:
    """Return the mapped pixels along x and along y."""
    (height, width), (input_height, input_width) = image_size, input_size
    return (
        _pixel_aligned(matrix[0, 0], matrix[0, 2], width, input_width),
        _pixel_aligned(matrix[1, 1], matrix[1, 2], height, input_height),
    )


def _pixel_aligned(scale: float, shift: float, image_length: int, input_length: int) -> _Span:
    """Return the mapped pixels along one axis, with the shift rounded to integer pixels."""
    start = max(0, int(np.floor(-shift / scale)))
    stop = min(image_length, int(np.ceil((input_length - shift) / scale)))
    if start >= stop:
        return None
    to_start = round(scale * start + shift)
    to_stop = max(to_start + 1, round(scale * stop + shift))
    if to_stop <= 0 or to_start >= input_length:
        return None
    return start, stop, to_start, to_stop
