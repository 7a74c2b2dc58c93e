import json

import pytest
from sample_datasets import coco_content, picture, text, voc_xml, write_coco, write_voc

from centernet.data.formats import read_dataset
from centernet.data.formats.splits import split_name
from centernet.errors import InputError

BOX = {"bbox": [1, 2, 3, 4]}
DOG = BOX | {"category_id": 7}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("train", "train"),
        ("instances_train2017", "train"),
        ("val2017", "val"),
        ("valid", "val"),
        ("Validation", "val"),
        ("Testing", "test"),
        ("instances_minival2014", "minival"),
        ("train_annotations", "train"),
        ("_annotations.coco", ""),
        ("instances_default", ""),
        ("trainval", "trainval"),
        ("my-cells", "my_cells"),
    ],
)
def test_names_of_splits(text, name):
    assert split_name(text) == name


LAYOUTS = {
    "COCO's own": ("annotations/instances_{}2017.json", "{}2017"),
    "custom.yaml": ("annotations/instances_{}.json", "{}"),
    "one folder of images": ("annotations/instances_{}.json", "images"),
    "folders in images": ("annotations/{}.json", "images/{}"),
    "images in folders": ("annotations/{}.json", "{}/images"),
    "files beside folders": ("{}.json", "{}"),
    "Roboflow's": ("{}/_annotations.coco.json", "{}"),
    "FiftyOne's": ("{}/labels.json", "{}/data"),
}


@pytest.mark.parametrize(("file", "folder"), LAYOUTS.values(), ids=LAYOUTS)
def test_coco_layouts(tmp_path, file, folder):
    valid = "valid" if file.startswith("{}/") else "val"
    for name in ("train", valid):
        files = [f"{name}1.png", f"{name}2.png"]
        write_coco(tmp_path / file.format(name), tmp_path / folder.format(name), files, [BOX])
    splits = read_dataset(tmp_path)
    assert list(splits) == ["train", "val"]
    for name, found in zip(("train", valid), splits.values(), strict=True):
        assert found.images.resolve() == tmp_path / folder.format(name)
        assert found.source == tmp_path / file.format(name)
        assert found.notes == []
        assert [i["file_name"] for i in found.coco["images"]] == [f"{name}1.png", f"{name}2.png"]


def test_other_tasks_of_coco_are_left_alone(tmp_path):
    folder = tmp_path / "annotations"
    write_coco(folder / "instances_val2017.json", tmp_path / "val2017", ["a.png"])
    for name in ("person_keypoints_val2017.json", "captions_val2017.json", "more.json"):
        text(folder / name, json.dumps(coco_content(["b.png"])))
    assert [s.source.name for s in read_dataset(tmp_path).values()] == ["instances_val2017.json"]


def test_no_file_of_a_split_is_forgotten(tmp_path):
    for folder in "abc":
        write_coco(tmp_path / folder / "train.json", tmp_path / folder, [f"{folder}.png"])
    assert list(read_dataset(tmp_path)) == ["train", "b_train", "c_train"]


def test_a_single_file_names_its_split_or_is_for_training(tmp_path):
    file = write_coco(tmp_path / "labels.json", tmp_path / "images", ["a.png"])
    (found,) = read_dataset(file).values()
    assert (found.name, found.images) == ("train", tmp_path / "images")
    (note,) = found.notes
    assert note.startswith(f"{file}: ") and "'train'" in note
    file = file.rename(tmp_path / "test.json")
    assert list(read_dataset(file)) == ["test"]


def test_what_is_broken_stays_for_those_who_look(tmp_path):
    broken = [{"bbox": [1, 2, 0, 4]}, {"bbox": [99, 99, 1, 1]}, {"image_id": 5}, {"category_id": 1}]
    write_coco(tmp_path / "train.json", tmp_path, ["a.png"], broken)
    assert len(read_dataset(tmp_path)["train"].coco["annotations"]) == 4


def test_images_that_are_not_there_are_noted(tmp_path):
    file = text(tmp_path / "train.json", json.dumps(coco_content(["a.png"])))
    (note,) = read_dataset(tmp_path)["train"].notes
    assert note.startswith(f"{file}: ") and f"a.png in {tmp_path}" in note


def test_the_group_that_roboflow_adds_is_no_class(tmp_path):
    categories = [
        {"id": 0, "name": "cells", "supercategory": "none"},
        {"id": 1, "name": "red", "supercategory": "cells"},
    ]
    used = [BOX | {"category_id": 1}]
    write_coco(tmp_path / "train" / "x.json", tmp_path, ["a.png"], used, categories=categories)
    found = read_dataset(tmp_path)["train"]
    assert [c["name"] for c in found.coco["categories"]] == ["red"]
    assert "left out class 'cells'" in found.notes[-1]
    used = [BOX | {"category_id": 0}]
    write_coco(tmp_path / "train" / "x.json", tmp_path, ["a.png"], used, categories=categories)
    assert len(read_dataset(tmp_path)["train"].coco["categories"]) == 2


