import numpy as np
import pytest
import torch
from fakes import SCORE, blob, picture, spot_detector
from PIL import Image

from centernet.decode import decode
from centernet.errors import InputError
from centernet.inference.drawing import HEAT_COLORS
from centernet.inference.heatmaps import Heatmaps, blend, blend_difference

# A cell is 4 x 8 image pixels and the first begins at (-2, 10).
MATRIX = np.array([[4.0, 0, -2], [0, 8.0, 10]])


def heatmaps(*cells: tuple[int, int, int, float], names=("cat", "dog"), size=(4, 6)) -> Heatmaps:
    """Maps of 0 but for some cells (label, row, column, probability)."""
    maps = np.zeros((len(names), *size), np.float32)
    for label, row, column, probability in cells:
        maps[label, row, column] = probability
    with np.errstate(divide="ignore"):
        return Heatmaps(np.log(maps / (1 - maps)), MATRIX, tuple(names))


def test_saturated_peaks_are_told_apart_as_in_detection():
    """Their probabilities are equal, 1; of two neighbors only the larger logit is a peak."""
    logits = np.full((1, 4, 6), -9, np.float32)
    logits[0, 1, 1:3] = 20, 18
    maps = Heatmaps(logits, MATRIX, ("cat",))
    assert maps.probabilities[0, 1, 1] == maps.probabilities[0, 1, 2] == 1
    outputs = {"heatmap": torch.from_numpy(logits)[None], "size": torch.ones(1, 2, 4, 6)}
    (found,) = decode(outputs, top_k=24)
    assert maps.peaks(0.5)["score"].tolist() == found["scores"][found["scores"] >= 0.5].tolist()
    assert len(maps.peaks(0.5)) == 1


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, [0.2, 0.9, 0.5]])
def test_peaks_are_those_of_detection(threshold):
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(3, 17, 23, generator=generator)
    logits[1] = logits[1].round()  # ties
    outputs = {"heatmap": logits[None], "size": torch.ones(1, 2, 17, 23)}
    (found,) = decode(outputs, stride=1, top_k=logits.numel())
    least = torch.tensor(threshold).expand(3)[found["labels"]]
    kept = (found["scores"] >= least) & (found["scores"] > 0)
    centers = (found["boxes"][kept, :2] + found["boxes"][kept, 2:]) / 2
    columns = *centers.T.tolist(), found["scores"][kept].tolist(), found["labels"][kept].tolist()
    peaks = Heatmaps(logits.numpy(), np.eye(2, 3), ("a", "b", "c")).peaks(threshold)
    expected = sorted(zip(*columns, strict=True))
    # A vectorized sigmoid rounds by where in memory a value lies.
    np.testing.assert_allclose(sorted(peaks.tolist()), expected, rtol=1e-6)
    assert len(peaks) > 20


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([], []),
        ([(0, 0, 0, 0.5)], [(0, 14, 0.5, 0)]),
        ([(1, 3, 5, 0.5), (0, 1, 2, 0.75)], [(8, 22, 0.75, 0), (20, 38, 0.5, 1)]),
        ([(0, 1, 1, 0.5), (0, 2, 2, 0.75)], [(8, 30, 0.75, 0)]),  # a neighbor is higher
        ([(0, 1, 1, 0.5), (1, 2, 2, 0.75)], [(8, 30, 0.75, 1), (4, 22, 0.5, 0)]),  # another class
        ([(0, 1, 1, 0.25)], []),  # below the threshold
        ([(0, 1, 1, 0.375)], [(4, 22, 0.375, 0)]),  # on it
    ],
)
def test_peaks_are_cells_higher_than_their_neighbors_best_first(cells, expected):
    found = heatmaps(*cells).peaks(0.375).tolist()
    assert len(found) == len(expected)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("size", [(333, 517), (61, 47), (129, 700), (32, 32)])
@pytest.mark.parametrize("resolution", ["auto", 320, "keep"])
def test_a_peak_and_the_overlays_glow_lie_within_half_a_cell_of_the_object(
    tmp_path, size, resolution
):
    x, y = 0.31 * size[1], 0.64 * size[0]
    longest = {"auto": 128, 320: 320, "keep": max(size)}[resolution]
    maps = spot_detector(resolution=resolution).heatmaps(blob(size, x, y, 6 * max(size) / longest))
    cell = np.diag(maps.matrix)
    np.testing.assert_allclose(cell, 4 * max(size) / longest, rtol=0.1)

    best = maps.peaks(0.1)[0]
    assert best["label"] == 2
    assert (abs(np.array([best["x"] - x, best["y"] - y])) <= 0.5 * cell).all()

    glow = maps.overlay(np.zeros((*size, 3), np.uint8))[: size[0]].sum(-1, dtype=int)
    row, column = np.unravel_index(glow.argmax(), glow.shape)
    assert (abs(np.array([column + 0.5 - x, row + 0.5 - y])) <= 0.5 * cell + 0.5).all()

    maps.save(tmp_path / "image.npz", threshold=0.1)
    with np.load(tmp_path / "image.npz", allow_pickle=False) as saved:
        _, row, column = np.unravel_index(
            saved["probabilities"].argmax(), saved["probabilities"].shape
        )
        center = saved["matrix"] @ [column + 0.5, row + 0.5, 1]
        assert (abs(center - [x, y]) <= 0.5 * cell).all()
        np.testing.assert_allclose(
            [saved["peaks"][0]["x"], saved["peaks"][0]["y"]], [x, y], atol=0.5 * cell.max()
        )


