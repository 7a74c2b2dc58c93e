"""Training on points: from the annotations to the checkpoint, its metrics, and its detections."""

import csv
import json
import shutil

import pytest
from fakes import tiny_config

from centernet import Detector
from centernet.cli import fit, validate
from centernet.errors import InputError
from centernet.models.checkpoints import DESCRIPTION, build_network, read_checkpoint
from centernet.training.datamodule import DetectionData


def reduce(path, is_reduced):
    """Replace the boxes of some images in a COCO file by points."""
    coco = json.loads(path.read_text())
    for annotation in coco["annotations"]:
        if is_reduced(annotation) and not annotation["iscrowd"]:
            x, y, width, height = annotation["bbox"]
            annotation |= {"bbox": [x + width / 2, y + height / 2, 0, 0], "point": True}
            annotation.pop("segmentation", None)
    path.write_text(json.dumps(coco))


@pytest.fixture
def root(tmp_path, shapes):
    """A copy of the shapes dataset."""
    return shutil.copytree(shapes, tmp_path / "shapes")


@pytest.fixture
def points(root):
    for part in ("train", "val"):
        reduce(root / "annotations" / f"instances_{part}.json", lambda annotation: True)
    return root


def run(root, command, *options, **model):
    (root.parent / "tiny.yaml").write_text(tiny_config(model=model))
    words = [f"--config={root.parent / 'tiny.yaml'}", f"--data.root={root}", *options]
    command.run([*words, f"--trainer.default_root_dir={root.parent / 'runs'}"])
    return root.parent / "runs" / "tiny"


def test_fit_and_validate(points, capsys, caplog):
    caplog.set_level("INFO")
    folder = run(points, fit, "--data.point_size=9.5")
    assert "best AP_points" in capsys.readouterr().out
    assert any("point size 9.5 pixels" in message for message in caplog.messages)
    (row,) = csv.DictReader((folder / "metrics.csv").open())
    names = {"AP_points", "F1_points", "precision_points", "recall_points"}
    assert names <= row.keys() and "AP" not in row and float(row["loss/sides"]) == 0
    content = read_checkpoint(folder / "best.ckpt")
    assert content[DESCRIPTION]["points"] == [9.5] * 4
    assert build_network(content).point_sizes == (9.5,) * 4
    detector = Detector.load(folder / "best.ckpt")
    assert detector.engine.info.point_sizes == (9.5,) * 4
    run(points, validate, f"--ckpt_path={folder / 'best.ckpt'}")
    assert "AP_points" in capsys.readouterr().out
    metrics = json.loads((folder / "validate-instances_val" / "metrics.json").read_text())
    assert metrics["AP_points"] == pytest.approx(float(row["AP_points"]))


def test_mixed_images(root, caplog):
    path = root / "annotations" / "instances_train.json"
    images = {image["id"] for image in json.loads(path.read_text())["images"][::2]}
    reduce(path, lambda annotation: annotation["image_id"] in images)
    data = DetectionData(
        root=str(root),
        train_images="train",
        train_annotations="annotations/instances_train.json",
        val_images="val",
        val_annotations="annotations/instances_val.json",
        image_size=64,
    )
    reduce(path.with_name("instances_val.json"), lambda annotation: annotation["id"] == 1)
    caplog.set_level("INFO")
    sizes = data.point_sizes
    assert set(sizes.of_class) == set(data.class_names) and data.train_set.point_sizes is None
    folder = run(root, fit)
    assert any("1 of 6 validation objects are points" in line for line in caplog.messages)
    (row,) = csv.DictReader((folder / "metrics.csv").open())
    assert "AP" in row and "AP_points" not in row and float(row["loss/sides"]) > 0
    assert "points" not in read_checkpoint(folder / "best.ckpt")[DESCRIPTION]


def test_network_of_points_is_validated_by_centers_of_boxes(root):
    path = root / "annotations" / "instances_train.json"
    reduce(path, lambda annotation: True)
    folder = run(root, fit)
    (row,) = csv.DictReader((folder / "metrics.csv").open())
    assert "AP_points" in row and "AP" not in row


def test_anchors_cannot_learn_points(points):
    with pytest.raises(InputError, match=r"model\.detector centernet"):
        run(points, fit, detector="retinanet", backbone="resnet10t", pretrained=False)


@pytest.mark.parametrize("size", [0, -3, float("nan")])
def test_point_size_is_positive(size):
    with pytest.raises(InputError, match="point_size"):
        DetectionData(point_size=size)
