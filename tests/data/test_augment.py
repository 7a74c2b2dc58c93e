import numpy as np
import pytest

from centernet import geometry
from centernet.data.augment import Augment

OFF = {
    "flip": 0.0, "scale": (1.0, 1.0), "shift": False,
    "brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "lighting": 0.0,
}  # fmt: skip


def matrices(augment: Augment, image_size=(64, 64), input_size=(64, 64), draws=400) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.stack([augment.draw_matrix(rng, image_size, input_size) for _ in range(draws)])


@pytest.mark.parametrize("image_size", [(37, 53), (480, 640), (1, 1)])
def test_all_off_letterboxes_and_leaves_colors(image_size):
    augment, rng = Augment(**OFF), np.random.default_rng(0)
    found = augment.draw_matrix(rng, image_size, (96, 64))
    np.testing.assert_allclose(found, geometry.letterbox(image_size, (96, 64)), atol=1e-9)
    assert augment.draw_color(rng, np.array([10.0, 20, 30])) is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, [0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3]),  # the default
        ({"scale": (1.0, 1.3)}, [1.0, 1.1, 1.2]),
        ({"scale": (0.5, 0.8)}, [0.5, 0.6, 0.7]),
        ({"scale": (0.8, 1.25)}, [0.8, 0.9, 1.0, 1.1, 1.2]),
        ({"scale": (0.7, 0.7)}, [0.7]),
    ],
)
def test_scales_are_steps_of_a_tenth_from_the_first_to_below_the_second(given, expected):
    scales = 1 / np.abs(matrices(Augment(**given))[:, 0, 0])
    np.testing.assert_allclose(np.unique(scales.round(9)), expected)


def original_border(length: int) -> int:
    i = 1
    while length - 128 // i <= 128 // i:
        i *= 2
    return 128 // i


@pytest.mark.parametrize("length", [1000, 300, 256, 200, 64, 3, 2, 1])
def test_centers_of_crops_keep_the_original_distance_from_the_edge(length):
    augment = Augment(**OFF | {"shift": True})
    middle = np.array([[[32, 32, 32, 32]]], np.float32)
    back = [geometry.invert(matrix) for matrix in matrices(augment, (length, length), draws=1000)]
    centers = np.stack([geometry.transform_boxes(middle, matrix)[0, :2] for matrix in back])
    np.testing.assert_allclose(centers, centers.round(), atol=1e-3)  # whole pixels
    border = original_border(length)
    assert centers.round().min() >= border and centers.round().max() < max(1, length - border)
    assert len(np.unique(centers.round())) > 0.8 * min(length - 2 * border, 400)


@pytest.mark.parametrize(
    ("flips", "corner"),
    [
        ({}, (0, 16)),  # the image's (0, 0) in an input of 64x64
        ({"flip": 1.0}, (64, 16)),
        ({"vertical_flip": 1.0}, (0, 48)),
        ({"flip": 1.0, "vertical_flip": 1.0}, (64, 48)),
    ],
)
def test_flips_mirror_the_input(flips, corner):
    (matrix,) = matrices(Augment(**OFF | flips), image_size=(50, 100), draws=1)
    np.testing.assert_allclose(matrix[:, 2], corner)
    np.testing.assert_allclose(np.abs(np.diag(matrix)), 0.64)


def test_half_are_mirrored_and_none_upside_down():
    scales = matrices(Augment())[:, [0, 1], [0, 1]]
    assert 150 < (scales[:, 0] < 0).sum() < 250
    assert (scales[:, 1] > 0).all()


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_a_color_factor_stays_within_its_range(name):
    rng, augment = np.random.default_rng(0), Augment(**OFF | {name: 0.4})
    drawn = [augment.draw_color(rng, np.full(3, 100.0)) for _ in range(300)]
    # Along a direction in which neither gray nor mean matters.
    factors = np.array([(matrix[0] - matrix[1]) @ [0.5, -0.5, 0, 0] for matrix in drawn])
    assert 0.6 <= factors.min() < 0.62 and 1.38 < factors.max() <= 1.4


