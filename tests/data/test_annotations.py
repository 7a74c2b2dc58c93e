import json
import logging
import re

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from centernet.data.annotations import category_labels, names_by_label, read_coco, truncate_list
from centernet.data.formats import read_dataset
from centernet.data.formats.coco import read_file
from centernet.data.regions import Box
from centernet.errors import InputError

IMAGES = [
    {"id": 10, "file_name": "a.png", "height": 40, "width": 60},
    {"id": 20, "file_name": "b.png"},  # of unknown size
]
CATEGORIES = [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}]
BOX = {"id": 1, "image_id": 10, "category_id": 3, "bbox": [1, 2, 3, 4]}


@pytest.fixture
def write(tmp_path):
    def write(annotations=(BOX,), **changes):
        content = {"images": IMAGES, "categories": CATEGORIES, "annotations": annotations}
        path = tmp_path / "file.json"
        path.write_text(json.dumps(content | changes))
        return path

    return write


# Of an image 4 high and 6 wide; in COCO's RLE, column by column, zeros first: 17 out, 2 in, ...
REGION = [[0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 0, 0]]
RUNS = {"size": [4, 6], "counts": [17, 2, 2, 2, 1]}
SMALLER = {"size": [2, 3], "counts": [5, 1]}


def compressed(runs: dict) -> dict:
    encoded = coco_mask.frPyObjects(runs, *runs["size"])
    return encoded | {"counts": encoded["counts"].decode()}


def test_labels_follow_ascending_category_ids(write):
    coco = read_coco(write())
    assert names_by_label(coco) == ("cat", "dog")
    assert category_labels("file", coco, ("cat", "dog")) == {3: 0, 7: 1}
    assert category_labels("file", coco, ("bird", "dog", "cat")) == {3: 2, 7: 1}


def test_a_class_that_the_model_does_not_know_is_refused(write):
    path = write()
    message = f"{path} has 2 classes, and 'dog' is not one of the 6 .*a, b, c, cat, e, \\.\\.\\.\\)"
    with pytest.raises(InputError, match=message):
        category_labels(path, read_coco(path), ["a", "b", "c", "cat", "e", "f"])


@pytest.mark.parametrize(("names", "text"), [("ab", "a, b"), ("abcde", "a, b, c, d, e"), ("", "")])
def test_few_names_are_not_truncated(names, text):
    assert truncate_list(names) == text


def test_annotations_become_regular(write):
    other = {"image_id": 20, "category_id": 7, "bbox": ["5", 6, 700, 8], "area": 9, "ignore": 1}
    first, second = read_coco(write([BOX | {"id": 0, "segmentation": [[1, 2]]}, other]))[
        "annotations"
    ]
    assert first == BOX | {"id": 1, "area": 12, "iscrowd": 0}
    region = second.pop("region")
    assert isinstance(region, Box) and region.xywh == [5, 6, 700, 8]
    assert second == {
        "id": 2, "image_id": 20, "category_id": 7, "bbox": [5, 6, 700, 8], "area": 9, "iscrowd": 1
    }  # fmt: skip


@pytest.mark.parametrize("area", ["400", None, 0, -1, float("nan"), [9], True, 10**400])
def test_an_area_that_is_no_positive_number_is_the_boxs(write, area):
    assert read_coco(write([BOX | {"area": area}]))["annotations"][0]["area"] == 12


def test_bad_boxes_are_dropped_and_counted_in_one_line(write, caplog):
    nan = float("nan")
    boxes = {
        "not finite": [[nan, 2, 3, 4], [1, None, 3, 4], [1, 2, 10**400, 4]],
        "beyond 1e+09 pixels": [[1, 2, 1e39, 4], [-1e300, 2, 1e300, 4]],
        "of zero size": [[1, 2, 0, 4], [1, 2, 3, -1]],
        "outside the image": [[60, 2, 3, 4], [1, 40, 3, 4], [-3, 2, 3, 4], [1, -9, 3, 4]],
        "": [[59, 39, 9, 9], [-3, -3, 4, 4]],  # partly inside stays
    }
    annotations = [BOX | {"bbox": box} for group in boxes.values() for box in group]
    with caplog.at_level(logging.WARNING):
        coco = read_coco(path := write(annotations))
        read_coco(path)
    assert [a["bbox"] for a in coco["annotations"]] == boxes[""]
    assert [a["id"] for a in coco["annotations"]] == [1, 2]
    assert caplog.messages == [
        f"{path}: dropped 11 of 13 boxes: 3 not finite, 2 beyond 1e+09 pixels, 2 of zero size, "
        "4 outside the image"
    ]


