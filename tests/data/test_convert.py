import json
import os
import re
import shutil

import cv2
import numpy as np
import pytest
from fakes import BCCD
from pycocotools.coco import COCO
from sample_datasets import coco_content, photograph, picture, text, write_coco, write_voc

from centernet.cli import main
from centernet.data.annotations import DatasetSplit, read_coco
from centernet.data.dataset import DetectionDataset
from centernet.data.formats import convert_dataset, read_dataset
from centernet.data.formats.detect import FORMATS, WRITERS
from centernet.data.formats.prepare import clean, merge
from centernet.errors import InputError

# One object and one region of each kind; in an image 40 high and 60 wide.
OBJECT = {
    "bbox": [8.25, 4, 16, 12.5],
    "area": 99.0,
    "segmentation": [[8.25, 4, 24.25, 4, 16, 16.5]],
}
CROWD = {"bbox": [32, 0, 16, 16], "iscrowd": 1, "segmentation": [[32, 0, 48, 0, 48, 16, 32, 16]]}
IGNORED = {"bbox": [0, 32, 8, 8], "category_id": 7, "ignore": 1}


@pytest.fixture
def coco(tmp_path):
    """Two training images, the second without objects, and one for validation."""
    root = tmp_path / "source"
    files = ["a.png", "b.png"]
    train = root / "annotations" / "instances_train.json"
    write_coco(train, root / "train", files, [OBJECT, CROWD, IGNORED])
    write_coco(root / "annotations" / "instances_val.json", root / "val", ["c.png"], [OBJECT])
    return root


def tree(root):
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())


def test_coco_to_coco_keeps_everything(coco, tmp_path):
    conversion = convert_dataset(coco, tmp_path / "out")
    assert tree(tmp_path / "out") == tree(coco)
    for name in ("train", "val"):
        old, new = (
            json.loads((root / "annotations" / f"instances_{name}.json").read_text())
            for root in (coco, tmp_path / "out")
        )
        for key in ("images", "categories"):
            assert new[key] == old[key]
        for a, b in zip(old["annotations"], new["annotations"], strict=True):
            assert b == {"area": a["bbox"][2] * a["bbox"][3]} | a
    assert conversion.messages == []
    assert "train       2 images        1 boxes      2 ignore regions" in str(conversion)


def test_coco_to_yolo_says_what_is_lost(coco, tmp_path):
    conversion = convert_dataset(coco, out := tmp_path / "out", format="yolo")
    assert tree(out) == [
        "conversion.txt", "data.yaml", "images/train/a.png", "images/train/b.png",
        "images/val/c.png", "labels/train/a.txt", "labels/train/b.txt", "labels/val/c.txt",
    ]  # fmt: skip
    # Classes follow ascending ids: 3 is cat, 7 is dog.
    expected = "train: images/train\nval: images/val\nnames:\n  0: cat\n  1: dog\n"
    assert (out / "data.yaml").read_text() == expected
    label = (out / "labels" / "train" / "a.txt").read_text().split()
    assert label[0] == "0"
    expected = [16.25 / 60, 10.25 / 40, 16 / 60, 12.5 / 40]
    assert list(map(float, label[1:])) == pytest.approx(expected, abs=1e-6)
    assert (out / "labels" / "train" / "b.txt").read_text() == ""
    assert [message.split(" left out")[0] for message in conversion.messages] == [
        "2 crowd or ignore regions", "2 segmentations",
    ]  # fmt: skip
    assert (out / "conversion.txt").read_text().splitlines() == conversion.messages
    assert "region" not in str(conversion)


