import pytest
from sample_datasets import boxes, coco_content, labelme, only_split, picture, text, via, write_json

from centernet.analysis.check.check_dataset import check_dataset
from centernet.data.annotations import read_coco
from centernet.data.formats import convert_dataset, read_dataset
from centernet.data.formats.detect import FORMATS, WRITERS, detect_format
from centernet.data.formats.outlines import (
    box_of_ellipse,
    box_of_points,
    box_of_rotated_box,
)
from centernet.errors import InputError
from centernet.training.sources import DataSource

# Images of 160x120 with a bolt (b) or nut (n) at x, y, width, height.
CASE = """p0 b 51 52 49 23, p0 b 112 89 38 26, p0 b 104 5 21 49, p1 n 75 76 33 38, p1 b 21 70 36 34,
p1 n 78 3 27 48, p2 b 122 25 26 20, p2 n 52 41 24 46, p2 n 94 22 33 26, p3 n 96 29 33 45,
p3 b 17 89 28 22, p3 n 60 5 26 39, p4 b 33 53 38 38, p4 b 12 45 47 33, p4 n 61 23 38 30,
p5 n 66 54 40 24, p5 b 30 85 46 27, p5 b 111 30 25 41"""
CASES = {
    "11a-labelme": "labelme",
    "11b-via": "via",
    "11c-cvat-images-xml": "cvat",
    "11d-csv-kaggle": "csv",
    "11e-csv-tf": "csv",
    "11g-datumaro": "datumaro",
    "11h-labelstudio-json": "labelstudio",
}


@pytest.mark.parametrize(("case", "name"), CASES.items(), ids=CASES)
def test_drawn_examples(test_data_root, case, name):
    root = test_data_root / "cases" / case
    if not root.is_dir():
        pytest.skip(f"there is no {root}")
    assert detect_format(root) == [name]
    found = only_split(root)
    assert found.name == "train" and len(found.notes) <= 2
    assert [i["file_name"] for i in found.coco["images"]] == [f"p{i}.jpg" for i in range(6)]
    assert all((i["width"], i["height"]) == (160, 120) for i in found.coco["images"])
    names = {"b": "bolt", "n": "nut"} if "kaggle" not in case else {"b": "object", "n": "object"}
    words = [line.split() for line in CASE.split(",")]
    expected = [(f"{p}.jpg", names[c], [float(v) for v in box]) for p, c, *box in words]
    assert expected == boxes(found)
    assert all((found.images / i["file_name"]).is_file() for i in found.coco["images"])


def test_open_images_without_rows(test_data_root):
    root = test_data_root / "cases" / "11l-openimages"
    if not root.is_dir():
        pytest.skip(f"there is no {root}")
    with pytest.raises(InputError, match=r"Open Images CSV.*train-annotations-bbox\.csv"):
        read_dataset(root)


def test_boxes_of_outlines():
    assert box_of_points([[3, 9], [1, 2]]) == [1, 2, 2, 7]
    assert box_of_points([]) is box_of_points([[1]]) is box_of_points("x") is None
    assert box_of_rotated_box([0, 0, 4, 2], 90) == pytest.approx([1, -1, 2, 4])
    assert box_of_rotated_box([0, 0, 4, 2], 90, (0, 0)) == pytest.approx([-2, 0, 2, 4])
    assert box_of_ellipse((5, 5), (2, 1), 90) == pytest.approx([4, 3, 2, 4])
    assert all(value != value for value in box_of_rotated_box([0, 0, 4, 2], float("inf")))


def test_an_export_takes_precedence(tmp_path):
    picture(tmp_path / "images" / "a.png")
    text(tmp_path / "labels" / "a.txt", "0 0.5 0.5 0.2 0.2\n")
    write_json(tmp_path / "images" / "a.json", labelme())
    assert detect_format(tmp_path) == ["yolo"]
    assert detect_format(tmp_path / "images" / "a.json") == ["labelme"]
    assert detect_format(write_json(tmp_path / "coco.json", coco_content(["a.png"]))) == ["coco"]


def test_training_and_check_read_them(tmp_path):
    for split in ("train", "val"):
        picture(tmp_path / split / "a.png")
        content = labelme(("cat", "rectangle", [[1, 2], [21, 22]]))
        write_json(tmp_path / split / "a.json", content)
    paths = {part: (part, f"annotations/instances_{part}.json") for part in ("train", "val")}
    images, split = DataSource(tmp_path, paths).find("val")
    assert images == tmp_path / "val" and len(split.coco["annotations"]) == 1
    report = check_dataset(tmp_path, input_size=(32, 32))
    assert [arrays.names for arrays in report.splits] == [("cat",), ("cat",)]
    assert check_dataset(tmp_path / "val" / "a.json", input_size=(32, 32)).splits[0].names