@pytest.mark.parametrize(
    ("classes", "rename", "names", "labels"),
    [
        (None, None, ["dog", "cat"], [3, 7, 7]),
        (["dog"], None, ["dog"], [7, 7]),
        (None, {"dog": "hound"}, ["hound", "cat"], [3, 7, 7]),
        (None, {"dog": "pet", "cat": "pet"}, ["pet"], [7, 7, 7]),
        (["pet"], {"cat": "pet"}, ["pet"], [3]),
        (["cat"], {"cat": "pet", "dog": "pet"}, ["pet"], [3]),
        (None, {"dog": "cat", "cat": "dog"}, ["cat", "dog"], [3, 7, 7]),
    ],
)
def test_classes_can_be_chosen_and_renamed(tmp_path, classes, rename, names, labels):
    write_coco(tmp_path / "train.json", tmp_path, ["a.png", "b.png"], [BOX, DOG, DOG])
    found = read_dataset(tmp_path, classes=classes, rename=rename)["train"]
    assert [c["name"] for c in found.coco["categories"]] == names
    assert [a["category_id"] for a in found.coco["annotations"]] == labels
    assert len(found.coco["images"]) == 2
    left_out = 3 - len(labels)
    assert len(found.notes) == bool(left_out)


@pytest.mark.parametrize("wish", [{"classes": ["bird"]}, {"rename": {"bird": "cat"}}])
def test_a_class_that_is_not_there_cannot_be_chosen(tmp_path, wish):
    write_coco(tmp_path / "train.json", tmp_path, ["a.png"])
    with pytest.raises(InputError, match="no class 'bird' among dog, cat"):
        read_dataset(tmp_path, **wish)


@pytest.mark.parametrize(
    ("part", "entry"), [("categories", {"id": 1}), ("annotations", {"category_id": None})]
)
def test_classes_cannot_be_chosen_where_they_are_broken(tmp_path, part, entry):
    file = write_coco(tmp_path / "train.json", tmp_path, ["a.png"], **{part: [entry]})
    with pytest.raises(InputError, match=f"{file} .* entry 0 of '{part}' has"):
        read_dataset(tmp_path, classes=["cat"])


def test_what_is_no_dataset_is_refused_in_one_line(tmp_path):
    with pytest.raises(InputError, match="nowhere does not exist"):
        read_dataset(tmp_path / "nowhere")
    picture(tmp_path / "a.png")
    text(tmp_path / "settings.json", "{}")
    text(tmp_path / "model.yaml", "names: [a]")
    text(tmp_path / "readme.xml", "<annotations></annotations>")
    with pytest.raises(InputError, match=rf"{tmp_path} .*COCO.*VOC.*YOLO") as error:
        read_dataset(tmp_path)
    assert "\n" not in str(error.value)
    for content in ("[]", "{", '{"images": []}'):
        with pytest.raises(InputError, match=r"a\.json"):
            read_dataset(text(tmp_path / "a.json", content))


def test_a_folder_of_two_formats_is_read_in_the_first_and_says_so(tmp_path):
    write_voc(tmp_path, {"train": ["1"]}, **{"1": [("cat", (1, 2, 3, 4), 0)]})
    write_coco(tmp_path / "annotations" / "train.json", tmp_path / "images", ["a.png"], [BOX])
    text(tmp_path / "annotations" / "a.xml", voc_xml("a.png"))
    (found,) = read_dataset(tmp_path).values()
    assert found.source.suffix == ".json"
    assert "read as coco" in found.notes[0] and "voc" in found.notes[0]


@pytest.mark.parametrize("value", [None, {}, [1], "thing", 7])
def test_a_group_of_classes_may_be_of_any_type(tmp_path, value):
    root = tmp_path / "set"
    write_coco(root / "annotations" / "instances_train.json", root / "train", ["a.png"], [BOX])
    content = coco_content(["a.png"], [BOX | {"category_id": [1]}, BOX])
    content["categories"][0]["supercategory"] = value
    text(root / "annotations" / "instances_train.json", json.dumps(content))
    assert read_dataset(root)["train"].coco["categories"] == content["categories"]


@pytest.mark.parametrize("images", [None, {}, "text", 7])
def test_images_that_are_no_list_are_refused(tmp_path, images):
    content = coco_content(["a.png"]) | {"images": images}
    file = text(tmp_path / "train.json", json.dumps(content))
    with pytest.raises(InputError, match=f"{file}.*'images'"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 300, "\ud800", [1], None])
def test_the_folder_of_images_is_found_beside_malformed_names(tmp_path, name):
    root = tmp_path / "set"
    write_coco(root / "annotations" / "instances_train.json", root / "train", ["a.png"], [BOX])
    content = coco_content([name, "a.png"], [BOX])
    text(root / "annotations" / "instances_train.json", json.dumps(content))
    assert read_dataset(root)["train"].images == root / "train"
