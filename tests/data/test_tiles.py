"""Training on tiles of large images."""

import json

import cv2
import numpy as np
import pytest

from centernet.data import images
from centernet.data.augment import NONE, Augment
from centernet.data.dataset import DetectionDataset
from centernet.data.tiles import Tile, tiles_of_image


@pytest.mark.parametrize(
    ("image_size", "objects", "input_size", "count"),
    [
        ((1000, 2000), 50, (1024, 2048), 8),  # 2 x 4 tiles of 512
        ((1000, 2000), 2, (1024, 2048), 3),  # few objects need few tiles
        ((1000, 2000), 0, (1024, 2048), 1),
        ((1000, 2000), 50, (512, 1024), 2),  # at half the size
        ((100, 200), 50, (96, 192), 1),  # smaller than a tile
        ((512, 1024), 50, (512, 1024), 2),  # exactly
    ],
)
def test_large_images_with_many_objects_have_many_tiles(image_size, objects, input_size, count):
    assert tiles_of_image(image_size, objects, input_size, 512) == count


def test_most_tiles_contain_a_part_of_an_object_and_all_are_inside_the_image():
    tile = Tile(100, np.array([[900, 500, 920, 510]], np.float32))
    rng = np.random.default_rng(0)
    centers = np.array([tile.draw_center(rng, (600, 1000), 0.5) for _ in range(500)])
    assert (centers >= 100).all() and (centers <= [900, 500]).all()  # half a tile is 100 pixels
    contains = (np.abs(centers - [910, 505]) < [110, 105]).all(1)
    assert 0.78 < contains.mean() < 0.9


def test_a_tile_of_a_small_image_contains_all_of_it():
    tile = Tile(100, np.zeros((0, 4), np.float32))
    assert tile.draw_center(np.random.default_rng(0), (60, 40), 1.0) == (20, 30)


@pytest.fixture
def large(tmp_path):
    """One image of 300 x 400 pixels with nine dots of 8 x 8 pixels, and one without objects."""
    image, annotations = np.zeros((300, 400, 3), np.uint8), []
    for i, (x, y) in enumerate((x, y) for x in (40, 200, 360) for y in (30, 150, 270)):
        image[y : y + 8, x : x + 8] = 255
        annotations.append(
            {"id": i, "image_id": 1, "category_id": 1, "bbox": [x, y, 8, 8], "iscrowd": 0}
        )
    cv2.imwrite(str(tmp_path / "a.png"), image)
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((300, 400, 3), np.uint8))
    images = [
        {"id": 1, "file_name": "a.png", "width": 400, "height": 300},
        {"id": 2, "file_name": "b.png"},
    ]
    coco = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "dot"}]}
    (tmp_path / "train.json").write_text(json.dumps(coco))
    return tmp_path


def dataset(folder, augment=NONE, **options):
    options = {"input_size": (300, 400), "augment": augment, "tile": 128} | options
    return DetectionDataset(folder, folder / "train.json", **options)


def test_boxes_of_tiles_cover_their_objects(large):
    data = dataset(large, Augment(brightness=0, contrast=0, saturation=0, lighting=0))
    assert (len(data), data.num_images, data.sample_size) == (11, 2, (128, 128))  # 10 and 1
    found = 0
    for sample in range(len(data)):
        image, target = data[3, sample]
        assert image.shape == (3, 128, 128)
        assert target["image_id"] == (1 if sample < 10 else 2)
        covered = np.zeros((128, 128), bool)
        for x1, y1, x2, y2 in target["boxes"].numpy().round().astype(int):
            covered[y1:y2, x1:x2] = True
        bright = image[0].numpy() > 200
        assert bright[~covered].sum() <= 0.02 * bright.size
        assert (~bright)[covered].mean() < 0.4 if covered.any() else True
        found += len(target["boxes"])
    assert found >= 8


def test_tiles_depend_on_seed_epoch_and_sample_only(large):
    data = dataset(large)
    first, again = data[1, 4][0].numpy(), dataset(large)[1, 4][0].numpy()
    np.testing.assert_array_equal(first, again)
    assert any((data[1, sample][0].numpy() != first).any() for sample in (5, 6, 7))
    assert any((data[epoch, 4][0].numpy() != first).any() for epoch in (2, 3, 4))


def test_validation_samples_are_whole_images(large):
    data = dataset(large, augment=None)
    assert len(data) == 2 and data[0][0].shape == (3, 300, 400)


@pytest.mark.parametrize(("side", "shrunk"), [(640, 1), (320, 2), (160, 4), (80, 8), (32, 8)])
def test_large_jpegs_are_read_smaller_for_training(tmp_path, monkeypatch, side, shrunk):
    image = np.zeros((483, 645, 3), np.uint8)
    image[300:400, 100:220] = 255
    cv2.imwrite(str(tmp_path / "a.jpg"), image)
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [100, 300, 120, 100], "iscrowd": 0}
    coco = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 645, "height": 483}],
        "annotations": [box],
        "categories": [{"id": 1, "name": "dot"}],
    }
    (tmp_path / "train.json").write_text(json.dumps(coco))
    read, sizes = images.read_image_and_size, []

    def recorded(path, shrink):
        sizes.append(read(path, shrink)[0].shape[0])
        return read(path, shrink)

    monkeypatch.setattr("centernet.data.dataset.read_image_and_size", recorded)
    data = dataset(tmp_path, NONE, tile=None, input_size=(side * 3 // 4, side))
    pixels, target = data[0]
    assert sizes == [-(-483 // shrunk)]
    scale = min(side / 645, side * 3 // 4 / 483)
    assert target["image_size"] == (483, 645)
    left, top, right, bottom = target["boxes"][0].tolist()
    assert (right - left) == pytest.approx(120 * scale, abs=1.1)
    bright = pixels[0].numpy() > 127
    assert np.flatnonzero(bright.any(0))[[0, -1]] == pytest.approx([left, right - 1], abs=1)
    assert np.flatnonzero(bright.any(1))[[0, -1]] == pytest.approx([top, bottom - 1], abs=1)
