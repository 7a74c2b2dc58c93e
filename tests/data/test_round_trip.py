"""A random dataset, written in any format and read again, is the same but for rounding."""

import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from centernet.data.annotations import DatasetSplit, read_coco
from centernet.data.formats.convert import convert_dataset
from centernet.data.formats.detect import WRITERS, read_dataset

WIDTH, HEIGHT = 64, 48
NAMES = ("bolt", "große Mutter", "no", "1")
# Pixels by which a box may differ: VOC has whole pixels, others few digits.
TOLERANCE = {"yolo": 1e-4, "voc": 0.5 + 1e-9, "cvat": 1e-4}
EXACT = 1e-7

numbers = st.floats(0, 1, allow_subnormal=False)
boxes = st.tuples(st.integers(0, len(NAMES) - 1), numbers, numbers, numbers, numbers)
datasets = st.dictionaries(
    st.sampled_from(("train", "val", "test")),
    st.lists(st.lists(boxes, max_size=4), min_size=1, max_size=3),
    min_size=1,
)


def box_of(x: float, y: float, w: float, h: float) -> list[float]:
    """A box of at least 2 x 2 pixels inside the image."""
    width, height = 2 + w * (WIDTH / 2 - 2), 2 + h * (HEIGHT / 2 - 2)
    return [x * (WIDTH - width), y * (HEIGHT - height), width, height]


def write_splits(root: Path, content) -> list[DatasetSplit]:
    splits = []
    categories = [{"id": i, "name": name} for i, name in enumerate(NAMES, 1)]
    for name, images in content.items():
        (root / name).mkdir(parents=True)
        entries, annotations = [], []
        for i, objects in enumerate(images, 1):
            file = f"{name}-{i}.png"
            pixels = np.full((HEIGHT, WIDTH, 3), i, np.uint8)
            cv2.imwrite(str(root / name / file), pixels)
            entries.append({"id": i, "file_name": file, "width": WIDTH, "height": HEIGHT})
            annotations += [
                {"image_id": i, "category_id": label + 1, "bbox": box_of(*box), "iscrowd": 0}
                for label, *box in objects
            ]
        annotations = [{"id": i} | annotation for i, annotation in enumerate(annotations, 1)]
        coco = {"images": entries, "annotations": annotations, "categories": categories}
        splits.append(DatasetSplit(name, root / name, coco, root / f"{name}.json"))
    return splits


def objects_of(splits) -> dict[str, dict[str, list[tuple]]]:
    """The class name and corners of each object, by split and image."""
    found: dict[str, dict[str, list[tuple]]] = {}
    for split in splits:
        coco = read_coco(split)
        names = {c["id"]: c["name"] for c in coco["categories"]}
        stems = {i["id"]: Path(i["file_name"]).stem for i in coco["images"]}
        own = found.setdefault(split.name, {stem: [] for stem in stems.values()})
        for annotation in coco["annotations"]:
            x, y, w, h = annotation["bbox"]
            row = (names[annotation["category_id"]], x, y, x + w, y + h)
            own[stems[annotation["image_id"]]].append(row)
    return found


@pytest.mark.guard
@pytest.mark.parametrize("format", WRITERS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=datasets)
def test_what_is_written_is_read_again(format, content):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        splits = write_splits(root / "in", content)
        if not any(split.coco["annotations"] for split in splits):
            return  # VOC has no classes then
        convert_dataset(splits, root / "out", format=format)
        before = objects_of(splits)
        after = objects_of(read_dataset(root / "out").values())
    assert after.keys() == before.keys()
    for name, images in before.items():
        assert after[name].keys() == images.keys()
        for stem, objects in images.items():
            again = after[name][stem]
            assert [row[0] for row in again] == [row[0] for row in objects]
            first, second = ([row[1:] for row in rows] for rows in (objects, again))
            assert np.ravel(second) == pytest.approx(
                np.ravel(first), abs=TOLERANCE.get(format, EXACT)
            )
