import numpy as np
import pytest
from pycocotools import mask as coco_mask

from centernet.data.regions import Box, Polygons, RunLengths, parse_segmentation, region_to_cells
from centernet.errors import InputError

TRIANGLE = [5, 3, 45, 10, 30, 30]


def mask_of(region, height, width):
    return region.contains(np.arange(height), np.arange(width))


def by_pycocotools(polygons, height, width):
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))) != 0


@pytest.mark.parametrize("nothing", [None, [], {}, ""])
def test_no_segmentation_is_no_region(nothing):
    assert parse_segmentation(nothing) is None


def test_an_rle_that_ends_early_is_background_from_there_on():
    mask = mask_of(parse_segmentation({"counts": [10, 20], "size": [100, 100]}), 100, 100)
    assert mask.sum() == 20 and mask[10:30, 0].all()
    for counts in ([10], [10, 20, 5], []):
        mask = mask_of(parse_segmentation({"counts": counts, "size": [100, 100]}), 100, 100)
        assert mask.sum() == sum(counts[1:2])


def test_a_huge_rle_takes_no_memory():
    region = parse_segmentation({"counts": [0, 5], "size": [1_000_000, 1_000_000]})
    assert region.contains(np.array([4, 5]), np.array([0, 999_999])).tolist() == [
        [True, False],
        [False, False],
    ]
    assert region.enclosing_box() == [0, 0, 1, 5]
    cells = region_to_cells(region, (40, 60), np.eye(2, 3), (10, 15), 4)
    assert cells.shape == (10, 15) and not cells.any()


@pytest.mark.parametrize("seed", range(5))
def test_an_rle_is_what_pycocotools_says(seed):
    rng = np.random.default_rng(seed)
    for _ in range(40):
        height, width = (int(side) for side in rng.integers(1, 30, 2))
        mask = np.asfortranarray(rng.random((height, width)) < rng.random()).astype(np.uint8)
        encoded = coco_mask.encode(mask)
        runs = np.diff(np.flatnonzero(np.diff(mask.ravel("F"), prepend=0, append=2)), prepend=0)
        for counts in (encoded["counts"].decode(), encoded["counts"], runs.tolist()):
            region = parse_segmentation({"counts": counts, "size": [height, width]})
            np.testing.assert_array_equal(mask_of(region, height, width), mask)
            assert region.enclosing_box() == coco_mask.toBbox(encoded).tolist()


@pytest.mark.parametrize("step", [1, 0.5, 0.1, 1e-9])
def test_polygons_are_what_pycocotools_draws(step):
    rng, different, total = np.random.default_rng(0), 0, 0
    for _ in range(300):
        height, width = (int(side) for side in rng.integers(1, 40, 2))
        polygons = [
            (np.round(rng.uniform(-10, 50, 2 * rng.integers(3, 9)) / step) * step).tolist()
            for _ in range(rng.integers(1, 3))
        ]
        found = mask_of(parse_segmentation(polygons), height, width)
        different += (found != by_pycocotools(polygons, height, width)).sum()
        total += found.size
    assert different < 3e-4 * total  # pixels whose center lies on an edge


def test_rows_and_columns_come_in_any_order():
    region = parse_segmentation([TRIANGLE])
    mask, rows, columns = mask_of(region, 40, 60), np.array([20, 9, 9, 0]), np.array([31, 7, 20])
    np.testing.assert_array_equal(region.contains(rows, columns), mask[np.ix_(rows, columns)])


@pytest.mark.parametrize("far", [1e9, 1e15])
def test_a_distant_vertex_keeps_the_direction_of_its_edges(far):
    # Above the line y = x + 0.4, which clamping the vertex would turn.
    mask = mask_of(parse_segmentation([[0, 0.4, far, far, far, 0]]), 4, 4)
    np.testing.assert_array_equal(mask, np.triu(np.ones((4, 4), bool)))


@pytest.mark.parametrize(
    ("shape", "value"),
    [
        ({"counts": [-1, 5], "size": [9, 9]}, "negative"),
        ({"counts": [0, 82], "size": [9, 9]}, "82 pixels"),
        ({"counts": [10**12], "size": [9, 9]}, "1000000000000 pixels"),
        ({"counts": [10**400], "size": [9, 9]}, "counts"),
        ({"counts": None, "size": [9, 9]}, "counts None"),
        ({"counts": [True, 5], "size": [9, 9]}, "counts"),
        ({"counts": ["1", 5], "size": [9, 9]}, "counts"),
        ({"counts": "\u20ac\ud800", "size": [9, 9]}, "counts"),
        ({"counts": "PPPP", "size": [9, 9]}, "counts 'PPPP'"),
        ({"counts": "!!", "size": [9, 9]}, "counts '!!'"),
        ({"counts": "o" * 20 + "0", "size": [9, 9]}, "64 bits"),
        ({"counts": "O", "size": [9, 9]}, "negative"),
        ({"counts": [1], "size": [-9, 9]}, r"\[-9, 9\]"),
        ({"counts": [1], "size": [0, 9]}, r"\[0, 9\]"),
        ({"counts": [1], "size": [9]}, r"\[9\]"),
        ({"counts": [1], "size": [2**31, 1]}, r"\[2147483648, 1\]"),
        ({"counts": [1], "size": ["9", 9]}, "'9'"),
        ({"counts": [1], "size": [9.5, 9]}, "9.5"),
        ({"counts": [1], "size": None}, "size None"),
        ({"counts": [1]}, "'size'"),
        ({"size": [9, 9]}, "'counts'"),
        ([[1, 2, 3, 4]], r"\[1, 2, 3, 4\]"),
        ([[1, 2, 3, 4, 5, 6, 7]], "polygon"),
        ([[[1, 2], [3, 4], [5, 6]]], "polygon"),
        ([TRIANGLE, None], "polygon None"),
        ([[*TRIANGLE[:5], float("inf")]], "coordinate inf"),
        ([[*TRIANGLE[:5], float("nan")]], "coordinate nan"),
        ([[*TRIANGLE[:5], 10**400]], "coordinate 1000"),
        ([[*TRIANGLE[:5], "7"]], "coordinate '7'"),
        ([[*TRIANGLE[:5], True]], "coordinate True"),
        (TRIANGLE, "polygon 5"),
        ("text", "'text'"),
        (7, "7"),
    ],
)
def test_a_malformed_segmentation_is_refused_in_one_line(shape, value):
    with pytest.raises(InputError, match=value) as error:
        parse_segmentation(shape)
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


def test_an_empty_rle_has_an_empty_box():
    assert RunLengths((3, 3), np.array([4, 4])).enclosing_box() == [0, 0, 0, 0]


def test_a_box_holds_the_pixels_whose_centers_lie_in_it():
    mask = mask_of(Box([-5, 38.6, 7.4, 10]), 40, 60)
    assert np.argwhere(mask).tolist() == [[39, 0], [39, 1]]


def test_a_polygon_across_the_whole_image_holds_all_of_it():
    assert mask_of(Polygons([np.array([[-9, -9], [99, -9], [99, 99], [-9, 99]])]), 7, 5).all()
