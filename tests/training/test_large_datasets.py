"""Large datasets are parsed once, and kept in arrays."""

import json
import pickle

import cv2
import numpy as np
import pytest
from sample_datasets import coco_content

from centernet.analysis.check.check_dataset import check_dataset
from centernet.data import annotations
from centernet.data.compact import CompactTexts
from centernet.data.formats import read_dataset
from centernet.training.datamodule import DetectionData

IMAGES, BOXES = 1000, 20_000


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """20,000 boxes with outlines on links to one picture."""
    root = tmp_path_factory.mktemp("large")
    cv2.imwrite(str(root / "picture.png"), np.zeros((40, 60, 3), np.uint8))
    boxes = [
        {"image_id": i % IMAGES + 1, "bbox": [1, 2, 9, 9], "segmentation": [[1, 2, 10, 2, 10, 11]]}
        for i in range(BOXES)
    ]
    boxes[0]["iscrowd"] = 1
    boxes[1]["segmentation"] = [[30, 20, 40, 20, 40, 30]]
    (root / "annotations").mkdir()
    for split in ("train", "val"):
        (root / split).mkdir()
        names = [f"{i}.png" for i in range(IMAGES)]
        for name in names:
            (root / split / name).hardlink_to(root / "picture.png")
        content = json.dumps(coco_content(names, boxes))
        (root / "annotations" / f"instances_{split}.json").write_text(content)
    (root / "picture.png").unlink()
    return root


@pytest.fixture
def parsed(monkeypatch):
    """Counts the calls of the JSON parser."""
    calls = []
    loads = json.loads

    def count(text, **options):
        calls.append(len(text))
        return loads(text, **options)

    # The parser of files; not that of single ids.
    monkeypatch.setattr(annotations, "json", type("json", (), {"loads": staticmethod(count)}))
    return calls


@pytest.mark.parametrize("explicit", [True, False])
def test_fit_parses_each_file_once_and_keeps_arrays(large, parsed, explicit):
    names = {
        f"{part}_annotations": f"annotations/instances_{part}.json" if explicit else part
        for part in ("train", "val")
    }
    images = {f"{part}_images": part for part in ("train", "val")}
    data = DetectionData(str(large), image_size="auto", **names, **images)
    data.setup("fit")
    assert data.top_k == 100 and data.train_set.num_objects == BOXES - 1
    assert len(parsed) == 2
    # A process that loads images gets arrays: 24 bytes for each box.
    assert len(pickle.dumps(data.train_set._annotations)) < 30 * BOXES
    assert data.train_set.annotations is None and data.source._splits.keys() == {"val"}
    assert not {"_in_root", "_folds"} & vars(data.source).keys()


def test_check_parses_each_file_once(large, parsed):
    check_dataset(large, sample=5, read_images=False)
    assert len(parsed) == 2


def test_outlines_are_dropped_while_a_file_is_parsed(large):
    complete = read_dataset(large)["train"].coco["annotations"]
    boxes = read_dataset(large, outlines=False)["train"]
    # That of the ignore region remains; one that contradicts its box was read, and is noted.
    assert [i for i, a in enumerate(boxes.coco["annotations"]) if "segmentation" in a] == [0]
    assert "1 boxes contradict their polygons" in " ".join(boxes.notes)
    assert all("segmentation" in annotation for annotation in complete)
    complete = [a | {"segmentation": 0} for a in complete]
    assert complete == [a | {"segmentation": 0} for a in boxes.coco["annotations"]]


def test_compact_texts_are_a_sequence():
    texts = ["a.jpg", "", "ä/ö.png", "\udcff.jpg"]
    compact = CompactTexts(texts)
    assert list(compact) == texts and compact[1:3] == texts[1:3] and compact[-1] == texts[-1]
    assert len(compact) == 4 and not len(CompactTexts([]))
    with pytest.raises(IndexError):
        compact[4]
