"""Damaged COCO datasets: a tiny sound one, and strategies for Hypothesis that change its entries.

    root = write_images(tmp_path)            # once
    damage = data.draw(damages())            # per example
    write_annotations(root, damage)          # train and val, with the damage done
    centernet.analysis.check.check_dataset.check_dataset(root)

Most examples do little harm, so that many damaged datasets can still be trained on.
"""

import copy
import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from hypothesis import strategies as st

SPLITS = ("train", "val")
# Height and width of the images of each split.
SIZES = {"train": ((40, 60), (64, 48), (33, 50)), "val": ((48, 48), (30, 70))}
KEYS = {
    "images": ("id", "file_name", "width", "height"),
    "categories": ("id", "name", "supercategory"),
    "annotations": (
        "id", "image_id", "category_id", "bbox", "area", "iscrowd", "ignore", "segmentation",
    ),
}  # fmt: skip


class Mutation(NamedTuple):
    """One change of a split's content.

    Attributes:
        split: ``"train"`` or ``"val"``.
        part: ``"images"``, ``"categories"`` or ``"annotations"``.
        index: of the entry, modulo their number.
        action: ``set`` or ``delete`` a key, ``drop``, ``repeat`` or ``replace`` the entry, ``mark``
            an annotation as an ignore region with ``value`` as its segmentation, or ``part`` to
            replace the whole list.
        key: of the entry.
        value: for ``set``, ``replace``, ``mark`` and ``part``.
    """

    split: str
    part: str
    index: int
    action: str
    key: str
    value: Any


def write_images(root: Path) -> Path:
    """Write the images of all splits as ``root/SPLIT/N.png``; coarse noise, all different."""
    rng = np.random.default_rng(0)
    for split, sizes in SIZES.items():
        (root / split).mkdir(parents=True)
        for number, (height, width) in enumerate(sizes, 1):
            noise = cv2.resize(rng.integers(0, 256, (5, 7, 3), np.uint8), (width, height))
            cv2.imwrite(str(root / split / f"{number}.png"), noise)
    (root / "annotations").mkdir()
    return root


def sound(split: str) -> dict[str, Any]:
    """The content of a split before any damage: two classes, an object of each in every image."""
    images = [
        {"id": i, "file_name": f"{i}.png", "width": width, "height": height}
        for i, (height, width) in enumerate(SIZES[split], 1)
    ]
    annotations = []
    for image in images:
        for category, box in ((1, [3, 4, 12, 14]), (2, [20.5, 6, 17, 20.25])):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image["id"],
                    "category_id": category,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                    "segmentation": [[3, 4, 15, 4, 15, 18]],
                }
            )
    categories = [{"id": i, "name": name, "supercategory": "thing"} for i, name in
                  enumerate(("bolt", "nut"), 1)]  # fmt: skip
    return {"images": images, "annotations": annotations, "categories": categories}


def write_annotations(root: Path, damage: list[Mutation] = ()) -> None:
    """Write ``root/annotations/instances_SPLIT.json`` of both splits, with the damage done."""
    contents = {split: sound(split) for split in SPLITS}
    for mutation in damage:
        _mutate(contents[mutation.split], mutation)
    for split, content in contents.items():
        path = root / "annotations" / f"instances_{split}.json"
        path.write_text(json.dumps(content))


def _mutate(content: dict[str, Any], mutation: Mutation) -> None:
    _, part, index, action, key, value = mutation
    value, entries = copy.deepcopy(value), content[part]
    if action == "part":
        content[part] = value
    if action == "part" or not isinstance(entries, list) or not entries:
        return
    index %= len(entries)
    entry = entries[index]
    if action == "drop":
        del entries[index]
    elif action == "repeat":
        entries.append(copy.deepcopy(entry))
    elif action == "replace":
        entries[index] = value
    elif isinstance(entry, dict):
        if action == "delete":
            entry.pop(key, None)
        elif action == "mark":
            entry.update({"iscrowd": 1, "segmentation": value})
        else:
            entry[key] = value


