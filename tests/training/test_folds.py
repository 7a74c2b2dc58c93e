"""Cross-validation: every image is validated once, by a model that has not seen it."""

import csv
import json
import os
import sys
from collections import Counter

import cv2
import numpy as np
import pytest
import torch.distributed
from fakes import tiny_config
from sample_datasets import coco_content, photograph, text, write_coco

from centernet.cli import fit
from centernet.data.annotations import DatasetSplit
from centernet.data.formats.split_validation import split_folds
from centernet.errors import InputError
from centernet.training import folds
from centernet.training.config_data import data_of_config
from centernet.training.datamodule import DetectionData
from centernet.training.run_folder import RunFolder
from centernet.training.stopping import Stopped

BOX = {"bbox": [1, 2, 30, 20]}


def scenes(root, count, labels=(3,)):
    """A split of different pictures; image i has one object of class ``labels[i % len]``."""
    root.mkdir(parents=True)
    boxes = [
        BOX | {"image_id": i + 1, "category_id": labels[i % len(labels)]} for i in range(count)
    ]
    for i in range(count):
        cv2.imwrite(str(root / f"{i}.png"), photograph(i))
    return DatasetSplit(
        "train", root, coco_content([f"{i}.png" for i in range(count)], boxes), root
    )


def ids(split):
    return [image["id"] for image in split.coco["images"]]


def test_folds_are_equal_disjoint_and_always_the_same(tmp_path):
    split = scenes(tmp_path / "a", 12, labels=(3, 3, 7))
    found = split_folds(split, 4)
    assert [fold.name for fold in found] == [f"fold-{k}" for k in range(1, 5)]
    assert Counter(i for fold in found for i in ids(fold)) == Counter(range(1, 13))
    for fold in found:
        # A quarter of each class, too.
        assert Counter(a["category_id"] for a in fold.coco["annotations"]) == {3: 2, 7: 1}
        assert {a["image_id"] for a in fold.coco["annotations"]} == set(ids(fold))
    assert [ids(f) for f in split_folds(split, 4)] == [ids(f) for f in found]
    split.coco["images"].reverse()
    assert [sorted(ids(f)) for f in split_folds(split, 4)] == [ids(f) for f in found]
    assert [sorted(ids(f)) for f in split_folds(split, 4, seed=1)] != [ids(f) for f in found]


def test_copies_of_a_photograph_are_in_one_fold(tmp_path):
    split = scenes(tmp_path / "a", 6)
    for i, image in enumerate(split.coco["images"]):
        image["file_name"] = f"{i // 2}.rf.{i}.png"
        (tmp_path / "a" / f"{i}.png").rename(tmp_path / "a" / image["file_name"])
    assert sorted(map(ids, split_folds(split, 3))) == [[1, 2], [3, 4], [5, 6]]
    with pytest.raises(InputError, match=r"3 groups .* 4 folds"):
        split_folds(split, 4)
    with pytest.raises(InputError, match=r"6 images.* 7 folds"):
        split_folds(split, 7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 1, "fold": 1}, "--data.folds .* 1"),
        ({"fold": 2}, "--data.fold 2 .*--data.folds"),
        ({"folds": 3, "fold": 4}, "--data.fold 4 .* 1 to 3"),
        ({"folds": 3, "fold": 0}, "--data.fold 0 .* 1 to 3"),
        ({"folds": 3}, "--data.fold .* 1 to 3"),
    ],
)
def test_options_of_folds_are_checked(options, message):
    with pytest.raises(InputError, match=message):
        DetectionData(**options)


def test_all_folds_have_the_image_size_that_suits_all_images(tmp_path):
    files, sides = ["a.png", "b.png", "c.png"], [24, 48, 96]
    boxes = [{"image_id": i, "bbox": [9, 9, side, side]} for i, side in enumerate(sides, 1)]
    content = coco_content(files, boxes)
    content["images"] = [image | {"width": 640, "height": 480} for image in content["images"]]
    text(tmp_path / "annotations/instances_train.json", json.dumps(content))
    for i, file in enumerate(files):
        (tmp_path / "train").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / "train" / file), cv2.resize(photograph(i), (640, 480)))
    for fold in (1, 2, 3):
        data = DetectionData(str(tmp_path), folds=3, fold=fold, image_size="auto")
        assert data.input_size == (256, 320)  # six cells for the box of 48 pixels


def write_splits(root, **images):
    """COCO files of splits with different pictures."""
    for split, names in images.items():
        file = root / "annotations" / f"instances_{split}.json"
        write_coco(
            file, root / split, names, [BOX | {"image_id": i + 1} for i in range(len(names))]
        )
        for name in names:
            cv2.imwrite(str(root / split / name), photograph(sum(map(ord, split + name))))


