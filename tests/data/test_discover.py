"""Finding the dataset in a folder that contains more."""

import pytest
from published_datasets import CSV_HEADER, roboflow_csv, two_voc_datasets, write_labels_beside
from reported_datasets import draw, write_voc_dataset, write_yolo_dataset
from sample_datasets import text, voc_xml

from centernet.data.formats import discover, read_dataset
from centernet.data.formats.detect import detect_format
from centernet.errors import InputError


@pytest.mark.parametrize("place", ["a", "a/b", "a/b/c"])
def test_a_dataset_is_found_three_folders_below(tmp_path, place):
    write_yolo_dataset(tmp_path / place)
    text(tmp_path / "README.md", "x")
    split = read_dataset(tmp_path)["train"]
    assert split.notes[0] == f"read {tmp_path / place}, the only dataset in {tmp_path}"
    assert len(split.coco["annotations"]) == 18


def test_no_dataset_is_searched_deeper_or_behind_a_link_or_in_folders_of_programs(tmp_path):
    write_yolo_dataset(tmp_path / "root" / "a" / "b" / "c" / "d")
    write_yolo_dataset(tmp_path / "root" / "runs" / "x")
    write_yolo_dataset(tmp_path / "elsewhere")
    (tmp_path / "root" / "link").symlink_to(tmp_path / "elsewhere")
    text(tmp_path / "root" / "README.md", "x")
    text(tmp_path / "root" / "a" / "README.md", "x")
    assert detect_format(tmp_path / "root") == []
    with pytest.raises(InputError, match="nor is a folder below it"):
        read_dataset(tmp_path / "root")


def test_the_search_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(discover, "_MAX_FOLDERS", 3)
    for name in ("a", "b", "d", "e"):
        text(tmp_path / name / "x.md", "x")
    write_yolo_dataset(tmp_path / "c")
    assert "the only dataset in the first 3 folders of" in read_dataset(tmp_path)["train"].notes[0]


def test_a_folder_of_datasets_is_not_read_as_the_first_of_them(tmp_path):
    write_yolo_dataset(tmp_path / "first")
    write_yolo_dataset(tmp_path / "second")
    with pytest.raises(InputError, match=r"several datasets: .*first, .*second"):
        read_dataset(tmp_path)
    write_voc_dataset(tmp_path / "third")
    with pytest.raises(InputError, match=r"several datasets: .*third"):
        read_dataset(tmp_path)
    assert len(read_dataset(tmp_path / "third")["train"].coco["images"]) == 6


def test_folders_of_labels_in_two_formats_beside_the_images_are_one_dataset(tmp_path):
    write_voc_dataset(tmp_path)
    (tmp_path / "annotations").rename(tmp_path / "labels xml")
    text(tmp_path / "labels" / "p0.txt", "0 .5 .5 .1 .1")
    assert detect_format(tmp_path) == ["voc", "yolo"]


def test_other_class_names_than_those_used_are_noted(tmp_path):
    write_labels_beside(tmp_path / "train", range(2))
    text(tmp_path / "a.names", "bolt\nnut\n")
    text(tmp_path / "b-classes.txt", "screw\nnut\n")
    split = read_dataset(tmp_path)["train"]
    assert [c["name"] for c in split.coco["categories"]] == ["bolt", "nut"]
    assert any("b-classes.txt has other class names" in note for note in split.notes)


def test_images_in_no_list_are_noted(tmp_path):
    write_labels_beside(tmp_path)
    text(tmp_path / "train.txt", "old/p0.jpg\nold/p1.jpg\n")
    split = read_dataset(tmp_path)["train"]
    assert len(split.coco["images"]) == 2
    assert any("4 images are in no split, left out" in note for note in split.notes)


def test_folders_of_one_split_are_all_read(tmp_path):
    write_labels_beside(tmp_path / "valid", range(2))
    write_labels_beside(tmp_path / "val", range(2, 5))
    assert len(read_dataset(tmp_path)["val"].coco["images"]) == 5


