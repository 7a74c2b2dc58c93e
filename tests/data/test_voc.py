import os
from pathlib import Path

import numpy as np
import pytest
from sample_datasets import picture, text, voc_xml, write_voc

from centernet.data.formats import read_dataset, splits, voc
from centernet.errors import InputError

CAT = ("cat", (10, 5, 30, 25), 0)


def only_split(root):
    (found,) = read_dataset(root).values()
    return found


def test_lists_name_the_splits_and_a_union_is_left_out(tmp_path):
    lists = {"train": ["a", "b"], "val": ["c"], "trainval": ["a", "b", "c"], "test": ["d"]}
    write_voc(tmp_path, lists, a=[CAT, ("dog", (0, 0, 60, 40), 0)])
    text(tmp_path / "ImageSets" / "Main" / "cat_train.txt", "a  1\nb -1\n")
    splits = read_dataset(tmp_path)
    assert list(splits) == ["train", "val", "test"]
    train = splits["train"]
    assert train.images == tmp_path / "JPEGImages"
    assert train.source == tmp_path / "ImageSets" / "Main" / "train.txt"
    assert train.coco["images"] == [
        {"id": 1, "file_name": "a.jpg", "width": 60, "height": 40},
        {"id": 2, "file_name": "b.jpg", "width": 60, "height": 40},
    ]
    rest = {"image_id": 1, "iscrowd": 0}
    assert train.coco["annotations"] == [
        rest | {"id": 1, "category_id": 1, "bbox": [10, 5, 20, 20], "area": 400},
        rest | {"id": 2, "category_id": 2, "bbox": [0, 0, 60, 40], "area": 2400},
    ]
    notes = [note for split in splits.values() for note in split.notes]
    (note,) = notes
    assert str(tmp_path / "ImageSets" / "Main") in note and "'trainval'" in note
    names = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    assert all(split.coco["categories"] == names for split in splits.values())


def test_lists_and_the_order_of_classes_can_be_given(tmp_path):
    write_voc(tmp_path, {"train": ["a"], "val": ["c"], "trainval": ["a", "c"]}, a=[CAT])
    (found,) = voc.read(tmp_path, lists=["trainval"], names=["dog", "cat"])
    assert len(found.coco["images"]) == 2
    assert found.coco["annotations"][0]["category_id"] == 2
    with pytest.raises(InputError, match=r"no list test\.txt"):
        voc.read(tmp_path, lists=["test"])


def test_the_parent_of_one_dataset_will_do_but_not_that_of_two(tmp_path):
    write_voc(tmp_path / "VOCdevkit" / "VOC2007", {"train": ["a"]}, a=[CAT])
    assert len(only_split(tmp_path).coco["annotations"]) == 1
    write_voc(tmp_path / "VOCdevkit" / "VOC2012", {"train": ["a"]}, a=[CAT])
    with pytest.raises(InputError, match=r"several VOC datasets .*VOC2007, .*VOC2012"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    "folders", [("Annotations", "JPEGImages"), ("annotations", "images"), ".."]
)
def test_without_lists_all_is_for_training(tmp_path, folders):
    xml, images = folders if folders != ".." else (".", ".")
    for name in ("a", "b"):
        picture(tmp_path / images / f"{name}.png")
        # labelImg keeps the name that the image had elsewhere.
        text(tmp_path / xml / f"{name}.xml", voc_xml("elsewhere.jpg", [CAT]))
    found = only_split(tmp_path)
    assert found.name == "train" and "'train'" in found.notes[0]
    assert [i["file_name"] for i in found.coco["images"]] == ["a.png", "b.png"]
    assert (found.images / "a.png").is_file()


def test_folders_may_name_the_splits(tmp_path):
    for split in ("train", "valid"):
        picture(tmp_path / split / "a.jpg")
        text(tmp_path / split / "a.xml", voc_xml("a.jpg", [CAT]))
    assert {name: s.images for name, s in read_dataset(tmp_path).items()} == {
        "train": tmp_path / "train", "val": tmp_path / "valid",
    }  # fmt: skip


