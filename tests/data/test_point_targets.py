"""Points from the annotations to the training samples: their extent, and augmentation."""

import math

import numpy as np
import pytest
from sample_datasets import coco_content

from centernet.data.annotations import DatasetSplit, read_coco
from centernet.data.augment import NONE, Augment
from centernet.data.dataset import DetectionDataset
from centernet.data.points import choose_point_sizes, extend_points, sizes_without_boxes


def split_of(annotations, files=("a.png",)):
    return DatasetSplit("train", None, coco_content(files, annotations), "a.json")


def point(x, y, **more):
    return {"bbox": [x, y, 0, 0], "point": True} | more


def test_size_of_a_class_with_boxes_is_theirs():
    annotations = [{"bbox": [0, 0, 4, 9]}, {"bbox": [0, 0, 8, 8]}, {"bbox": [9, 9, 10, 10]}]
    content = read_coco(split_of([*annotations, point(30, 20), point(36, 28, category_id=7)]))
    sizes = choose_point_sizes(content)
    assert sizes.of_class == {"cat": 8}  # the median of 6, 8 and 10
    extended = extend_points(content, sizes)["annotations"]
    assert extended[3]["bbox"] == [26, 16, 8, 8] and extended[3]["area"] == 64
    assert content["annotations"][3]["bbox"] == [30, 20, 0, 0]
    half = sizes.other / 2
    assert extended[4]["bbox"] == pytest.approx([36 - half, 28 - half, 2 * half, 2 * half])
    assert sizes_without_boxes({**content, "annotations": extended}, ["cat", "dog", "pig"]) == (
        None,
        sizes.other,
        None,
    )


def test_automatic_size_is_the_median_distance_of_neighbors():
    # images of 60 x 40 pixels: at most 60 / 8 = 7.5
    points = [point(10, 10), point(13, 14), point(13, 15), point(50, 35)]
    coco = read_coco(split_of(points))  # distances 5, 1, 1, and 42: 7.5
    assert choose_point_sizes(coco).other == 3
    assert "neighbors" in choose_point_sizes(coco).reason
    assert choose_point_sizes(coco, 11.5).other == 11.5
    assert extend_points(coco, 4)["annotations"][0]["bbox"] == [8, 8, 4, 4]


def test_automatic_size_of_single_points_is_an_eighth_of_the_image():
    coco = read_coco(split_of([point(10, 10), point(50, 35, image_id=2)], ["a.png", "b.png"]))
    assert choose_point_sizes(coco).other == 7.5
    assert "eighth" in choose_point_sizes(coco).reason
    for image in coco["images"]:
        del image["width"], image["height"]
    assert choose_point_sizes(coco).other == 32


def test_content_without_points_stays_as_it_is():
    coco = read_coco(split_of([{"bbox": [0, 0, 4, 9]}]))
    assert extend_points(coco) == coco and sizes_without_boxes(coco, ["cat"]) is None


@pytest.fixture
def dataset(tiny_coco):
    """Makes a dataset of an image of 60 x 40 pixels, with one cat."""

    def make(*annotations, **options):
        files = tiny_coco(list(annotations))
        return DetectionDataset(*files, **({"input_size": (64, 64)} | options))

    return make


def test_sample_marks_points(dataset):
    found = dataset(point(30, 20), {"bbox": [10, 5, 20, 30]}, point_size=8.0)
    assert found.point_sizes is None  # cats have boxes, too
    assert found.annotation(0).points.tolist() == [True, False]
    _, target = found[0]
    assert target["is_point"].tolist() == [True, False]
    # scaled by 64 / 60; the point's side is that of the box, sqrt(600)
    center = (target["boxes"][0, :2] + target["boxes"][0, 2:]) / 2
    assert center.tolist() == pytest.approx([32, 32], abs=1)
    side = target["boxes"][0, 2] - target["boxes"][0, 0]
    assert side.item() == pytest.approx(math.sqrt(600) * 64 / 60, abs=0.5)
    assert "is_point" not in dataset({"bbox": [10, 5, 20, 30]})[0][1]


def test_squares_at_the_border_keep_their_center(dataset):
    found = dataset(point(1, 39), point_size=8.0)
    assert found.point_sizes == (8.0, None)
    _, target = found[0]
    x, y = ((target["boxes"][0, :2] + target["boxes"][0, 2:]) / 2).tolist()
    matrix = target["matrix"]
    assert (x, y) == pytest.approx((matrix[0] @ [1, 39, 1], matrix[1] @ [1, 39, 1]), abs=1e-4)
    assert target["boxes"][0, 0] < 0


@pytest.mark.parametrize("options", [{}, {"tile": 32}])
def test_augmented_points_are_visible_inside_the_sample_only(dataset, options):
    xy = np.array([(x, y) for x in range(2, 60, 6) for y in range(2, 40, 6)], float)
    augment = Augment(scale=(0.4, 1.4), vertical_flip=0.5, min_visible=0.3)
    found = dataset(*(point(*pair) for pair in xy), augment=augment, point_size=9.0, **options)
    visible = 0
    for epoch in range(20):
        pixels, target = found[epoch, 0]
        matrix, (height, width) = target["matrix"], pixels.shape[1:]
        moved = np.column_stack([xy, np.ones(len(xy))]) @ matrix.T
        inside = ((moved >= 0) & (moved <= [width, height])).all(1)
        centers = ((target["boxes"][:, :2] + target["boxes"][:, 2:]) / 2).numpy()
        assert centers == pytest.approx(moved[inside], abs=1e-3)
        assert target["is_point"].all() and not target["ignore"]
        sides = (target["boxes"][:, 2] - target["boxes"][:, 0]).numpy()
        assert sides == pytest.approx(9 * abs(matrix[0, 0]), rel=1e-4)
        visible += len(centers)
    assert 0 < visible < 20 * len(xy)


def test_mirrored_point(dataset):
    augment = Augment(**vars(NONE) | {"flip": 1.0})
    _, target = dataset(point(15, 20), augment=augment, point_size=6.0)[0]
    x, y = ((target["boxes"][0, :2] + target["boxes"][0, 2:]) / 2).tolist()
    assert (x, y) == pytest.approx((64 - 15 * 64 / 60, 32), abs=1)


def test_very_many_points_take_bounded_work():
    # a grid of 200 x 200 points at a distance of 2 pixels
    points = [point(2 * x, 2 * y) for x in range(200) for y in range(200)]
    split = split_of(points)
    split.coco["images"][0] |= {"width": 400, "height": 400}
    assert choose_point_sizes(read_coco(split)).other == 2