def test_the_file_holds_all_there_is_to_know(tmp_path):
    names = ("Fußgänger", "犬")
    heatmaps((0, 1, 2, 0.75), (1, 0, 0, 0.5), names=names).save(tmp_path / "a.npz", threshold=0.6)
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]
    with np.load(tmp_path / "a.npz", allow_pickle=False) as saved:
        assert sorted(saved) == ["class_names", "matrix", "peaks", "probabilities"]
        assert saved["probabilities"].dtype == np.float16
        assert saved["probabilities"].shape == (2, 4, 6)
        assert saved["probabilities"][0, 1, 2] == 0.75
        assert tuple(saved["class_names"]) == names
        np.testing.assert_array_equal(saved["matrix"], MATRIX)
        assert saved["peaks"].dtype.names == ("x", "y", "score", "label")
        np.testing.assert_allclose(saved["peaks"].tolist(), [(8, 22, 0.75, 0)], rtol=1e-6)


def test_probabilities_are_the_networks(tmp_path):
    maps = spot_detector().heatmaps(picture(("blue", 40, 64)))
    assert maps.probabilities.shape == (3, 32, 32) and maps.class_names == ("red", "blue", "white")
    assert maps.probabilities.dtype == np.float32
    np.testing.assert_allclose(maps.probabilities[1, 16, 10], SCORE, rtol=1e-6)
    np.testing.assert_array_equal(maps.matrix, [[4, 0, 0], [0, 4, 0]])


def test_an_overlay_is_drawn_on_a_file_as_on_its_pixels(tmp_path):
    maps = heatmaps((0, 1, 2, 0.75))
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png")
    for given in (tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(image)):
        np.testing.assert_array_equal(maps.overlay(given, 0), maps.overlay(image, 0))
    with pytest.raises(InputError, match=r"nowhere\.png"):
        maps.overlay("nowhere.png")
    with pytest.raises(InputError, match=r"label .* 1, got 2"):
        maps.overlay(image, 2)


def test_thresholds_of_peaks_may_be_given_by_class_name():
    maps = heatmaps((0, 1, 1, 0.5), (1, 3, 4, 0.5))
    assert maps.peaks({"cat": 0.6})["label"].tolist() == [1]
    with pytest.raises(InputError, match="cow"):
        maps.peaks({"cow": 0.6})


def test_an_overlay_of_one_class_shows_that_class_alone():
    maps = heatmaps((0, 1, 1, 0.9), (1, 2, 4, 0.6))
    image = np.zeros((42, 24, 3), np.uint8)

    def brightest(label: int | None) -> tuple[int, int]:
        """The column and row of the cell."""
        glow = maps.overlay(image, label)[:42].sum(-1, dtype=int)
        row, column = np.unravel_index(glow.argmax(), glow.shape)
        return (column + 0.5 + 2) // 4, (row + 0.5 - 10) // 8

    assert brightest(0) == brightest(None) == (1, 1)
    assert brightest(1) == (4, 2)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (7, 9), (480, 640), (1080, 1920)])
@pytest.mark.parametrize("label", [None, 0])
def test_an_overlay_has_a_legend_below_and_the_image_s_width(size, label):
    maps = heatmaps((0, 1, 2, 0.9), names=("très long nom de classe ж", "b"))
    image = np.full((*size, 3), 200, np.uint8)
    before = image.copy()
    overlay = maps.overlay(image, label)
    assert overlay.dtype == np.uint8 and overlay.shape[1:] == (size[1], 3)
    assert 24 <= overlay.shape[0] - size[0] <= 96
    np.testing.assert_array_equal(image, before)


def test_the_legend_names_what_is_shown():
    maps = heatmaps((0, 1, 2, 0.9))
    image = np.zeros((60, 200, 3), np.uint8)
    legends = [maps.overlay(image, label)[60:] for label in (None, 0, 1)]
    assert not any((legends[i] == legends[j]).all() for i, j in [(0, 1), (0, 2), (1, 2)])
    # The same colors are at the same place in all.
    assert (legends[0][12, -100:] == legends[1][12, -100:]).all()


@pytest.mark.parametrize(("heat", "share"), [(0, 0.35), (1, 0.85), (0.25, 0.6), (7, 0.85)])
def test_colors_grow_stronger_with_the_heat(heat, share):
    image = np.full((2, 3, 3), 100, np.uint8)
    blended = blend(image, np.full((2, 3), heat, np.float32))
    color = HEAT_COLORS[int(min(heat, 1) * 255)]
    np.testing.assert_allclose(blended[0, 0], 100 * (1 - share) + color * share, atol=1)
    assert (blended == blended[0, 0]).all()


def test_a_difference_is_orange_above_and_blue_below_zero():
    image = np.full((1, 3, 3), 100, np.uint8)
    too_little, right, too_much = blend_difference(image, np.float32([[-1, 0, 1]]))[0].astype(int)
    assert too_much[0] > too_much[1] > too_much[2] and too_little[2] > too_little[1] > too_little[0]
    assert (right == 65).all()  # dimmed
