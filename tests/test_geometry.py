import cv2
import numpy as np
import pytest
import torch
from torchvision.ops import box_iou as torchvision_iou

from centernet import geometry
from centernet.data.regions import region_to_cells


def test_iou_of_pairs_and_of_matching_boxes_by_hand():
    boxes = np.float32([[0, 0, 10, 10], [0, 0, 20, 10]])
    others = np.float32([[0, 0, 10, 10], [30, 0, 40, 10], [5, 5, 2, 2]])
    # 100 of 200 pixels, nothing, and a box of negative size.
    expected = [[1, 0, 0], [0.5, 0, 0]]
    np.testing.assert_allclose(geometry.box_iou(boxes[:, None], others), expected)
    np.testing.assert_allclose(geometry.box_iou(boxes, others[:2]), [1, 0])
    # One pixel more: 11 x 11 of 21 x 11.
    assert geometry.box_iou(boxes[0], boxes[1], extra=1) == pytest.approx(11 / 21)
    empty = np.zeros((1, 4))
    assert geometry.box_iou(empty, empty).tolist() == [0]


def test_iou_equals_torchvision():
    corners = np.random.default_rng(0).uniform(0, 50, (2, 20, 2, 2)).astype(np.float32)
    boxes, others = np.sort(corners, axis=2).reshape(2, 20, 4)
    expected = torchvision_iou(torch.tensor(boxes), torch.tensor(others)).numpy()
    np.testing.assert_allclose(geometry.box_iou(boxes[:, None], others), expected, rtol=1e-5)


def matrix(sx: float, sy: float, tx: float, ty: float) -> geometry.Matrix:
    return np.array([[sx, 0, tx], [0, sy, ty]], float)


def test_boxes_are_clipped_and_boxes_outside_become_empty():
    boxes = np.float32([[-5, 2, 7, 99], [1, 2, 3, 4], [10, 0, 12, 3], [2, 8, 4, 9]])
    cut, seen = geometry.clip_boxes(boxes, (8, 10))
    assert cut.tolist() == [[0, 2, 7, 8], [1, 2, 3, 4], [10, 0, 10, 3], [2, 8, 4, 8]]
    assert seen.tolist() == [True, True, False, False]


def block(size: tuple[int, int], x1: int, y1: int, x2: int, y2: int) -> np.ndarray:
    image = np.zeros((*size, 3), np.uint8)
    image[y1:y2, x1:x2] = 255
    return image


def centroid(pixels: np.ndarray) -> tuple[float, float]:
    weight = pixels[..., 0] / pixels[..., 0].sum(dtype=float)
    y, x = np.indices(weight.shape) + 0.5
    return (weight * x).sum(), (weight * y).sum()


@pytest.mark.parametrize(
    ("image_size", "expected"),
    [
        ((50, 100), (1.28, 1.28, 0, 32)),  # wide: bars above and below
        ((256, 64), (0.5, 0.5, 48, 0)),  # tall: bars left and right
        ((128, 128), (1, 1, 0, 0)),
        ((1, 1), (128, 128, 0, 0)),
    ],
)
def test_letterbox_fills_one_side_and_centers_the_other(image_size, expected):
    np.testing.assert_allclose(geometry.letterbox(image_size, (128, 128)), matrix(*expected))


@pytest.mark.parametrize(
    ("directions", "expected"),
    [
        ({}, [10, 20, 30, 25]),
        ({"horizontal": True}, [70, 20, 90, 25]),
        ({"vertical": True}, [10, 35, 30, 40]),
        ({"horizontal": True, "vertical": True}, [70, 35, 90, 40]),
    ],
)
def test_a_flip_mirrors_boxes_in_an_input_60_high_and_100_wide(directions, expected):
    flipped = geometry.flip(matrix(1, 1, 0, 0), (60, 100), **directions)
    boxes = geometry.transform_boxes(np.float32([[10, 20, 30, 25]]), flipped)
    assert boxes.tolist() == [expected] and boxes.dtype == np.float32


