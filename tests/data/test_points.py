"""Points: read from every format that has them, normalized, and written."""

import pytest
from sample_datasets import boxes, coco_content, labelme, only_split, picture, text, write_json

from centernet.data.annotations import DatasetSplit, read_coco
from centernet.data.formats.convert import convert_dataset
from centernet.data.formats.detect import WRITERS, read_dataset
from centernet.data.points import is_point


def points(split):
    """Image, class, x and y of each point."""
    marks = [is_point(a) for a in split.coco["annotations"]]
    found = [(*b[:2], *b[2][:2]) for b, mark in zip(boxes(split), marks, strict=True) if mark]
    assert all(b[2][2:] == [0, 0] for b, mark in zip(boxes(split), marks, strict=True) if mark)
    return found


@pytest.mark.parametrize(
    "content",
    [
        "filename,x,y,class\na.png,5.5,7,cat\na.png,59,1,dog\nb.png,,,\n",
        "class;Y;X;image\ncat;7;5.5;a.png\ndog;1;59;a.png\n;;;b.png\n",
        "path,label,x_center,y_center\nold/a.png,cat,5.5,7\na.png,dog,59,1\nb.png,,,\n",
        "a.png,5.5,7,cat\na.png,59,1,dog\nb.png,,,\n",
    ],
)
def test_csv_of_points(tmp_path, content):
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png")
    text(tmp_path / "points.csv", content)
    found = only_split(tmp_path)
    assert points(found) == [("a.png", "cat", 5.5, 7), ("a.png", "dog", 59, 1)]
    assert len(found.coco["images"]) == 2


def test_csv_with_width_and_height_has_boxes(tmp_path):
    picture(tmp_path / "a.png")
    text(tmp_path / "a.csv", "image,x,y,width,height,class\na.png,1,2,3,4,cat\na.png,1,2,0,0,cat\n")
    found = only_split(tmp_path)
    assert not points(found)
    assert [a["bbox"] for a in read_coco(found)["annotations"]] == [[1, 2, 3, 4]]


def test_coco_keypoints(tmp_path):
    picture(tmp_path / "images" / "a.png")
    annotations = [
        {"keypoints": [5, 7, 2]},
        {"keypoints": [6, 8, 1], "bbox": [6, 8, 0, 0], "category_id": 7},
        {"keypoints": [9, 9, 0]},  # not labeled
        {"keypoints": [9, 9, 2], "bbox": [1, 2, 3, 4]},  # the box is better
        {"keypoints": [1, 1, 2, 3, 3, 2], "bbox": [1, 2, 3, 4]},
        {"bbox": [6, 8, 0, 0]},  # a fault
    ]
    annotations[2] |= {"bbox": [9, 9, 0, 0]}
    write_json(tmp_path / "annotations" / "train.json", coco_content(["a.png"], annotations))
    split = only_split(tmp_path)
    assert points(split) == [("a.png", "cat", 5, 7), ("a.png", "dog", 6, 8)]
    assert any("2 annotations have a keypoint and no box" in note for note in split.notes)
    coco = read_coco(split)
    assert [a["bbox"] for a in coco["annotations"]] == [
        [5, 7, 0, 0],
        [6, 8, 0, 0],
        [1, 2, 3, 4],
        [1, 2, 3, 4],
    ]
    assert [is_point(a) for a in coco["annotations"]] == [True, True, False, False]
    assert [a["area"] for a in coco["annotations"]] == [0, 0, 12, 12]


def test_normalization_keeps_points_inside_the_image():
    annotations = [
        {"bbox": [60, 40, 0, 0], "point": True},  # on the border
        {"bbox": [10, 10, 4, 6], "point": True},  # the center of a box
        {"bbox": [61, 4, 0, 0], "point": True},
        {"bbox": [-1, 4, 0, 0], "point": True},
        {"bbox": [float("nan"), 4, 0, 0], "point": True},
        {"bbox": [5, 5, 0, 0], "point": True, "iscrowd": 1},
        {"bbox": [5, 5, 0, 0], "point": 1},
    ]
    split = DatasetSplit("train", None, coco_content(["a.png"], annotations), "a.json")
    coco = read_coco(split)
    assert [a["bbox"] for a in coco["annotations"]] == [[60, 40, 0, 0], [12, 13, 0, 0]]


def test_label_studio_keypoints(tmp_path):
    picture(tmp_path / "a.png")
    value = {"x": 10, "y": 5, "width": 0.5, "keypointlabels": ["cat"]}
    sides = {"original_width": 60, "original_height": 40}
    result = {"type": "keypointlabels", "value": value} | sides
    task = {"id": 1, "data": {"image": "a.png"}, "annotations": [{"result": [result]}]}
    write_json(tmp_path / "a.json", [task])
    assert points(only_split(tmp_path)) == [("a.png", "cat", 6, 2)]


def test_labelme_points(tmp_path):
    picture(tmp_path / "a.png")
    shapes = [("cat", "point", [[3, 4]]), ("cat", "point", [[3, 4], [5, 6]])]
    write_json(tmp_path / "a.json", labelme(*shapes, ("cat", "points", [[3, 4]])))
    found = only_split(tmp_path)
    assert points(found) == [("a.png", "cat", 3, 4)]
    notes = " ".join(found.notes)
    assert "1 points without a valid point" in notes and "1 groups of points" in notes


def test_datumaro_points(tmp_path):
    picture(tmp_path / "images" / "train" / "a.png")
    item = {"id": "a", "image": {"path": "a.png", "size": [40, 60]}}
    item["annotations"] = [{"type": "points", "label_id": 0, "points": [3, 4], "visibility": [2]}]
    categories = {"label": {"labels": [{"name": "cat"}]}}
    content = {"categories": categories, "items": [item]}
    write_json(tmp_path / "annotations" / "train.json", content)
    assert points(only_split(tmp_path)) == [("a.png", "cat", 3, 4)]


@pytest.mark.parametrize("format", WRITERS)
def test_points_are_written_or_reported(tmp_path, format):
    picture(tmp_path / "in" / "a.png")
    picture(tmp_path / "in" / "b.png")
    annotations = [
        {"bbox": [10, 20, 5, 6]},
        {"bbox": [5.5, 7, 0, 0], "point": True},
        {"bbox": [8, 9, 0, 0], "point": True, "category_id": 7, "image_id": 2},
    ]
    content = coco_content(["a.png", "b.png"], annotations)
    split = DatasetSplit("train", tmp_path / "in", content, tmp_path / "a.json")
    conversion = convert_dataset([split], tmp_path / "out", format=format)
    written = read_dataset(tmp_path / "out")["train"]
    has_points = format not in ("voc", "yolo")
    found = sorted((label, x, y) for _, label, x, y in points(written))
    assert found == ([("cat", 5.5, 7), ("dog", 8, 9)] if has_points else [])
    assert any("2 points left out" in line for line in conversion.messages) == (not has_points)
    assert ("2 points" in str(conversion)) == has_points
    corners = [box for _, _, box in boxes(written) if box[2]]
    assert corners == [pytest.approx([10, 20, 5, 6], abs=1e-3)]
    assert len(written.coco["images"]) == 2