@pytest.mark.parametrize("annotations", [[], [BOX | {"image_id": 20, "bbox": [900, 900, 1, 1]}]])
def test_nothing_to_drop_is_not_mentioned(write, caplog, annotations):
    assert len(read_coco(write(annotations))["annotations"]) == len(annotations)
    assert not caplog.messages


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": None}, "no list 'images'"),
        ({"images": []}, "it lists no images"),
        ({"categories": []}, "it lists no categories"),
        ({"annotations": {"1": BOX}}, "no list 'annotations'"),
        ({"images": [*IMAGES, {"id": 30}]}, "entry 2 of 'images' has no 'file_name'"),
        ({"images": [*IMAGES, "c.png"]}, "entry 2 of 'images' has no 'id'"),
        ({"images": [*IMAGES, *IMAGES[:1]]}, "2 images have the same id 10"),
        ({"categories": [{"id": 3, "name": "a"}, {"id": 3, "name": "b"}]}, "2 .* same id 3"),
        ({"categories": [{"id": 3, "name": "a"}, {"id": 4, "name": "a"}]}, "2 .* same name 'a'"),
        ({"categories": [{"id": 3, "name": 1}, {"id": 4, "name": "1"}]}, "2 .* same name 1"),
        ({"images": [*IMAGES, IMAGES[0] | {"id": "10"}]}, "2 images have the same id 10"),
        ({"images": [*IMAGES, IMAGES[0] | {"id": True}]}, "entry 2 of 'images' has id True"),
        ({"annotations": [BOX | {"id": [1]}]}, r"entry 0 of 'annotations' has id \[1\]"),
        ({"annotations": [BOX | {"iscrowd": "x"}]}, "entry 0 of 'annotations' has iscrowd 'x'"),
        ({"annotations": [BOX | {"bbox": {"1": 1, "2": 2, "3": 3, "4": 4}}]}, "1 has bbox {'1'"),
        ({"annotations": [BOX | {"bbox": [1, 2, 3, True]}]}, r"bbox \[1, 2, 3, True\]"),
        (
            {"annotations": [BOX | {"iscrowd": 1, "segmentation": [[1, 2, 3]]}]},
            r"annotation 1 has polygon \[1, 2, 3\]",
        ),
        ({"annotations": [{"bbox": [1, 2, 3, 4]}]}, "entry 0 of 'annotations' has no 'image_id'"),
        ({"annotations": [BOX | {"image_id": 99}]}, "annotation 1 has image_id 99.*'images'"),
        ({"annotations": [BOX | {"category_id": 1}]}, "annotation 1 has category_id 1.*'categ"),
        ({"annotations": [BOX | {"bbox": [1, 2, 3]}]}, r"annotation 1 has bbox \[1, 2, 3\].*four"),
        ({"annotations": [BOX | {"bbox": ["x", 2, 3, 4]}]}, r"annotation 1 has bbox \['x', 2"),
        ({"annotations": [BOX | {"bbox": None}]}, "annotation 1 has bbox None"),
        (
            {
                "annotations": [
                    BOX | {"bbox": None, "iscrowd": 1, "segmentation": {"counts": [1, 2]}}
                ]
            },
            "annotation 1 has an RLE without 'size'",
        ),
    ],
)
def test_what_is_wrong_in_a_file_is_said_in_one_line(write, changes, message):
    path = write(**changes)
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}.*{message}") as error:
        read_coco(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not json", "not valid JSON"),
        (b"", "not valid JSON"),
        (b'{"images": [', "not valid JSON"),
        (b'{"images": "\xff"}', "not valid JSON"),
        (b"[" * 200_000 + b"]" * 200_000, "nested too deeply"),
        (b'{"images": ' + b"9" * 5000 + b"}", "not valid JSON"),
        (b'{"images": {}}', "no list 'images'"),
        (b"[]", "not COCO"),
        (b"7", "not COCO"),
        (None, "No such file"),
    ],
)
def test_a_file_that_is_not_coco_at_all_is_refused(tmp_path, content, message):
    path = tmp_path / "file.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=f"{re.escape(str(path))}.*{message}") as error:
        read_coco(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("mark", ["iscrowd", "ignore"])
@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (RUNS, REGION),
        (compressed(RUNS), REGION),
        (SMALLER, [[0, 0, 0], [0, 0, 1]]),
        (compressed(SMALLER), [[0, 0, 0], [0, 0, 1]]),
        ([[4, 1, 6, 1, 6, 3, 4, 3]], REGION),
        ([[4, 1, 5, 1, 5, 3, 4, 3], [5, 1, 6, 1, 6, 3, 5, 3]], REGION),
        ([], REGION),  # the box
        (None, REGION),
    ],
)
def test_crowds_and_ignored_boxes_become_regions(write, mark, shape, expected):
    annotation = BOX | {"image_id": 20, "bbox": [4, 1, 2, 2], "segmentation": shape, mark: 1}
    (found,) = read_coco(write([annotation]))["annotations"]
    assert found["iscrowd"] == 1
    height, width = found["region"].size or (4, 6)
    assert found["region"].contains(np.arange(height), np.arange(width)).tolist() == expected