def test_coco_to_voc_says_what_is_lost(coco, tmp_path):
    conversion = convert_dataset(coco, out := tmp_path / "out", format="voc")
    assert tree(out) == [
        "Annotations/a.xml", "Annotations/b.xml", "Annotations/c.xml",
        "ImageSets/Main/train.txt", "ImageSets/Main/val.txt",
        "JPEGImages/a.png", "JPEGImages/b.png", "JPEGImages/c.png", "conversion.txt",
    ]  # fmt: skip
    assert (out / "ImageSets" / "Main" / "train.txt").read_text() == "a\nb\n"
    assert [message[:10] for message in conversion.messages] == [
        "2 crowd or", "3 segmenta", "2 boxes ro",
    ]  # fmt: skip
    train = read_dataset(out)["train"].coco
    assert [a["bbox"] for a in train["annotations"]] == [
        [8, 4, 16, 12], [32, 0, 16, 16], [0, 32, 8, 8],
    ]  # fmt: skip
    assert [a.get("ignore") for a in train["annotations"]] == [None, 1, 1]


@pytest.mark.parametrize("format", WRITERS)
def test_names_with_blanks_percents_and_umlauts(tmp_path, format):
    files = ["a b.png", "sub/50%20.png", "größe#1.png"]
    images = tmp_path / "data" / "train"
    boxes = [{"image_id": i, "bbox": [1, 2, 10 + i, 20]} for i in (1, 2, 3)]
    source = tmp_path / "data" / "annotations" / "instances_train.json"
    write_coco(source, images, files, boxes)
    convert_dataset(tmp_path / "data", tmp_path / "out", format=format)
    split = read_dataset(tmp_path / "out")["train"]
    assert all((split.images / i["file_name"]).is_file() for i in split.coco["images"])
    names = {i["id"]: i["file_name"] for i in split.coco["images"]}
    # VOC has no blanks in names.
    found = {names[a["image_id"]][-7:-4]: round(a["bbox"][2]) for a in split.coco["annotations"]}
    assert found == {"a_b" if format == "voc" else "a b": 11, "%20": 12, "e#1": 13}


@pytest.mark.parametrize("format", WRITERS)
def test_what_is_written_is_read_again(coco, tmp_path, format):
    convert_dataset(coco, tmp_path / "out", format=format)
    convert_dataset(tmp_path / "out", tmp_path / "back", format="coco")
    splits = read_dataset(tmp_path / "back")
    assert list(splits) == ["train", "val"]
    for name, split in splits.items():
        before = read_coco(coco / "annotations" / f"instances_{name}.json")
        after = read_coco(split)
        file = [{i["id"]: i["file_name"] for i in c["images"]} for c in (before, after)]
        label = [{k["id"]: k["name"] for k in c["categories"]} for c in (before, after)]
        rows = [
            sorted(
                (file[n][a["image_id"]], label[n][a["category_id"]], a["iscrowd"], *a["bbox"])
                for a in c["annotations"]
                if FORMATS[format].has_ignore_regions or not a["iscrowd"]
            )
            for n, c in enumerate((before, after))
        ]
        assert [row[:3] for row in rows[0]] == [row[:3] for row in rows[1]]
        error = np.subtract(*([row[3:] for row in part] for part in rows))
        assert np.abs(error).max() <= (0.5 if format == "voc" else 1e-4)
        assert [i["file_name"] for i in after["images"]] == [
            i["file_name"] for i in before["images"]
        ]


@pytest.mark.parametrize("source", ["coco", "voc"])
def test_regions_are_masked_out_of_training(coco, tmp_path, source):
    if source == "voc":
        convert_dataset(coco, tmp_path / "voc", format="voc")
    split = read_dataset(coco if source == "coco" else tmp_path / "voc")["train"]
    _, target = DetectionDataset(split.images, split, input_size=(64, 64))[0]
    assert len(target["boxes"]) == 1
    # 60 pixels become 64, and 40 lie in the middle of 64: 10.7 of margin above, in cells 2.7.
    (crowd_label, crowd), (ignore_label, ignored) = target["ignore"]
    assert (crowd_label, ignore_label) == (0, 1)
    rows, columns = np.nonzero(crowd.numpy())
    assert (columns.min(), columns.max()) == (9, 12) and (rows.min(), rows.max()) == (3, 6)
    rows, columns = np.nonzero(ignored.numpy())
    assert (columns.min(), columns.max()) == (0, 1) and (rows.min(), rows.max()) == (11, 12)


