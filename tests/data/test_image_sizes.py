import logging

import numpy as np
import pytest
from PIL import Image
from reported_datasets import HEIGHT, OBJECTS, WIDTH, coco, draw_all, write_coco_dataset
from sample_datasets import write_json

from centernet.data.annotations import DatasetSplit
from centernet.data.formats import read_dataset
from centernet.data.formats.image_sizes import repair_sizes
from centernet.data.images import read_image
from centernet.training.sources import DataSource


def boxes_of(split: DatasetSplit) -> list[list[float]]:
    return [a["bbox"] for a in split.coco["annotations"]]


def sizes_of(split: DatasetSplit) -> set[tuple[int, int]]:
    return {(i["width"], i["height"]) for i in split.coco["images"]}


BOXES = [box for _, _, box in OBJECTS]


def test_enlarged_images(tmp_path):
    content = coco()
    x, y, w, h = content["annotations"][0]["bbox"]
    content["annotations"][0]["segmentation"] = [[x, y, x + w, y, x + w, y + h]]
    write_coco_dataset(tmp_path, content)
    draw_all(tmp_path / "images", size=(2 * WIDTH, 2 * HEIGHT))
    split = read_dataset(tmp_path)["train"]
    assert "scaled by 2" in " ".join(split.notes) and "--repair" in " ".join(split.notes)
    assert boxes_of(split) == BOXES and sizes_of(split) == {(WIDTH, HEIGHT)}
    split = read_dataset(tmp_path, repair=True)["train"]
    assert boxes_of(split) == [[2 * v for v in box] for box in BOXES]
    (polygon,) = split.coco["annotations"][0]["segmentation"]
    assert polygon == [2 * v for v in (x, y, x + w, y, x + w, y + h)]
    assert sizes_of(split) == {(2 * WIDTH, 2 * HEIGHT)}


def test_sizes_that_no_box_explains_stay(tmp_path):
    content = coco() | {"annotations": coco()["annotations"][:2]}
    write_coco_dataset(tmp_path, content)
    draw_all(tmp_path / "images", size=(2 * WIDTH, 2 * HEIGHT))
    split = read_dataset(tmp_path, repair=True)["train"]
    assert "unknown" in " ".join(split.notes)
    assert boxes_of(split) == BOXES[:2] and sizes_of(split) == {(WIDTH, HEIGHT)}


def test_sizes_off_by_some_pixels_beside_scaled_images(tmp_path):
    content = coco()
    content["images"][0]["width"] = WIDTH + 3
    for image in content["images"][1:]:
        image["width"], image["height"] = 2 * WIDTH, 2 * HEIGHT
    for annotation in content["annotations"][3:]:
        annotation["bbox"] = [2 * v for v in annotation["bbox"]]
    write_coco_dataset(tmp_path, content)
    split = read_dataset(tmp_path, repair=True)["train"]
    assert "1 images" in split.notes[0] and "5 images" in split.notes[1]
    assert boxes_of(split) == BOXES and sizes_of(split) == {(WIDTH, HEIGHT)}


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_boxes_of_the_stored_image_follow_its_orientation(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[4:12, 50:58] = 255
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=exif, quality=95)
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [50, 4, 8, 8]}
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 60, "height": 40}],
        "annotations": [annotation | {"segmentation": {"size": [40, 60], "counts": "x"}}],
        "categories": [{"id": 1, "name": "white"}],
    }
    split = DatasetSplit("train", tmp_path, content, tmp_path / "train.json")
    (line,) = repair_sizes(split, apply=True)
    assert "EXIF" in line and sizes_of(split) == {(40, 60)}
    x, y, w, h = (int(v) for v in content["annotations"][0]["bbox"])
    seen = read_image(tmp_path / "a.jpg")[..., 0] > 128
    assert seen[y : y + h, x : x + w].all() and seen.sum() == w * h == 64
    assert "segmentation" not in content["annotations"][0]


def test_an_orientation_that_the_boxes_follow(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    draw_all(tmp_path / "images", "p{}.jpg", size=(HEIGHT, WIDTH), exif=exif)
    write_json(tmp_path / "annotations" / "train.json", coco("p{}.jpg", (HEIGHT, WIDTH)))
    split = read_dataset(tmp_path, repair=True)["train"]
    assert boxes_of(split) == BOXES and sizes_of(split) == {(WIDTH, HEIGHT)}


def test_training_reads_the_sizes_of_the_files(tmp_path, caplog):
    write_coco_dataset(tmp_path, coco(size=(HEIGHT, WIDTH)))
    paths = {part: ("images", "annotations/instances_train.json") for part in ("train", "val")}
    with caplog.at_level(logging.INFO):
        _, split = DataSource(tmp_path, paths).find("train")
    assert sizes_of(split) == {(WIDTH, HEIGHT)}
    assert "6 images have width and height exchanged" in caplog.text


def test_placeholders_of_sizes_are_no_evidence_of_scaling(tmp_path):
    """One box exceeds its image by some pixels; all are far from the end of 1000 x 1000."""
    content = coco()
    for image in content["images"]:
        image["width"] = image["height"] = 1000
    content["annotations"][0]["bbox"] = wide = [100, 20, WIDTH - 95, 30]
    write_coco_dataset(tmp_path, content)
    split = read_dataset(tmp_path, repair=True)["train"]
    assert "unknown" in " ".join(split.notes) and boxes_of(split) == [wide, *BOXES[1:]]
