"""Likely faults of a split: noted, or repaired on request."""

from pathlib import Path

import pytest

from centernet.data.annotations import DatasetSplit
from centernet.data.formats.coco_repair import repair as repair_content
from centernet.data.formats.repair import repair

IMAGES = [{"id": 1, "file_name": "a.jpg", "width": 200, "height": 100}]
BOXES = [[10 + 30 * i, 10, 15, 30] for i in range(6)]


def split(boxes, names=("cat",), **fields) -> DatasetSplit:
    annotations = [
        {"id": i, "image_id": 1, "category_id": 1, "bbox": box, "iscrowd": 0} | fields
        for i, box in enumerate(boxes, 1)
    ]
    categories = [{"id": i, "name": name} for i, name in enumerate(names, 1)]
    content = {"images": IMAGES, "annotations": annotations, "categories": categories}
    return DatasetSplit("train", Path("x"), content, Path("x.json"))


def corners(box):
    x, y, w, h = box
    return [x, y, x + w, y + h]


def fractions(box):
    x, y, w, h = box
    return [x / 200, y / 100, w / 200, h / 100]


@pytest.mark.parametrize(
    ("boxes", "fields", "word"),
    [
        ([corners(box) for box in BOXES], {}, "corners"),
        ([fractions(box) for box in BOXES], {}, "fractions"),
        (BOXES, {"iscrowd": 1}, "iscrowd"),
    ],
)
def test_a_fault_of_all_boxes_is_noted_or_repaired(boxes, fields, word):
    (noted,) = repair([split(boxes, **fields)], apply=False)
    assert [a["bbox"] for a in noted.coco["annotations"]] == boxes
    assert len(noted.notes) == 1 and word in noted.notes[0] and "--repair" in noted.notes[0]
    (repaired,) = repair([split(boxes, **fields)], apply=True)
    for annotation, box in zip(repaired.coco["annotations"], BOXES, strict=True):
        assert annotation["bbox"] == pytest.approx(box) and annotation["iscrowd"] == 0
    assert len(repaired.notes) == 1 and "repaired" in repaired.notes[0]


@pytest.mark.parametrize(
    "boxes",
    [
        BOXES,
        BOXES[:1],
        [corners(box) for box in BOXES[:4]],  # too few
        [[0, 0, 1, 1]] * 3,
        [*[corners(box) for box in BOXES], [150, 50, 60, 20]],  # impossible as corners
        [[1, 2, "x", 4], None, [1, 2], [float("nan")] * 4, *BOXES],
    ],
)
def test_other_boxes_are_left_alone(boxes):
    (same,) = repair([split(boxes)], apply=True)
    assert same.notes == [] and [a["bbox"] for a in same.coco["annotations"]] == boxes


def test_boxes_that_contradict_their_polygons():
    polygon = [[10, 10, 30, 10, 30, 50]]
    near, far = [12, 10, 18, 38], [50, 10, 20, 40]
    (noted,) = repair([split([near, far], segmentation=polygon)], apply=False)
    assert len(noted.notes) == 1 and "1 boxes" in noted.notes[0] and "2:" in noted.notes[0]
    (repaired,) = repair([split([near, far], segmentation=polygon)], apply=True)
    assert [a["bbox"] for a in repaired.coco["annotations"]] == [near, [10, 10, 20, 40]]


def test_classes_that_differ_in_spelling_are_named():
    (found,) = repair([split(BOXES, names=("Bolt", "nut", "bolt ", "Nut"))], apply=False)
    assert len(found.notes) == 2
    assert "'Bolt' and 'bolt '" in found.notes[0] and "--rename" in found.notes[0]


def test_numbers_as_text_and_boxes_of_polygons():
    content = {
        "images": [{"id": "1", "file_name": "a.jpg", "width": "200", "height": 100}],
        "categories": [{"id": "3", "name": "cat"}],
        "annotations": [
            {"image_id": "1", "category_id": "3", "bbox": ["1", "2.5", "3", "4e0"], "iscrowd": "0"},
            {"image_id": 1, "category_id": 3, "segmentation": [[1, 2, 9, 2, 5, 8]]},
            {"image_id": 1, "category_id": 3, "segmentation": [[1, 2, 9]], "bbox": None},
            {"image_id": 1, "category_id": 3, "bbox": ["a", 1, 2, 3], "area": "x"},
        ],
    }
    notes: list[str] = []
    repair_content(Path("x.json"), content, notes)
    first, second, third, fourth = content["annotations"]
    assert first == {"image_id": 1, "category_id": 3, "bbox": [1, 2.5, 3, 4], "iscrowd": 0}
    assert second["bbox"] == [1, 2, 8, 6] and third["bbox"] is None
    assert fourth["bbox"] == ["a", 1, 2, 3] and fourth["area"] == "x"
    assert content["images"][0]["width"] == 200 and content["categories"][0]["id"] == 3
    assert len(notes) == 2 and "1 annotations" in notes[1]


def test_ids_that_are_no_numbers_stay():
    content = {
        "images": [{"id": "001"}, {"id": "1"}],
        "categories": [{"id": 1}],
        "annotations": [{"image_id": "001", "category_id": 1}],
    }
    repair_content(Path("x.json"), content, [])
    assert [image["id"] for image in content["images"]] == ["001", "1"]  # equal as numbers
    repair_content(Path("x.json"), without := {"images": [], "categories": []}, notes := [])
    assert without["annotations"] == [] and len(notes) == 1
