import numpy as np
import pytest

from centernet import geometry
from centernet.data.preprocess import fit_input, keep_input, make_view, same_size_batches


@pytest.mark.parametrize(
    ("image", "fit", "scale", "expected"),
    [
        ((96, 128), (96, 128), 1, (96, 128)),
        ((192, 256), (96, 128), 1, (96, 128)),
        ((48, 64), (96, 128), 1, (96, 128)),  # enlarged, as in training
        ((100, 50), (96, 128), 1, (96, 128)),
        ((10, 1000), (96, 128), 1, (96, 128)),
        ((100, 50), (96, 128), 2, (192, 256)),
        ((100, 50), (96, 128), 0.75, (96, 96)),  # 72x96
        ((2448, 3264), 320, 1, (256, 320)),  # 240x320
        ((2448, 3264), 320, 2, (480, 640)),
        ((1, 5000), 320, 1, (32, 320)),
    ],
)
def test_an_image_is_scaled_to_fit_and_centered(image, fit, scale, expected):
    matrix, size = fit_input(image, fit, 32, scale)
    assert size == expected
    sides = (fit, fit) if isinstance(fit, int) else fit
    factor = scale * min(sides[0] / image[0], sides[1] / image[1])
    np.testing.assert_allclose(np.diag(matrix), factor)
    # In the middle.
    box = geometry.transform_boxes(np.float32([[0, 0, image[1], image[0]]]), matrix)[0]
    np.testing.assert_allclose(box[:2] + box[2:], size[::-1], rtol=1e-6)


def test_a_network_of_larger_multiples_gets_them():
    assert fit_input((100, 50), 256, 128)[1] == (256, 128)


@pytest.mark.parametrize(
    ("image", "scale", "multiple", "expected"),
    [
        ((375, 480), 1, 32, (384, 512)),
        ((512, 640), 1, 32, (544, 672)),
        ((480, 512), 1, 128, (512, 640)),
        ((100, 201), 0.75, 32, (96, 160)),
    ],
)
def test_the_own_size_gets_the_release_s_input(image, scale, multiple, expected):
    assert keep_input(image, multiple, scale)[1] == expected
    view = make_view(np.zeros((*image, 3), np.uint8), None, multiple, scale)
    assert view.pixels.shape == (*expected, 3)


def test_batches_are_of_one_size_and_hold_every_input_once():
    sizes = [(32, 64), (64, 32), (32, 64), (32, 64), (64, 32)]
    assert same_size_batches(sizes, 2) == [[0, 2], [3], [1, 4]]
    assert same_size_batches([], 2) == []
