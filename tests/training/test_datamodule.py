import json
import logging

import cv2
import numpy as np
import pytest
from fakes import TINY_CONFIG
from sample_datasets import coco_content, text, write_coco, write_voc

from centernet.data.formats import convert_dataset
from centernet.data.shapes import make_shapes
from centernet.errors import InputError
from centernet.training.config_data import data_of_config
from centernet.training.datamodule import DetectionData
from centernet.training.train_cli import main

BOX = {"bbox": [1, 2, 30, 20]}
CUSTOM = {
    "train_images": "train",
    "train_annotations": "annotations/instances_train.json",
    "val_images": "val",
    "val_annotations": "annotations/instances_val.json",
}


@pytest.fixture
def voc(tmp_path):
    objects = {"1": [("cat", (1, 2, 30, 30), 0), ("dog", (9, 9, 40, 40), 0)]}
    lists = {"train": ["1", "2"], "val": ["3"], "trainval": ["1", "2", "3"]}
    return write_voc(tmp_path / "voc", lists, **objects)


def test_a_root_of_another_format_is_read_as_it_is(voc, caplog):
    with caplog.at_level(logging.INFO):
        data = DetectionData(str(voc), **CUSTOM)
        data.setup("fit")
    assert (len(data.train_set), len(data.val_set)) == (2, 1)
    assert data.class_names == ["cat", "dog"]
    assert data.train_set.name == "train" and data.val_set.category_ids == [1, 2]
    first, note = caplog.messages
    assert all(part in first for part in (str(voc), "voc", "train 2, val 1"))
    assert str(voc / "ImageSets" / "Main") in note and "'trainval'" in note


def test_options_name_the_split_of_another_format(voc):
    # By COCO's names, which are the defaults, and by the split's own.
    assert len(DetectionData(str(voc)).train_set) == 2
    data = DetectionData(str(voc), val_annotations="annotations/instances_train.json")
    assert len(data.val_set) == 2
    assert (
        len(DetectionData(str(voc), train_annotations="val", class_names=["cat", "dog"]).val_set)
        == 1
    )


def test_a_split_is_named_also_where_its_folder_is_there(tmp_path):
    for name in ("train", "test"):
        write_coco(tmp_path / name / "_annotations.coco.json", tmp_path / name, ["a.png"], [BOX])
    data = DetectionData(str(tmp_path), train_annotations="train", val_annotations="test")
    assert data.val_set.paths == [tmp_path / "test" / "a.png"]


def test_the_image_size_can_go_by_a_dataset_of_another_format(voc, caplog):
    with caplog.at_level(logging.INFO):
        data = DetectionData(str(voc), image_size="auto")
        assert data.input_size == (192, 256)
    assert "256x192" in caplog.messages[-1] and "60x40" in caplog.messages[-1]


def test_what_the_options_name_is_taken_where_it_is(tmp_path, caplog):
    for name in ("train", "val"):
        file = tmp_path / "annotations" / f"instances_{name}.json"
        write_coco(file, tmp_path / name, [f"{name}.png"], [BOX])
    write_voc(tmp_path, {"train": ["1", "2"], "val": ["3"]}, **{"1": [("bird", (1, 2, 3, 4), 0)]})
    with caplog.at_level(logging.INFO):
        data = DetectionData(str(tmp_path), **CUSTOM)
        data.setup("fit")
    assert data.class_names == ["cat", "dog"] and len(data.train_set) == 1
    assert caplog.messages == []


@pytest.mark.parametrize("kind", ["coco", "voc"])
def test_classes_can_be_chosen_and_renamed(tmp_path, voc, kind):
    if kind == "coco":
        voc = tmp_path / "coco"
        for name in ("train", "val"):
            file = voc / "annotations" / f"instances_{name}.json"
            write_coco(file, voc / name, [f"{name}.png"], [BOX, BOX | {"category_id": 7}])
    data = DetectionData(str(voc), **CUSTOM, classes=["cat"], rename={"cat": "pet"})
    assert data.class_names == ["pet"] and data.train_set.num_objects == 1
    data = DetectionData(str(voc), **CUSTOM, rename={"cat": "pet", "dog": "pet"})
    assert data.class_names == ["pet"] and data.train_set.num_objects == 2
    with pytest.raises(InputError, match="no class 'bird'"):
        DetectionData(str(voc), **CUSTOM, classes=["bird"]).setup("fit")