def test_xml_files_beside_a_voc_dataset_are_noted(tmp_path):
    write_voc_dataset(tmp_path)
    more = voc_xml("p0.png", [("nut", (1, 2, 30, 40), 0)], size=(120, 160))
    text(tmp_path / "more" / "p0.xml", more)
    split = read_dataset(tmp_path)["train"]
    assert len(split.coco["annotations"]) == 18
    assert f"{tmp_path / 'more'}: 1 XML files" in split.notes[-1]


def test_images_of_equal_names_in_two_datasets_are_kept_apart(tmp_path):
    two_voc_datasets(tmp_path)
    coco = read_dataset(tmp_path)["train"].coco
    names = sorted(image["file_name"] for image in coco["images"])
    assert names == [f"{d}/images/p{i}.png" for d in ("Defective", "Normal") for i in range(3)]
    assert {a["image_id"] for a in coco["annotations"]} == {i["id"] for i in coco["images"]}


def test_the_folder_that_names_a_split_may_be_above_that_of_the_files(tmp_path):
    for split in ("train", "test"):
        draw(tmp_path / split / "images" / f"{split}.png", 0)
        for name in ("bolt", "nut"):
            xml = voc_xml(f"{split}.png", [(name, (1, 2, 30, 40), 0)], size=(120, 160))
            text(tmp_path / split / "labels" / name / f"{split}.xml", xml)
    splits = read_dataset(tmp_path)
    assert list(splits) == ["train", "test"]
    assert all(len(s.coco["images"]) == 1 for s in splits.values())
    assert all(len(s.coco["annotations"]) == 2 for s in splits.values())


def test_unlisted_images_are_empty_only_in_an_export_of_roboflow(tmp_path):
    roboflow_csv(tmp_path)
    draw(tmp_path / "assets" / "logo.png", 0)
    split = read_dataset(tmp_path)["train"]
    assert len(split.coco["images"]) == 7
    assert any("1 images" in n and "empty.jpg" in n for n in split.notes)
    assert any("left out 1 images" in n and "logo.png" in n for n in split.notes)
    (tmp_path / "data" / "README.roboflow.txt").unlink()
    split = read_dataset(tmp_path)["train"]
    assert len(split.coco["images"]) == 6
    assert any("left out 2 images" in note and "empty cells" in note for note in split.notes)


def test_points_in_csv_are_named(tmp_path):
    draw(tmp_path / "images" / "a.png", 0)
    text(tmp_path / "csv" / "a.csv", "x,y\n74,6\n")
    with pytest.raises(InputError, match=r"points, such as in .*a\.csv.*filename,x,y"):
        read_dataset(tmp_path)
    text(tmp_path / "csv" / "a.csv", CSV_HEADER + "a.png,160,120,nut,1,2,30,40\n")
    assert len(read_dataset(tmp_path)["train"].coco["annotations"]) == 1


def test_yolo_labels_without_images_are_named(tmp_path):
    for number in range(3):
        text(tmp_path / "labeled" / f"p{number}.txt", "0 .5 .5 .1 .1\n")
    with pytest.raises(InputError, match=r"YOLO labels.*no images of the same names"):
        read_dataset(tmp_path)


def test_malformed_lines_of_keras_txt(tmp_path):
    for name in ("a", "b", "c"):
        draw(tmp_path / "train" / f"{name}.png", 0)
    lines = "a.png 1,2,30,40,0 5,5,9,9,7\nb.png\n\nc.png 1,2,3 4,4,8,8,0\nc.png 1.2.3,2,30,40,0\n"
    text(tmp_path / "train" / "_annotations.txt", lines)
    text(tmp_path / "train" / "_classes.txt", "bolt\n")
    split = read_dataset(tmp_path)["train"]
    assert [c["name"] for c in split.coco["categories"]] == ["bolt", "7"]
    assert [a["bbox"] for a in split.coco["annotations"]][:2] == [[1, 2, 29, 38], [5, 5, 4, 4]]


def test_an_error_names_the_folders_that_exist(tmp_path):
    write_yolo_dataset(tmp_path)
    names = "names: [bolt, nut]\n"
    file = text(tmp_path / "data.yaml", f"train: ../train/pictures\nval: images/train\n{names}")
    with pytest.raises(InputError, match=r"correct the path; the folders in .* are images, labels"):
        read_dataset(file)