@pytest.mark.parametrize(
    "there",
    [
        geometry.letterbox((37, 53), (64, 96)),
        geometry.centered(0.3, (500, 333), (128, 96)),
        geometry.center_pad((375, 501), (384, 512)),
        geometry.flip(matrix(1.7, 0.6, -20.3, 5), (64, 96), horizontal=True),
        geometry.flip(matrix(1.7, 0.6, -20.3, 5), (64, 96), horizontal=True, vertical=True),
    ],
)
def test_the_inverse_maps_back(there):
    back = geometry.invert(there)
    product = np.vstack([back, [0, 0, 1]]) @ np.vstack([there, [0, 0, 1]])
    np.testing.assert_allclose(product, np.eye(3), atol=1e-12)
    boxes = np.float32([[3, 5, 20, 9], [0, 0, 0, 0], [9, 8, 2, 1]])  # also empty and inside out
    again = geometry.transform_boxes(geometry.transform_boxes(boxes, there), back)
    np.testing.assert_allclose(again, boxes, atol=1e-4)
    assert geometry.transform_boxes(boxes[:0], there).shape == (0, 4)


@pytest.mark.parametrize("mirrored", [(1, 1), (-1, 1), (1, -1), (-1, -1)])
@pytest.mark.parametrize(
    ("image_size", "input_size", "wanted", "box"),
    [
        ((37, 53), (128, 160), "letterbox", (20, 10, 24, 13)),
        ((301, 203), (64, 96), "letterbox", (40, 60, 70, 90)),
        ((101, 75), (65, 63), "letterbox", (30, 40, 34, 46)),
        ((1, 1), (32, 64), "letterbox", (0, 0, 1, 1)),
        ((1, 5000), (64, 64), "letterbox", (2000, 0, 2400, 1)),
        ((5000, 1), (64, 64), "letterbox", (0, 2000, 1, 2400)),
        ((61, 83), (64, 64), matrix(2.3, 2.3, -31.7, -12.4), (25, 15, 30, 20)),  # left and top
        ((61, 83), (64, 64), matrix(1.7, 1.7, 20.3, 11.6), (5, 5, 9, 9)),  # right and bottom
        ((601, 403), (64, 64), matrix(0.23, 0.23, -14.9, -40.2), (150, 300, 170, 320)),  # all sides
        ((61, 83), (64, 64), matrix(0.43, 1.9, 3.3, -20.7), (40, 20, 50, 30)),  # squeezed
    ],
)
def test_the_returned_matrix_maps_a_block(image_size, input_size, wanted, box, mirrored):
    if isinstance(wanted, str):
        wanted = geometry.letterbox(image_size, input_size)
    wanted = geometry.flip(wanted, input_size, horizontal=mirrored[0] < 0, vertical=mirrored[1] < 0)
    pixels, applied = geometry.warp_to_input(block(image_size, *box), wanted, input_size)
    assert pixels.shape == (*input_size, 3)
    assert np.sign(np.diag(applied)).tolist() == list(mirrored)
    x1, y1, x2, y2 = geometry.transform_boxes(np.float32([box]), applied)[0]
    assert centroid(pixels) == pytest.approx(((x1 + x2) / 2, (y1 + y2) / 2), abs=0.2)


def test_the_returned_matrix_is_pixel_aligned():
    image = np.full((33, 47, 3), 255, np.uint8)
    # 64 / 33 times as large it is 91.15 wide and begins at 2.42: drawn from 2 to 94.
    pixels, applied = geometry.warp_to_input(
        image, geometry.letterbox((33, 47), (64, 96)), (64, 96)
    )
    np.testing.assert_allclose(applied, matrix(92 / 47, 64 / 33, 2, 0))
    assert pixels[:, 2:94].all() and not pixels[:, :2].any() and not pixels[:, 94:].any()


@pytest.mark.parametrize("scale", [0.37, 1.0, 5.3, 70.1])
def test_an_image_larger_than_the_input_fills_it(scale):
    image = np.full((601, 403, 3), 255, np.uint8)
    wanted = matrix(scale, scale, -160.7 * scale, -250.2 * scale)
    pixels, _ = geometry.warp_to_input(image, wanted, (64, 48))
    assert (pixels == 255).all()


def test_the_matrix_is_rounded_by_at_most_half_a_pixel():
    rng = np.random.default_rng(0)
    for _ in range(100):
        height, width = size = tuple(rng.integers(20, 900, 2).tolist())
        wanted = geometry.letterbox(size, (96, 64))
        if min(size) * wanted[0, 0] < 1:
            continue
        _, applied = geometry.warp_to_input(np.zeros((*size, 3), np.uint8), wanted, (96, 64))
        corners = np.float32([[0, 0, width, height]])
        moved = geometry.transform_boxes(corners, applied) - geometry.transform_boxes(
            corners, wanted
        )
        assert np.abs(moved).max() <= 0.5