def test_folders_of_one_split_are_joined_and_others_keep_their_names(tmp_path):
    for folder in ("part1", "part2"):
        picture(tmp_path / folder / "a.jpg")
        text(tmp_path / folder / "a.xml", voc_xml("a.jpg", [CAT]))
    found = only_split(tmp_path)
    assert (found.name, found.images) == ("train", tmp_path)
    assert [i["file_name"] for i in found.coco["images"]] == ["part1/a.jpg", "part2/a.jpg"]
    assert [a["image_id"] for a in found.coco["annotations"]] == [1, 2]
    (tmp_path / "part2").rename(tmp_path / "val")
    assert {name: s.images.name for name, s in read_dataset(tmp_path).items()} == {
        "val": "val", "part1": "part1",
    }  # fmt: skip


def test_lists_of_one_split_are_joined(tmp_path):
    write_voc(tmp_path, {"train": ["a", "b"], "train2012": ["b", "c"]}, c=[CAT])
    found = only_split(tmp_path)
    assert [i["file_name"] for i in found.coco["images"]] == ["a.jpg", "b.jpg", "c.jpg"]
    more = tmp_path / "ImageSets" / "Main" / "train2012.txt"
    (note,) = found.notes
    assert note.startswith(str(more)) and "'train'" in note


def test_the_image_of_the_files_own_name_goes_before_the_one_that_it_names(tmp_path):
    for name in ("1", "2"):
        picture(tmp_path / f"{name}.jpg")
        text(tmp_path / f"{name}.xml", voc_xml("2.jpg", [CAT]))
    files = [i["file_name"] for i in only_split(tmp_path).coco["images"]]
    assert files == ["1.jpg", "2.jpg"]


@pytest.mark.parametrize("encoding", ["zlib", "no-such"])
def test_xml_of_an_unsupported_encoding_is_left_out_and_noted(tmp_path, encoding):
    write_voc(tmp_path, {"train": ["a", "b"]}, a=[CAT])
    file = tmp_path / "Annotations" / "b.xml"
    file.write_text(f'<?xml version="1.0" encoding="{encoding}"?>' + voc_xml("b.jpg"))
    found = only_split(tmp_path)
    assert len(found.coco["images"]) == 1
    assert "1 images left out" in found.notes[0] and str(file) in found.notes[0]


def test_folders_that_may_not_be_read_are_passed_over(tmp_path, monkeypatch):
    picture(tmp_path / "train" / "a.jpg")
    text(tmp_path / "train" / "a.xml", voc_xml("a.jpg", [CAT]))
    text(tmp_path / "lost+found" / "a.xml", voc_xml("a.jpg"))
    scandir, read_bytes = os.scandir, Path.read_bytes

    def refuse(read, path):
        if "lost+found" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(os, "scandir", lambda path: refuse(scandir, path))
    monkeypatch.setattr(Path, "read_bytes", lambda path: refuse(read_bytes, path))
    assert splits.folders_in(tmp_path / "lost+found") == []
    assert list(read_dataset(tmp_path)) == ["train"]


def test_difficult_objects_are_ignore_regions(tmp_path):
    write_voc(tmp_path, {"train": ["a"]}, a=[CAT, ("cat", (0, 0, 9, 9), 1)])
    marks = [a.get("ignore") for a in only_split(tmp_path).coco["annotations"]]
    assert marks == [None, 1]


def test_vocs_own_pixels_count_from_one(tmp_path):
    picture(tmp_path / "JPEGImages" / "a.jpg")
    own = voc_xml("a.jpg", [("cat", (1, 1, 60, 40), 0)], database="The VOC2007 Database")
    text(tmp_path / "Annotations" / "a.xml", own)
    found = only_split(tmp_path)
    assert found.coco["annotations"][0]["bbox"] == [0, 0, 60, 40]  # all of the image
    assert "from 1" in found.notes[-1]