def test_boxes_that_teach_nothing_are_left_out_by_name(tmp_path):
    voc = {"1": [("cat", (5, 6, 5, 6), 0), ("cat", (70, 1, 80, 9), 0), ("cat", (1, 2, 3, 4), 0)]}
    write_voc(tmp_path / "voc", {"train": ["1"]}, **voc)
    conversion = convert_dataset(tmp_path / "voc", tmp_path / "out")
    assert conversion.messages == [
        "train: 1.jpg: left out a box of 'cat' [5, 6, 0, 0], it is of zero size",
        "train: 1.jpg: left out a box of 'cat' [70, 1, 10, 8], it is outside the image",
    ]
    content = read_dataset(tmp_path / "out")["train"].coco
    assert [a["bbox"] for a in content["annotations"]] == [[1, 2, 2, 2]]
    assert len(COCO(tmp_path / "out" / "annotations" / "instances_train.json").anns) == 1


def test_boxes_are_cut_where_the_format_asks_for_it(tmp_path):
    write_coco(
        tmp_path / "in" / "train.json", tmp_path / "in", ["a.png"], [{"bbox": [-6, 8, 12, 99]}]
    )
    for format in ("yolo", "voc"):
        messages = convert_dataset(tmp_path / "in", tmp_path / format, format=format).messages
        assert messages[-1].startswith("1 boxes clipped")
    label = (tmp_path / "yolo" / "labels" / "train" / "a.txt").read_text()
    assert label == "0 0.0500000 0.6000000 0.1000000 0.8000000\n"
    convert_dataset(tmp_path / "in", tmp_path / "coco")
    (box,) = read_dataset(tmp_path / "coco")["train"].coco["annotations"]
    assert box["bbox"] == [-6, 8, 12, 99]


def test_the_smallest_box_keeps_a_pixel_in_voc(tmp_path):
    boxes = [{"bbox": [59.8, 39.8, 0.2, 0.2]}, {"bbox": [3.2, 3.2, 0.2, 0.2]}]
    write_coco(tmp_path / "in" / "train.json", tmp_path / "in", ["a.png"], boxes)
    convert_dataset(tmp_path / "in", tmp_path / "voc", format="voc")
    found = read_dataset(tmp_path / "voc")["train"].coco["annotations"]
    assert [a["bbox"] for a in found] == [[59, 39, 1, 1], [3, 3, 1, 1]]


def test_names_of_images_stay_apart_and_inside(tmp_path):
    root = tmp_path / "in"
    files = ["x/a.png", "y/a.png", "a.jpg", "A.png", "b c.png"]
    write_coco(root / "train.json", root, files)
    write_coco(root / "val.json", root, ["z/a.png", "x/a.png"])
    convert_dataset(root, tmp_path / "voc", format="voc")
    found = read_dataset(tmp_path / "voc")
    assert [i["file_name"] for i in found["train"].coco["images"]] == [
        "a.png", "y_a.png", "train_a.jpg", "train_A-2.png", "b_c.png",
    ]  # fmt: skip
    assert [i["file_name"] for i in found["val"].coco["images"]] == ["z_a.png", "x_a.png"]
    convert_dataset(root, tmp_path / "yolo", format="yolo")
    names = tree(tmp_path / "yolo" / "images")
    assert names == [
        "train/A-2.png", "train/a.jpg", "train/b c.png", "train/x/a.png", "train/y/a.png",
        "val/x/a.png", "val/z/a.png",
    ]  # fmt: skip
    assert {n.rpartition(".")[0] for n in names} == {
        n.rpartition(".")[0] for n in tree(tmp_path / "yolo" / "labels")
    }