@pytest.mark.parametrize("shift", [(64, 0), (-80, 0), (0, 64), (0, -80), (1000, -1000)])
def test_an_image_outside_the_input_leaves_it_black(shift):
    wanted = matrix(2, 2, *shift)
    pixels, applied = geometry.warp_to_input(np.full((40, 40, 3), 255, np.uint8), wanted, (64, 64))
    assert pixels.shape == (64, 64, 3) and not pixels.any()
    np.testing.assert_array_equal(applied, wanted)


def original_matrix(size: tuple[int, int], input_size: tuple[int, int]) -> np.ndarray:
    """The original's get_affine_transform between pixel indices, with its keep-resolution input."""
    (height, width), (input_height, input_width) = size, input_size
    source, target = np.zeros((3, 2), np.float32), np.zeros((3, 2), np.float32)
    source[0] = width // 2, height // 2
    source[1] = source[0] + [0, -input_width / 2]
    target[0] = input_width / 2, input_height / 2
    target[1] = target[0] + [0, -input_width / 2]
    for points in (source, target):
        x, y = points[0] - points[1]
        points[2] = points[1] + [-y, x]
    return cv2.getAffineTransform(source, target)


@pytest.mark.parametrize(
    ("size", "input_size"),
    [
        ((375, 500), (384, 512)),
        ((427, 640), (448, 672)),
        ((480, 512), (512, 544)),
        ((1, 33), (32, 64)),
    ],
)
def test_center_pad_equals_the_original(size, input_size):
    assert input_size == tuple((side | 31) + 1 for side in size)
    padded = geometry.center_pad(size, input_size)
    np.testing.assert_allclose(padded, original_matrix(size, input_size), atol=1e-3)
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    pixels, applied = geometry.warp_to_input(image, padded, input_size)
    np.testing.assert_array_equal(applied, padded)
    left, top = padded[:, 2].astype(int)
    inside = (slice(top, top + size[0]), slice(left, left + size[1]))
    np.testing.assert_array_equal(pixels[inside], image)
    pixels[inside] = 0
    assert not pixels.any()


class Mask:
    """A region for tests."""

    def __init__(self, mask):
        self.mask, self.size = mask, mask.shape

    def contains(self, rows, columns):
        return self.mask[np.ix_(rows, columns)] != 0


@pytest.mark.parametrize(
    ("columns", "ignored"), [(2, [0, 0]), (3, [1, 0]), (6, [1, 0]), (7, [1, 1])]
)
def test_a_cell_belongs_to_the_region_that_contains_its_center(columns, ignored):
    region = np.zeros((8, 8), np.uint8)
    region[:, :columns] = 1
    cells = region_to_cells(Mask(region), (8, 8), matrix(1, 1, 0, 0), (2, 2), 4)
    assert cells.dtype == bool and cells.astype(int).tolist() == [ignored, ignored]


@pytest.mark.parametrize("mask_size", [(40, 60), (20, 31), (97, 120)])
@pytest.mark.parametrize(
    "there",
    [
        geometry.letterbox((40, 60), (64, 96)),
        geometry.flip(matrix(2.31, 2.31, -30.7, -11.1), (64, 96), horizontal=True),
        geometry.flip(matrix(0.71, 0.53, 20.3, 5.9), (64, 96), horizontal=True, vertical=True),
        matrix(1, 1, 500.5, 0.5),  # outside
    ],
)
def test_cells_equal_a_lookup_one_by_one(there, mask_size):
    region = cv2.resize(np.random.default_rng(1).random((4, 5)), mask_size[::-1]) > 0.5
    expected = np.zeros((16, 24), bool)
    for row in range(16):
        for column in range(24):
            x = (4 * column + 2 - there[0, 2]) / there[0, 0]
            y = (4 * row + 2 - there[1, 2]) / there[1, 1]
            if 0 <= x < 60 and 0 <= y < 40:
                expected[row, column] = region[
                    int(y / 40 * mask_size[0]), int(x / 60 * mask_size[1])
                ]
    cells = region_to_cells(Mask(region), (40, 60), there, (16, 24), 4)
    np.testing.assert_array_equal(cells, expected)
    assert expected.any() == (there[0, 2] < 500)