@pytest.mark.parametrize("explicit", [True, False])
def test_train_and_val_are_divided_and_test_is_left_alone(tmp_path, explicit):
    write_splits(tmp_path, train=["a.png", "b.png"], val=["a.png", "c.png"], test=["d.png"])
    names = {
        f"{part}_annotations": f"annotations/instances_{part}.json" if explicit else part
        for part in ("train", "val")
    }
    found = Counter()
    for fold in (1, 2):
        data = DetectionData(str(tmp_path), folds=2, fold=fold, **names)
        val = {path.relative_to(tmp_path).as_posix() for path in data.val_set.paths}
        train = {path.relative_to(tmp_path).as_posix() for path in data.train_set.paths}
        assert len(val) == len(train) == 2 and not val & train
        found.update(val)
    assert found == Counter(["train/a.png", "train/b.png", "val/a.png", "val/c.png"])


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs ``fit --data.folds 2`` on four images."""
    monkeypatch.chdir(tmp_path)
    write_splits(tmp_path / "data", train=["a.png", "b.png", "c.png", "d.png"])
    (tmp_path / "tiny.yaml").write_text(tiny_config(data={"batch_size": 2}))

    def run(*options):
        fit.run(["--config=tiny.yaml", "--data.root=data", "--data.folds=2", *options])

    return run


def test_cross_validation_trains_validates_and_resumes(run, tmp_path, monkeypatch, capsys):
    train = folds._train
    monkeypatch.setattr(
        folds, "_train", lambda folder, fold, *rest: fold == 1 and train(folder, fold, *rest)
    )
    with pytest.raises(FileNotFoundError):  # the second fold is not there
        run()
    monkeypatch.setattr(folds, "_train", train)
    parent = tmp_path / "runs" / "tiny"
    first = json.loads((parent / "fold-1" / "validate-fold-1" / "metrics.json").read_text())
    before = (parent / "fold-1" / "last.ckpt").read_bytes()
    run("--ckpt_path=last")
    assert (parent / "fold-1" / "last.ckpt").read_bytes() == before
    assert "fold" in capsys.readouterr().out

    summary = json.loads((parent / "folds.json").read_text())
    scores = [row["AP"] for row in summary["results"]]
    assert scores[0] == first["AP"] and len(scores) == 2
    assert summary["mean"]["AP"] == pytest.approx(np.mean(scores))
    assert summary["std"]["AP"] == pytest.approx(np.std(scores, ddof=1))
    with (parent / "folds.csv").open() as file:
        assert [row["fold"] for row in csv.DictReader(file)] == ["1", "2", "mean", "std"]
    content = json.loads((parent / "annotations.json").read_text())
    assert Counter(image["fold"] for image in content["images"]) == {1: 2, 2: 2}
    detections = json.loads((parent / "detections.json").read_text())
    assert {d["image_id"] for d in detections} == {image["id"] for image in content["images"]}
    # A fold is an ordinary run.
    data = data_of_config(parent / "fold-2" / "config.yaml")
    held_out = {image["id"] for image in content["images"] if image["fold"] == 2}
    assert set(data.val_set.image_ids) == held_out
    with pytest.raises(InputError, match="2 folds, not 3"):
        run("--data.folds=3", "--ckpt_path=last")


def test_a_signal_stops_all_folds(run, monkeypatch, tmp_path):
    def stop(self, *args):
        raise Stopped(2)

    monkeypatch.setattr(RunFolder, "on_train_batch_end", stop)
    with pytest.raises(Stopped):
        run()
    assert not (tmp_path / "runs" / "tiny" / "fold-2").exists()
    assert (tmp_path / "runs" / "tiny" / "folds.json").exists()
    with pytest.raises(InputError, match=r"--ckpt_path some\.ckpt"):
        run("--ckpt_path=some.ckpt")


def test_each_run_can_start_processes_for_further_gpus(tmp_path, monkeypatch):
    """As the trainer of several processes does: the next run must not find what it leaves."""
    monkeypatch.setattr(sys, "argv", ["centernet", "fit", "--data.folds=2"])
    started = []

    def run(words):
        started.append(sys.argv[1:])
        assert "LOCAL_RANK" not in os.environ and not torch.distributed.is_initialized()
        os.environ["LOCAL_RANK"] = "0"
        place = f"file://{tmp_path / str(len(started))}"
        torch.distributed.init_process_group("gloo", place, rank=0, world_size=1)

    folds._train(tmp_path / "fold-1", 1, ["--data.folds=2"], run)
    assert [words[0] for words in started] == ["fit", "validate"]
    assert all("--data.fold=1" in words for words in started)
    assert sys.argv[1:] == ["fit", "--data.folds=2"] and "LOCAL_RANK" not in os.environ
    assert not torch.distributed.is_initialized()
