"""Datasets as tools write them, each with the images and boxes that a person finds in it."""

import os
from pathlib import Path

import pytest

from centernet.data.annotations import read_coco
from centernet.data.formats.detect import read_dataset
from centernet.errors import InputError

ROOT = Path(os.environ.get("CENTERNET_TEST_DATA", "absent"), "cases")
TRAIN = {"train": (6, 18)}
BOTH = {"train": (6, 18), "val": (3, 9)}
# Images and objects of each split, by case.
CASES = {
    **dict.fromkeys(("01b", "01c", "01e", "01f", "01g"), TRAIN),
    "02-": {"train": (6, 0)},
    **dict.fromkeys(("03a", "03b", "03e", "04b"), TRAIN),
    **dict.fromkeys(("05a", "05d", "05e", "05j"), BOTH),
    **dict.fromkeys(("07d", "07e", "07j", "07n", "07p", "07s", "07v-", "07v2", "07w"), TRAIN),
    **dict.fromkeys(("07zc", "08c"), TRAIN),
    "08e": TRAIN,
    **dict.fromkeys(("08a", "08b", "09a", "09e", "09s", "09za", "09zg"), BOTH),
    "09l": {"train": (6, 18), "val": (3, 0)},
    "09zl": {"train": (12, 36)},
    "10x": BOTH,
    "10zp": {"train": (2, 6), "val": (3, 9)},
    "10zq": {"train": (1, 3), "val": (3, 9)},
    **dict.fromkeys(("24a", "24c", "24d", "24f", "24h", "24k"), TRAIN),
    **dict.fromkeys(("25a", "25b", "25c", "25d", "25e", "25f"), BOTH),
}
# Words of the note that tells what was repaired or how.
NOTES = {
    **dict.fromkeys(
        ("01b", "01c", "01e", "01f", "01g", "04b", "07j", "09s", "24a"), "found by the"
    ),
    "02-": "--repair",
    **dict.fromkeys(("05a", "05d", "05e", "05j"), "is read as"),
    "07d": "swapped corners",
    "07e": "width and height",
    "07s": "--rename",
    "07v2": "<project>",
    "07zc": "rotated",
    "09a": "as text",
    "09e": "polygon",
    "09l": "no list of annotations",
    "09zg": "contradict",
    "09zl": "read together",
    "10zp": "4 label files",
    "10zq": "5 label files",
}

pytestmark = pytest.mark.skipif(not ROOT.is_dir(), reason="CENTERNET_TEST_DATA has no cases")


def folder(case: str) -> Path:
    (found,) = (path for path in ROOT.iterdir() if path.name.startswith(case))
    return found


@pytest.mark.parametrize("case", CASES)
def test_every_image_and_box_is_read(case):
    splits = read_dataset(folder(case))
    counts = {}
    for name, split in splits.items():
        coco = read_coco(split)
        objects = [a for a in coco["annotations"] if not a["iscrowd"]]
        counts[name] = len(coco["images"]), len(objects)
        assert all((split.images / image["file_name"]).is_file() for image in coco["images"])
    assert counts == CASES[case]
    notes = " ".join(note for split in splits.values() for note in split.notes)
    assert NOTES.get(case, "") in notes


@pytest.mark.parametrize(
    ("case", "message"),
    [("10g", "from 1 to 2"), ("10z-", r"data\.yaml.*\\t"), ("10zb", r"data\.yaml.*utf-8")],
)
def test_what_cannot_be_read_is_named(case, message):
    with pytest.raises(InputError, match=message):
        read_dataset(folder(case))


def test_classes_of_yaml_words_and_of_other_encodings():
    names = [c["name"] for c in read_dataset(folder("10x"))["train"].coco["categories"]]
    assert names == ["no", "yes"]
    names = [c["name"] for c in read_dataset(folder("07n"))["train"].coco["categories"]]
    assert sorted(names) == ["螺栓", "螺母"]


def test_crowds_become_objects_on_request():
    split = read_dataset(folder("02-"), repair=True)["train"]
    assert sum(not a["iscrowd"] for a in read_coco(split)["annotations"]) == 18