def test_formats_without_a_writer_are_only_read(tmp_path):
    assert {"coco", "voc", "yolo", "cvat"} < WRITERS.keys() < FORMATS.keys()
    picture(tmp_path / "source" / "a.png")
    write_json(tmp_path / "source" / "a.json", labelme(("cat", "rectangle", [[1, 2], [4, 6]])))
    with pytest.raises(InputError, match="format must be one of coco, voc, yolo"):
        convert_dataset(tmp_path / "source", tmp_path / "out", format="via")
    convert_dataset(tmp_path / "source", tmp_path / "out", format="coco")
    assert boxes(only_split(tmp_path / "out")) == [("a.png", "cat", [1, 2, 3, 4])]


DEEP = "[" * 100_000 + "]" * 100_000
HOSTILE = {
    "nested deeply": ("a.json", '{"imagePath": "a.png", "shapes": ' + DEEP + "}"),
    "shapes that are a number": ("a.json", '{"imagePath": "a.png", "shapes": 3}'),
    "no name": ("a.json", '{"imagePath": null, "shapes": [[]], "x": ' + "9" * 5000 + "}"),
    "VIA of numbers": ("a.json", '{"_via_img_metadata": {"a": 1}}'),
    "VIA without a name": ("a.json", '{"x": {"filename": 3, "regions": {"0": 1}}}'),
    "Datumaro without labels": ("a.json", '{"categories": {"label": 3}, "items": [1]}'),
    "Label Studio of numbers": ("a.json", '[1, {"data": 1, "annotations": 1, "result": 1}]'),
    "entities": ("a.xml", '<!DOCTYPE a [<!ENTITY b "c">]><annotations><version>&b;</version>'),
    "XML that ends": ("a.xml", "<annotations><version>1.1</version><image "),
    "CSV in Latin 1": ("a.csv", "filename,class,xmin,ymin,xmax,ymax\n\xe9.png,c,1,2,3,4\n"),
    "CSV of long cells": ("a.csv", "filename,bbox\na.png," + "1" * 200_000 + "\n"),
    "no format": ("a.json", '{"a": 1}'),
}


@pytest.mark.parametrize(("name", "content"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_give_one_line(tmp_path, name, content):
    picture(tmp_path / "a.png")
    (tmp_path / name).write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=str(tmp_path)) as caught:
        read_dataset(tmp_path)
    assert len(str(caught.value)) < 950


def test_unusable_numbers_are_dropped_like_those_of_other_formats(tmp_path):
    picture(tmp_path / "a.png")
    points = [[[1, 2], [float("nan"), 4]], [[0, 0], [1e300, 1]], [[1, 2], [4, 6]]]
    shapes = [("cat", "rectangle", pair) for pair in points]
    shapes.append(("cat", "circle", [[1, 1], [10**400, 2]]))
    write_json(tmp_path / "a.json", labelme(*shapes))
    (kept,) = read_coco(only_split(tmp_path))["annotations"]
    assert kept["bbox"] == [1, 2, 3, 4]


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", "a\0.png", "x" * 5000])
def test_names_outside_of_the_dataset_are_not_read(tmp_path, name):
    picture(tmp_path / "sub" / "a.png")
    write_json(tmp_path / "sub" / "via.json", via(a=[]) | {"b": {"filename": name, "regions": []}})
    found = only_split(tmp_path / "sub")
    files = [i["file_name"] for i in found.coco["images"]]
    assert files in (["a.png"], ["a.png", "etc/passwd"])
    assert found.images == tmp_path / "sub"


def test_names_that_match_two_images(tmp_path):
    for folder in "xy":
        picture(tmp_path / folder / "a.png")
    write_json(tmp_path / "via.json", via(a=[]))
    with pytest.raises(InputError, match=r"a\.png can be x/a\.png or y/a\.png"):
        read_dataset(tmp_path)


def test_of_equal_names_the_nearest_image_is_meant(tmp_path):
    for folder in "xy":
        picture(tmp_path / folder / "pixels" / "a.png")
        write_json(tmp_path / folder / "annotations" / "via.json", via(a=[]))
    write_json(tmp_path / "y" / "annotations" / "via.json", {"b": {"filename": 1, "regions": []}})
    assert only_split(tmp_path).images == tmp_path / "x" / "pixels"


def test_of_equal_names_the_image_of_the_split_is_meant(tmp_path):
    for split in ("train", "valid"):
        picture(tmp_path / split / "a.png")
        name = split.removesuffix("id")
        text(tmp_path / f"{name}.csv", "image_id,bbox\na,[1 2 3 4]\n")
    splits = read_dataset(tmp_path)
    assert [s.images.name for s in splits.values()] == ["train", "valid"]