def test_names_of_some_classes_point_to_the_option_that_selects_them(tmp_path):
    make_shapes(tmp_path / "shapes", train=4, val=2, size=64)
    some = {"class_names": ["circle", "star"]}
    with pytest.raises(InputError, match=r"4 classes.*--data\.classes"):
        DetectionData(str(tmp_path / "shapes"), **CUSTOM, **some).setup("fit")


def test_without_a_validation_split_it_says_what_to_do(tmp_path):
    write_voc(tmp_path, {"train": ["1"]}, **{"1": [("cat", (1, 2, 30, 30), 0)]})
    with pytest.raises(InputError) as error:
        DetectionData(str(tmp_path), **CUSTOM).setup("fit")
    said = str(error.value)
    for part in ("'val'", "only train", "1 images", "--data.val_annotations"):
        assert part in said


def test_a_dataset_without_validation_images_gets_some(tmp_path, caplog):
    names = [f"{i}" for i in range(10)]
    objects = {name: [("cat", (1 + int(name), 2, 30, 30), 0)] for name in names}
    write_voc(tmp_path, {"train": names}, **objects)
    generator = np.random.default_rng(0)
    for name in names:  # different pictures: equal ones would stay together
        pixels = generator.integers(0, 256, (40, 60, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "JPEGImages" / f"{name}.jpg"), pixels)
    chosen = []
    for _ in range(2):
        data = DetectionData(str(tmp_path), **CUSTOM)
        with caplog.at_level("INFO"):
            data.setup("fit")
        train, val = (
            {path.stem for path in split.paths} for split in (data.train_set, data.val_set)
        )
        assert not train & val and len(train) == 8 and len(val) == 2
        chosen.append(val)
    assert chosen[0] == chosen[1]
    assert "2 of its 10 training images are held out" in caplog.text


def test_what_is_not_there_is_said_in_one_line(tmp_path):
    with pytest.raises(InputError, match=r"cannot read annotation file .*instances_train\.json"):
        DetectionData(str(tmp_path / "nowhere"), **CUSTOM).setup("fit")
    text(tmp_path / "annotations" / "instances_val.json", json.dumps(coco_content(["a.png"])))
    data = DetectionData(str(tmp_path), **CUSTOM)
    with pytest.raises(InputError, match=r"'train', only val.*--data\.train_annotations"):
        _ = data.train_set
    data = DetectionData(str(tmp_path), val_annotations="val", class_names=["cat", "dog"])
    with pytest.raises(InputError, match=r"1 of 1 images are missing"):
        _ = data.val_set


def test_opencv_starts_no_threads_which_would_not_survive_the_fork_of_a_worker(voc):
    cv2.setNumThreads(4)
    DetectionData(str(voc), **CUSTOM).setup("fit")
    assert cv2.getNumThreads() == 1


@pytest.mark.parametrize("place", ["config", "arguments"])
def test_the_old_name_of_an_option_is_answered_with_the_new_one(tmp_path, place):
    arguments = ["fit", "--data.only=[cat]"]
    if place == "config":
        text(tmp_path / "old.yaml", "data: {root: x, only: [cat]}")
        arguments = ["fit", f"--config={tmp_path / 'old.yaml'}"]
        with pytest.raises(InputError, match=r"data\.classes"):
            data_of_config(tmp_path / "old.yaml")
    with pytest.raises(InputError, match=r"data\.only.*data\.classes") as error:
        main(arguments)
    assert "\n" not in str(error.value)


def test_a_configuration_of_an_earlier_run_without_the_option_can_be_read(tmp_path):
    text(tmp_path / "old.yaml", "data: {root: x, only: null}")
    assert data_of_config(tmp_path / "old.yaml").source.root.name == "x"


@pytest.mark.slow
def test_training_on_yolo_labels_and_validating_on_another_split(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text(tmp_path / "tiny.yaml", TINY_CONFIG)
    make_shapes(tmp_path / "shapes", train=8, val=3, size=64)
    convert_dataset(tmp_path / "shapes", tmp_path / "yolo", format="yolo")
    options = ["--config=tiny.yaml", "--data.root=yolo", "--data.rename={star: sun}"]
    options.append("--data.classes=[sun, circle]")
    main(["fit", *options])
    best = tmp_path / "runs" / "tiny" / "best.ckpt"
    main(["validate", *options, f"--ckpt_path={best}", "--data.val_annotations=train"])
    per_class = (best.parent / "validate-train" / "per_class.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in per_class] == ["class", "circle", "sun"]