@pytest.mark.parametrize("shape", [RUNS, compressed(RUNS), [[4, 1, 6, 1, 6, 3]]])
def test_a_crowd_without_a_box_takes_that_of_its_region(write, shape):
    crowd = {"image_id": 20, "category_id": 3, "iscrowd": 1, "segmentation": shape}
    (found,) = read_coco(write([crowd]))["annotations"]
    assert found["bbox"] == [4, 1, 2, 2]


def test_flags_of_text_mean_what_they_say(write):
    flags = [{"iscrowd": "0"}, {"iscrowd": "1"}, {"ignore": "False"}, {"ignore": True}, {}]
    found = read_coco(write([BOX | flag for flag in flags]))["annotations"]
    assert [annotation["iscrowd"] for annotation in found] == [0, 1, 0, 1, 0]


@pytest.mark.parametrize("value", [[1, 2, 3], "text", {"counts": [-1]}])
def test_the_segmentation_of_an_object_is_not_validated(write, value):
    assert len(read_coco(write([BOX | {"segmentation": value}]))["annotations"]) == 1


@pytest.mark.parametrize(
    ("image_id", "size", "box"),
    [
        (10, [4, 6], [40, 10, 20, 20]),  # the grid of 4x6 covers the image of 40x60
        (10, [40, 60], [0, 17, 1, 2]),
        (20, [4, 6], [4, 1, 2, 2]),  # the image's size is unknown: pixels of the grid
    ],
)
def test_the_box_of_a_region_without_one_is_in_image_pixels(write, image_id, size, box):
    """Column by column, the first runs of RUNS are 17 out, 2 in."""
    counts = RUNS["counts"] if size == [4, 6] else [17, 2]
    region = {"id": 1, "image_id": image_id, "category_id": 3, "iscrowd": 1}
    path = write([region | {"segmentation": {"size": size, "counts": counts}}])
    (found,) = read_coco(path)["annotations"]
    assert found["bbox"] == box and found["area"] == box[2] * box[3]


ROBOFLOW = [
    {"id": 0, "name": "cells", "supercategory": "none"},
    {"id": 3, "name": "red", "supercategory": "cells"},
    {"id": 7, "name": "white", "supercategory": "cells"},
]


def test_the_placeholder_class_of_roboflow_is_dropped_however_it_is_read(write):
    path = write(categories=ROBOFLOW)
    for source in (path, read_file(path), *read_dataset(path).values()):
        assert names_by_label(read_coco(source)) == ("red", "white")
    assert len(json.loads(path.read_text())["categories"]) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"annotations": [BOX | {"category_id": 0}]},  # it has an annotation
        {"categories": [*ROBOFLOW, {"id": 9, "name": "dust", "supercategory": "none"}]},
        {"categories": [{"id": 3, "name": "red", "supercategory": "red"}]},  # the only class
        {"categories": [{"id": 3, "name": "a", "supercategory": "x"}, {"id": 4, "name": "b"}]},
    ],
)
def test_other_categories_are_kept(write, change):
    path = write(**{"categories": ROBOFLOW} | change)
    expected = tuple(c["name"] for c in json.loads(path.read_text())["categories"])
    for source in (path, *read_dataset(path).values()):
        assert names_by_label(read_coco(source)) == expected