def test_folders_named_images_do_not_lead_yolo_to_other_labels(tmp_path):
    # Label Studio writes images/ before each name.
    root, files = tmp_path / "in", ["images/a.png", "a.png", "x/images/b.png"]
    boxes = [{"image_id": i, "bbox": [1, 2, 3 + i, 4]} for i in (1, 2, 3)]
    write_coco(root / "train.json", root, files, boxes)
    convert_dataset(root, tmp_path / "yolo", format="yolo")
    assert tree(tmp_path / "yolo" / "images") == ["train/a-2.png", "train/a.png", "train/x/b.png"]
    found = read_dataset(tmp_path / "yolo")["train"].coco
    width = {found["images"][a["image_id"] - 1]["file_name"]: round(a["bbox"][2])
             for a in found["annotations"]}  # fmt: skip
    assert width == {"a.png": 4, "a-2.png": 5, "x/b.png": 6}


def test_one_folder_for_the_images_of_all_splits(coco, tmp_path):
    convert_dataset(coco, tmp_path / "out", image_folder="images")
    assert tree(tmp_path / "out" / "images") == ["a.png", "b.png", "c.png"]
    assert {s.images for s in read_dataset(tmp_path / "out").values()} == {
        tmp_path / "out" / "images"
    }


@pytest.mark.parametrize("images", ["copy", "link", "none"])
def test_images_are_copied_or_left_where_they_are(coco, tmp_path, images):
    conversion = convert_dataset(coco, out := tmp_path / "out", images=images)
    if images != "none":
        assert (out / "train" / "a.png").stat().st_nlink == (2 if images == "link" else 1)
        assert (out / "train" / "a.png").read_bytes() == (coco / "train" / "a.png").read_bytes()
    else:
        assert tree(out / "annotations") == ["instances_train.json", "instances_val.json"]
        assert not (out / "train").exists()
        (message,) = conversion.messages
        assert message.endswith(f"{coco / 'train'}, {coco / 'val'}")