def test_a_size_that_is_not_given_is_the_images_own(tmp_path):
    picture(tmp_path / "a.png", (33, 44))
    text(tmp_path / "a.xml", voc_xml("a.png", [CAT], size=None))
    found = only_split(tmp_path)
    assert found.coco["images"][0] | {"width": 44, "height": 33} == found.coco["images"][0]
    assert "44x33" in found.notes[-1]


def test_what_is_broken_is_kept_where_coco_can_hold_it_and_else_noted(tmp_path):
    objects = [("cat", (5, 5, 5, 5), 0), ("cat", (9, 9, 1, 1), 0), ("cat", (1, 2, "x", 4), 0)]
    lists = {"train": ["a", "b", "c"]}
    write_voc(tmp_path, lists, a=[*objects, ("", (1, 2, 3, 4), 0), CAT])
    xml = tmp_path / "Annotations"
    bad, gone = xml / "b.xml", xml / "c.xml"
    bad.write_text("<annotation><object>")
    gone.unlink()
    (tmp_path / "JPEGImages" / "a.jpg").unlink()
    found = only_split(tmp_path)
    boxes = [a["bbox"] for a in found.coco["annotations"]]
    assert boxes == [[5, 5, 0, 0], [1, 1, 8, 8], [10, 5, 20, 20]]
    assert [i["file_name"] for i in found.coco["images"]] == ["a.jpg"]
    expected = [
        f"{xml}: 1 objects without four numbers in the bndbox",
        f"{xml}: 1 objects without a name",
        f"{xml}: 2 images left out, whose XML is unreadable; the first is {bad}: ",
        f"{tmp_path / 'JPEGImages'}: 1 images are missing",
        f"{xml}: 1 boxes have swapped corners",
    ]
    assert len(found.notes) == len(expected)
    for note, start in zip(found.notes, expected, strict=True):
        assert note.startswith(start) and "\n" not in note


def test_images_without_xml_are_left_out_and_noted(tmp_path):
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        picture(tmp_path / name)
    text(tmp_path / "a.xml", voc_xml("a.jpg", [CAT]))
    found = only_split(tmp_path)
    assert len(found.coco["images"]) == 1
    assert f"{tmp_path}: left out 2 images" in found.notes[-1] and "b.jpg" in found.notes[-1]


def test_an_empty_list_of_images_is_refused(tmp_path):
    write_voc(tmp_path, {"train": ["a"]}, a=[CAT])
    text(tmp_path / "ImageSets" / "Main" / "train.txt", "\n")
    with pytest.raises(InputError, match=r"ImageSets/Main"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("width", ["inf", "nan", "1e300", "-5", "wide"])
def test_a_size_that_is_no_number_of_pixels_is_the_images_own(tmp_path, width):
    picture(tmp_path / "JPEGImages" / "a.jpg")
    text(tmp_path / "Annotations" / "a.xml", voc_xml("a.jpg", [CAT], size=(40, width)))
    found = only_split(tmp_path)
    assert found.coco["images"][0]["width"] == 60
    assert any("60x40" in note for note in found.notes)


@pytest.mark.parametrize(("angle", "box"), [(0, [30, 45, 40, 10]), (np.pi / 2, [45, 30, 10, 40])])
def test_a_rotated_box_is_enclosed(tmp_path, angle, box):
    rotated = f"<cx>50</cx><cy>50</cy><w>40</w><h>10</h><angle>{angle}</angle>"
    content = f"<object><name>cat</name><robndbox>{rotated}</robndbox></object>"
    size = "<size><width>200</width><height>100</height></size>"
    picture(tmp_path / "a.jpg")
    text(tmp_path / "a.xml", f"<annotation>{size}{content}</annotation>")
    split = only_split(tmp_path)
    assert split.coco["annotations"][0]["bbox"] == pytest.approx(box)
    assert any("rotated" in note for note in split.notes)