def original_color(image: np.ndarray, augment: Augment, rng: np.random.Generator) -> np.ndarray:
    """One step after the other on blue-green-red in [0, 1], unclipped, as the original does it."""
    bgr = image[..., ::-1] / 255
    gray = bgr @ [0.114, 0.587, 0.299]
    mean = gray.mean()
    others = [0.0, mean, gray[..., None]]
    for which in rng.permutation(3):
        amount = (augment.brightness, augment.contrast, augment.saturation)[which]
        alpha = 1 + rng.uniform(-amount, amount)
        bgr = alpha * bgr + (1 - alpha) * others[which]
    values = np.array([0.2141788, 0.01817699, 0.00341571])
    vectors = np.array(
        [
            [-0.58752847, -0.69563484, 0.41340352],
            [-0.5832747, 0.00994535, -0.81221408],
            [-0.56089297, 0.71832671, 0.41158938],
        ]
    )
    bgr = bgr + vectors @ (values * rng.normal(0, augment.lighting, 3))
    return 255 * bgr[..., ::-1]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    "augment", [Augment(), Augment(contrast=0, lighting=0), Augment(lighting=1)]
)
def test_one_matrix_does_what_the_original_does_in_four_steps(augment, seed):
    image = np.random.default_rng(99).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    expected = original_color(image, augment, np.random.default_rng(seed))
    matrix = augment.draw_color(np.random.default_rng(seed), image.mean((0, 1)))
    assert matrix.shape == (3, 4) and matrix.dtype == np.float32
    np.testing.assert_allclose(image @ matrix[:, :3].T + matrix[:, 3], expected, atol=1e-3)


def gray_image(value: int) -> np.ndarray:
    return np.full((48, 64, 3), value, np.uint8)


@pytest.mark.parametrize("name", ["contrast", "saturation"])
def test_contrast_and_saturation_blend_with_the_image_itself(name):
    """A uniform gray image equals its own mean and its own gray, so neither changes it."""
    augment, rng = Augment(**OFF | {name: 0.4}), np.random.default_rng(0)
    for value in (40, 200, 40, 90):
        pixels, _ = augment(gray_image(value), rng, (48, 64))
        np.testing.assert_array_equal(pixels, gray_image(value))


def test_contrast_scales_the_distance_from_the_mean_of_the_sample():
    """Half of the sample is the image, half of it black border: the mean is 50."""
    augment = Augment(**OFF | {"contrast": 0.4})
    for seed in range(5):
        pixels, matrix = augment(gray_image(100), np.random.default_rng(seed), (96, 64))
        border, middle = int(pixels[0, 0, 0]), int(pixels[48, 32, 0])
        assert 0.6 <= (middle - 50) / 50 <= 1.4
        assert abs(border - max(0, 100 - middle)) <= 1
        assert matrix[1, 2] == 24


def test_a_sample_is_a_warp_and_a_color_matrix():
    image = np.random.default_rng(9).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    augment = Augment()
    pixels, matrix = augment(image, np.random.default_rng(5), (64, 96))
    rng = np.random.default_rng(5)
    warped, applied = geometry.warp_to_input(
        image, augment.draw_matrix(rng, (60, 90), (64, 96)), (64, 96)
    )
    color = augment.draw_color(rng, warped.mean((0, 1)))
    expected = np.clip(warped @ color[:, :3].T + color[:, 3], 0, 255)
    np.testing.assert_array_equal(matrix, applied)
    assert np.abs(pixels - expected).max() <= 1  # OpenCV's fixed-point arithmetic


@pytest.mark.parametrize("scale", [0.6, 1.4])
def test_inside_shows_as_much_of_the_image_as_the_scale_allows(scale):
    """But for 5 % of its sides: smaller crops stay in the image, larger ones contain it."""
    augment = Augment(**OFF | {"shift": True, "inside": True, "scale": (scale, scale)})
    sample = np.array([[[0, 0, 96, 64]]], np.float32)
    found = [
        geometry.transform_boxes(sample[0], geometry.invert(matrix))[0]
        for matrix in matrices(augment, (200, 300), (64, 96), draws=2000)
    ]
    corners = np.stack(found) / np.tile([300, 200], 2)  # the crop as fractions of the image
    inner, outer = (0.0, 1 - scale) if scale < 1 else (1 - scale, 0.0)
    for axis in range(2):
        first = corners[:, axis]
        assert first.min() == pytest.approx(inner - 0.05, abs=0.01)
        assert first.max() == pytest.approx(outer + 0.05, abs=0.01)
    np.testing.assert_allclose(corners[:, 2:] - corners[:, :2], scale, rtol=1e-5)