def test_where_links_cannot_be_made_there_are_copies(coco, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("other device")

    monkeypatch.setattr(os, "link", refuse)
    conversion = convert_dataset(coco, tmp_path / "out", images="link")
    (message,) = conversion.messages
    assert message.startswith("3 images copied")
    assert (tmp_path / "out" / "val" / "c.png").stat().st_size


def test_missing_sizes_and_ids_are_filled_in(tmp_path):
    content = coco_content(
        ["a.png"], [{"id": 0, "bbox": [1, 2, 3, 4]}, {"id": 0, "bbox": [0, 0, 9, 9]}]
    )
    del content["images"][0]["width"]
    picture(tmp_path / "a.png", (30, 50))
    split, left_out = clean(DatasetSplit("train", tmp_path, content, tmp_path))
    assert (split.coco["images"][0]["width"], split.coco["images"][0]["height"]) == (50, 30)
    assert [(a["id"], a["area"]) for a in split.coco["annotations"]] == [(1, 12), (2, 81)]
    assert left_out == []
    assert "width" not in content["images"][0]


@pytest.mark.parametrize(
    ("annotation", "message"),
    [({"image_id": 9}, "has image_id 9"), ({"bbox": None}, "has bbox None"), ({}, "has bbox None")],
)
def test_what_cannot_be_converted_is_refused(tmp_path, annotation, message):
    write_coco(tmp_path / "in" / "train.json", tmp_path / "in", ["a.png", "b.png"], [annotation])
    with pytest.raises(InputError, match=rf"train\.json: annotation 1 {message}"):
        convert_dataset(tmp_path / "in", tmp_path / "out", val_fraction=0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "via"}, "format .*coco.*'via'"),
        ({"images": "move"}, "images .*copy, link, none.*'move'"),
        ({"classes": ["bird"]}, "no class 'bird'"),
        ({"val_fraction": 0.5}, "validation split already, of 1 images"),
        ({"val_fraction": 1.5}, "--val-fraction .* 1.5"),
        ({"group_by": "x"}, "'x' .*--val-fraction"),
    ],
)
def test_wrong_wishes_leave_nothing_behind(coco, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        convert_dataset(coco, tmp_path / "out", **options)
    assert [p.name for p in tmp_path.iterdir()] == ["source"]


def test_a_missing_image_leaves_nothing_behind(coco, tmp_path):
    (coco / "train" / "b.png").unlink()
    with pytest.raises(InputError, match=r"1 of 3 images are missing, the first is .*b\.png"):
        convert_dataset(coco, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["source"]


def test_a_disk_that_fills_up_leaves_nothing_behind(coco, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "copy_file_range", full)
    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(InputError, match=r"cannot write .*out: No space left"):
        convert_dataset(coco, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["source"]


def test_nothing_is_overwritten(coco, tmp_path):
    text(tmp_path / "out" / "mine.txt", "precious")
    with pytest.raises(InputError, match="out exists and is not empty"):
        convert_dataset(coco, tmp_path / "out")
    assert tree(tmp_path / "out") == ["mine.txt"]
    (tmp_path / "out" / "mine.txt").unlink()
    convert_dataset(coco, tmp_path / "out")  # an empty folder is no loss


def test_splits_are_joined_class_by_class(tmp_path):
    first = coco_content(["a.png"], [{"bbox": [1, 2, 3, 4]}])
    second = coco_content(["a.png"], [{"bbox": [5, 6, 7, 8], "category_id": 3}])
    second["categories"] = [{"id": 3, "name": "dog"}, {"id": 4, "name": "bird"}]
    merged = merge("all", [
        DatasetSplit("train", tmp_path / name, content, tmp_path)
        for name, content in (("x", first), ("y", second))
    ])  # fmt: skip
    assert merged.images == tmp_path
    assert [(i["id"], i["file_name"]) for i in merged.coco["images"]] == [
        (1, "x/a.png"), (2, "y/a.png"),
    ]  # fmt: skip
    names = {c["id"]: c["name"] for c in merged.coco["categories"]}
    assert sorted(names.values()) == ["bird", "cat", "dog"]
    found = [(a["id"], a["image_id"], names[a["category_id"]]) for a in merged.coco["annotations"]]
    assert found == [(1, 1, "cat"), (2, 2, "dog")]


def test_the_command_says_what_came_out_and_what_next(coco, tmp_path, capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as exit:
            main(["convert", *map(str, arguments)])
        return exit.value.code, capsys.readouterr().out

    status, printed = run(coco, out := tmp_path / "out", "--rename", "cat=pet", "dog=pet")
    assert not status
    assert "1 classes: pet" in printed and f"--data.root {out}" in printed
    status, printed = run(coco, tmp_path / "none", "--images", "none", "--classes", "cat")
    assert not status
    assert f"--data.train_images {coco / 'train'} --data.val_images {coco / 'val'}" in printed
    status, printed = run(coco, out)
    assert (
        str(status) == f"error: {out} exists and is not empty: choose another folder or remove it"
    )
    assert run(coco, tmp_path / "x", "--rename", "cat")[0] == 2
    only_train = coco / "annotations" / "instances_train.json"
    assert "--val-fraction 0.2" in run(only_train, tmp_path / "y")[1]
    only_val = coco / "annotations" / "instances_val.json"
    status, printed = run(only_val, tmp_path / "v", "--images", "none")
    assert not status and "only val" in printed
    cv2.imwrite(str(coco / "train" / "b.png"), photograph(0, (40, 60)))
    status, printed = run(only_train, tmp_path / "z", "--val-fraction", "0.5", "--format", "yolo")
    assert (
        not status and f"fit --config configs/custom.yaml --data.root {tmp_path / 'z'}" in printed
    )


def test_the_excerpt_of_bccd_is_converted_with_all_but_its_empty_boxes(tmp_path):
    source = tmp_path / "voc"
    shutil.copytree(BCCD / "voc", source)
    (source / "JPEGImages").symlink_to(BCCD / "images")
    conversion = convert_dataset(source, tmp_path / "out", follow_links=True)
    counts = {
        s.name: (len(s.coco["images"]), len(s.coco["annotations"])) for s in conversion.splits
    }
    # One more than in the COCO file, which lacks a double label.
    assert counts == {"train": (8, 116), "val": (4, 61)}
    empty = [message for message in conversion.messages if "zero" in message]
    assert [re.findall(r"BloodImage_\d+", message) for message in empty] == [
        ["BloodImage_00343"], ["BloodImage_00338"],
    ]  # fmt: skip
    known = rows(BCCD / "annotations" / "instances_val.json")
    assert rows(tmp_path / "out" / "annotations" / "instances_val.json") == known


def test_real_bccd_has_the_published_counts(test_data_root, tmp_path):
    source = tmp_path / "voc"
    source.mkdir()
    for name in ("Annotations", "ImageSets"):
        (source / name).symlink_to(test_data_root / "bccd_voc" / name)
    (source / "JPEGImages").symlink_to(test_data_root / "bccd" / "images")
    conversion = convert_dataset(source, tmp_path / "out")
    counts = {
        s.name: (len(s.coco["images"]), len(s.coco["annotations"])) for s in conversion.splits
    }
    assert counts == {"train": (205, 2804), "val": (87, 1137), "test": (72, 945)}
    assert [m for m in conversion.messages if "zero" in m] == [
        "train: BloodImage_00343.jpg: left out a box of 'RBC' [181, 329, 0, 0], it is of zero size",
        "val: BloodImage_00338.jpg: left out a box of 'RBC' [504, 337, 0, 0], it is of zero size",
    ]
    for name in counts:
        published = test_data_root / "bccd" / "annotations_raw" / f"instances_{name}.json"
        files = (published, tmp_path / "out" / "annotations" / f"instances_{name}.json")
        assert rows(*files[:1]) == rows(*files[1:])


@pytest.mark.parametrize(("data", "suffix"), [("bccd", ""), ("coco_mini", "2017")])
def test_real_annotations_survive_yolo(request, tmp_path, data, suffix):
    source = BCCD if data == "bccd" else request.getfixturevalue("test_data_root") / data
    convert_dataset(source, tmp_path / "yolo", format="yolo")
    convert_dataset(tmp_path / "yolo", tmp_path / "back")
    for name in ("train", "val"):
        before = rows(source / "annotations" / f"instances_{name}{suffix}.json")
        after = rows(tmp_path / "back" / "annotations" / f"instances_{name}.json")
        # Sorted by boxes of many digits, neighbors may change places: compare within a class.
        assert len(before) == len(after)
        left = list(after)
        for row in before:
            near = next(
                r
                for r in left
                if r[:2] == row[:2] and np.abs(np.subtract(r[2:], row[2:])).max() < 0.5
            )
            left.remove(near)
        assert not left


def rows(path):
    """(file, class, x, y, w, h) of every object, crowds left out."""
    content = read_coco(path)
    file = {i["id"]: i["file_name"] for i in content["images"]}
    name = {c["id"]: c["name"] for c in content["categories"]}
    return sorted(
        (file[a["image_id"]], name[a["category_id"]], *a["bbox"])
        for a in content["annotations"]
        if not a["iscrowd"]
    )


def test_flags_of_text_are_written_as_numbers(tmp_path):
    annotations = [
        OBJECT | {"iscrowd": "0"},
        CROWD | {"iscrowd": "true"},
        IGNORED | {"ignore": "1"},
    ]
    write_coco(tmp_path / "train.json", tmp_path / "train", ["a.png"], annotations)
    conversion = convert_dataset(tmp_path / "train.json", tmp_path / "out")
    written = json.loads((tmp_path / "out/annotations/instances_train.json").read_text())
    flags = [(a["iscrowd"], a.get("ignore")) for a in written["annotations"]]
    assert flags == [(0, None), (1, None), (0, 1)]
    assert "1 boxes      2 ignore regions" in str(conversion)


@pytest.mark.parametrize("format", WRITERS)
def test_a_name_that_is_not_utf8_is_converted(tmp_path, format, capsys):
    name = os.fsdecode(b"\xff.png")
    # One box is left out, which the report and the output say.
    boxes = [OBJECT, OBJECT | {"bbox": [0, 0, 0, 0]}]
    write_coco(tmp_path / "train.json", tmp_path / "train", ["a.png"], boxes)
    os.rename(tmp_path / "train/a.png", tmp_path / "train" / name)
    content = json.loads((tmp_path / "train.json").read_text())
    content["images"][0]["file_name"] = name
    (tmp_path / "train.json").write_text(json.dumps(content))
    arguments = ["convert", str(tmp_path / "train.json"), str(tmp_path / "out"), "--format", format]
    with pytest.raises(SystemExit) as done:
        main(arguments)
    assert not done.value.code and "\\udcff" in capsys.readouterr().out
    (split,) = read_dataset(tmp_path / "out").values()
    assert len(DetectionDataset(split.images, split)) == 1


@pytest.mark.parametrize(
    ("part", "change", "value"),
    [
        ("images", {"file_name": ""}, "file_name ''"),
        ("images", {"width": 10**400}, "width 1000"),
        ("annotations", {"category_id": [1]}, r"category_id \[1\]"),
        ("annotations", {"id": {}}, "id {}"),
        ("annotations", {"iscrowd": 1, "segmentation": [[0, 0, 1]]}, r"polygon \[0, 0, 1\]"),
        ("categories", {"name": "\ud800"}, r"name '\\ud800'"),
    ],
)
@pytest.mark.parametrize("options", [{}, {"classes": ["cat"]}])
def test_malformed_entries_are_refused_in_one_line(tmp_path, part, change, value, options):
    content = coco_content(["a.png"], [OBJECT])
    content[part][0] |= change
    picture(tmp_path / "a.png")
    text(tmp_path / "train.json", json.dumps(content))
    with pytest.raises(InputError, match=value) as error:
        convert_dataset(tmp_path / "train.json", tmp_path / "out", **options)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


@pytest.mark.parametrize("depth", [300, 950])
def test_fields_of_any_depth_are_converted_or_refused(tmp_path, depth):
    content = coco_content(["a.png"], [OBJECT])
    content["categories"][0]["supercategory"] = "DEEP"
    picture(tmp_path / "a.png")
    nested = json.dumps(content).replace('"DEEP"', "[" * depth + "]" * depth)
    text(tmp_path / "train.json", nested)
    try:
        assert convert_dataset(tmp_path / "train.json", tmp_path / "out").splits
    except InputError as error:
        assert "nested" in str(error) and not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["/etc/passwd", "../secret.png", "x/../../secret.png"])
def test_names_that_lead_out_of_the_dataset_are_refused(tmp_path, name):
    picture(tmp_path / "secret.png")
    write_coco(tmp_path / "in" / "train.json", tmp_path / "in", ["a.png"])
    content = json.loads((tmp_path / "in" / "train.json").read_text())
    content["images"].append({"id": 2, "file_name": name, "width": 60, "height": 40})
    text(tmp_path / "in" / "train.json", json.dumps(content))
    with pytest.raises(InputError, match=r"train\.json.*entry 1.*file_name"):
        convert_dataset(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("absolute", [False, True])
def test_names_that_lead_elsewhere_inside_the_dataset_are_made_relative(tmp_path, absolute):
    root = tmp_path / "in"
    file = picture(root / "photos" / "a.png")
    name = str(file) if absolute else "../photos/a.png"
    text(root / "annotations" / "instances_train.json", json.dumps(coco_content([name])))
    split = read_dataset(root)["train"]
    assert split.images == root and split.coco["images"][0]["file_name"] == "photos/a.png"
    convert_dataset(root, tmp_path / "out")
    assert tree(tmp_path / "out" / "train") == ["photos/a.png"]


def test_a_missing_image_is_not_replaced_by_one_of_its_name(tmp_path):
    root = tmp_path / "in"
    for name in ("images/a.png", "images/b.png", "old/c.png"):
        picture(root / name)
    content = coco_content(["a.png", "b.png", "c.png"])
    text(root / "annotations" / "instances_train.json", json.dumps(content))
    split = read_dataset(root)["train"]
    assert split.images == root / "images"
    assert [image["file_name"] for image in split.coco["images"]] == ["a.png", "b.png", "c.png"]
    with pytest.raises(InputError, match=r"1 of 3 images are missing.*c\.png"):
        convert_dataset(root, tmp_path / "out")


def test_a_file_that_is_no_image_is_refused(coco, tmp_path):
    text(coco / "train" / "b.png", "password")
    with pytest.raises(InputError, match=r"b\.png is not an image"):
        convert_dataset(coco, tmp_path / "out")


def test_links_to_the_outside_are_refused_unless_allowed(coco, tmp_path):
    (coco / "train" / "b.png").unlink()
    (coco / "train" / "b.png").symlink_to(picture(tmp_path / "secret.png"))
    with pytest.raises(InputError, match=r"b\.png.*secret\.png.*--follow-links"):
        convert_dataset(coco, tmp_path / "out")
    convert_dataset(coco, tmp_path / "out", follow_links=True)
    assert not (tmp_path / "out" / "train" / "b.png").is_symlink()


def test_the_folder_of_images_may_be_a_link(coco, tmp_path):
    (coco / "train").rename(tmp_path / "elsewhere")
    (coco / "train").symlink_to(tmp_path / "elsewhere")
    convert_dataset(coco, tmp_path / "out")
    assert tree(tmp_path / "out" / "train") == ["a.png", "b.png"]


@pytest.fixture
def yolo(tmp_path):
    """A YOLO dataset whose data.yaml names validation images of another folder."""
    root = tmp_path / "yolo"
    picture(root / "images" / "train" / "a.png")
    text(root / "labels" / "train" / "a.txt", "0 0.5 0.5 0.2 0.2\n")
    picture(tmp_path / "private" / "b.png")
    text(root / "data.yaml", "train: images/train\nval: ../private\nnames: [cat]\n")
    return root


@pytest.mark.parametrize("source", [".", "data.yaml"])
@pytest.mark.parametrize(
    "entry",
    ["val: ../private", "val: {tmp}/private", "path: ..\nval: private", "val: val.txt"],
)
def test_images_that_a_data_yaml_names_outside_of_its_folder_need_permission(
    yolo, tmp_path, entry, source
):
    text(yolo / "val.txt", "../private/b.png\n")
    train = yolo / "images" / "train"
    description = f"train: {train}\n{entry.format(tmp=tmp_path)}\nnames: [cat]\n"
    text(yolo / "data.yaml", description)
    assert read_dataset(yolo)["val"].coco["images"]  # training reads what its user names
    with pytest.raises(InputError, match=r"private/b\.png.*--follow-links"):
        convert_dataset(yolo / source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    convert_dataset(yolo / source, tmp_path / "out", follow_links=True)
    assert tree(tmp_path / "out" / "val") == ["b.png"]


def test_a_list_of_images_inside_and_outside_of_the_folder_needs_permission(yolo, tmp_path):
    text(yolo / "train.txt", f"images/train/a.png\n{tmp_path / 'private' / 'b.png'}\n")
    text(yolo / "data.yaml", "train: train.txt\nnames: [cat]\n")
    with pytest.raises(InputError, match=r"private/b\.png.*--follow-links"):
        convert_dataset(yolo, tmp_path / "out")


def test_a_leading_parent_folder_means_the_datasets_own_folder_if_it_exists(yolo, tmp_path):
    """Roboflow writes ../train/images, whatever lies beside the dataset."""
    picture(yolo / "val" / "images" / "c.png")
    picture(tmp_path / "val" / "images" / "b.png")
    text(yolo / "data.yaml", "train: images/train\nval: ../val/images\nnames: [cat]\n")
    assert read_dataset(yolo)["val"].images == yolo / "val" / "images"