def nested(depth: int) -> list:
    """Lists in lists."""
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


_INTEGERS = st.sampled_from([-1, 0, 1, 2, 3, 7, 60, 255, 2**31, 2**53, 2**63, -(2**64), 10**400])
_NUMBERS = (
    st.integers(-10, 100)
    | st.floats(-100, 200)
    | st.floats()
    | _INTEGERS
    | st.sampled_from([1e9, 1e30, 1e39, 1e300, 1.7e308, 1e-320, 0.5, math.nan, math.inf, -math.inf])
)
_TEXTS = st.sampled_from(
    ["", "0", "1", "2", "true", "False", "nan", "5", "1e400", "bolt", "nut", "thing", "1.png",
     "2.png", "../val/1.png", "./1.png", ".", "..", "a/b.png", "/", "\0", "\ud800", "\udcff.png",
     "x\ny", "ä", "<b>&", "x" * 300, "y/" * 1500 + "z"]
) | st.text(max_size=3)  # fmt: skip
_SCALARS = st.none() | st.booleans() | _NUMBERS | _TEXTS
_ANY = (
    _SCALARS
    | st.lists(_SCALARS, max_size=5)
    | st.dictionaries(_TEXTS, _SCALARS, max_size=2)
    | st.sampled_from([nested(50), nested(400)])
)
_BOXES = st.lists(_NUMBERS, min_size=4, max_size=4) | st.tuples(
    st.floats(-20, 60), st.floats(-20, 60), st.floats(-1, 60), st.floats(-1, 60)
).map(list)
_COUNTS = (
    st.lists(st.integers(0, 400), max_size=8)
    | st.lists(_NUMBERS | _SCALARS, max_size=4)
    | st.text("0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmno", max_size=12)
    | _SCALARS
)
_SIZES = (
    st.sampled_from([[40, 60], [64, 48], [30, 70], [3, 2], [10**6, 10**6], [2**31 - 1] * 2])
    | st.lists(_NUMBERS, min_size=1, max_size=3)
    | _SCALARS
)
_POLYGONS = st.lists(
    st.lists(_NUMBERS, min_size=4, max_size=11), min_size=1, max_size=2
) | st.lists(st.lists(st.floats(-90, 90), min_size=6, max_size=6), min_size=1, max_size=2)
SEGMENTATIONS = _POLYGONS | st.fixed_dictionaries({"counts": _COUNTS, "size": _SIZES}) | _ANY
_FLAGS = st.sampled_from([0, 1, None, True, False, "0", "1", "true", "False", 1.0]) | _ANY
_IDS = st.integers(-1, 7) | st.integers(-1, 7).map(str) | _ANY
_VALUES = {
    "bbox": _BOXES | _ANY,
    "area": _NUMBERS | _ANY,
    "segmentation": SEGMENTATIONS,
    **dict.fromkeys(("iscrowd", "ignore"), _FLAGS),
    **dict.fromkeys(("id", "image_id", "category_id"), _IDS),
}


@st.composite
def mutations(draw: st.DrawFn) -> Mutation:
    """One change."""
    split, part = draw(st.sampled_from(SPLITS)), draw(st.sampled_from([*KEYS]))
    actions = ["set"] * 6 + ["mark"] * 3 + ["delete", "drop", "repeat", "replace", "part"]
    action = draw(st.sampled_from(actions))
    part = "annotations" if action == "mark" else part
    key = draw(st.sampled_from(KEYS[part]))
    value = None
    if action in ("set", "mark"):
        value = draw(_VALUES.get("segmentation" if action == "mark" else key, _ANY))
    elif action in ("replace", "part"):
        value = draw(_ANY)
    return Mutation(split, part, draw(st.integers(0, 5)), action, key, value)


def damages(most: int = 2) -> st.SearchStrategy[list[Mutation]]:
    """Up to so many changes of the sound dataset."""
    return st.lists(mutations(), min_size=1, max_size=most)
