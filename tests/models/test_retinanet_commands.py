import csv

import pytest
import torch
from fakes import TINY_CONFIG

from centernet import Detector
from centernet.data.shapes import make_shapes
from centernet.errors import InputError
from centernet.models.checkpoints import DESCRIPTION, checkpoint_of, read_checkpoint
from centernet.models.retinanet.network import RetinaNet
from centernet.training.train_cli import main

SMALL = "test_resnet"


@pytest.fixture
def shapes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_shapes(tmp_path / "shapes", train=8, val=2, size=64)
    (tmp_path / "tiny.yaml").write_text(TINY_CONFIG)
    return tmp_path / "shapes"


def train(command, *options):
    main([command, "--config=tiny.yaml", "--data.root=shapes", *options])


@pytest.mark.slow
def test_fit_validate_and_detect(shapes, tmp_path, capsys):
    train("fit", "--model.detector=retinanet", "--model.heatmap_loss=ghm")
    run = tmp_path / "runs" / "tiny"
    with (run / "metrics.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["loss/classification"]) > 0 and float(row["loss/boxes"]) > 0 and row["AP"]
    description = read_checkpoint(run / "best.ckpt")[DESCRIPTION]
    assert description["model"] == {
        "detector": "retinanet",
        "num_classes": 4,
        "backbone": "test_resnet",
    }
    # The checkpoint decides the network, and no loss is needed.
    train(
        "validate", f"--ckpt_path={run / 'best.ckpt'}", "--model.neck=fpn",
        "--model.heatmap_loss=penalty_reduced_focal", "--model.loss_weights={heatmap: 2}",
        "--model.test.scales=[0.5,1]",
    )  # fmt: skip
    assert (run / "validate-instances_val" / "metrics.json").exists()
    assert "triangle" in capsys.readouterr().out
    found = Detector.load(run / "best.ckpt", device="cpu")(
        shapes / "val" / "000000.png", threshold=0
    )
    assert 0 < len(found) <= 100 and set(found["class_name"]) <= set(description["class_names"])
    train("fit", "--ckpt_path=last", "--model.heatmap_loss=ghm", "--trainer.max_epochs=2")
    assert len((run / "metrics.csv").read_text().splitlines()) == 3
    # A file of weights decides the network, also when the run that began with it is resumed.
    train("fit", f"--model.weights={run / 'best.ckpt'}", "--model.neck=fpn")
    train("fit", "--ckpt_path=last", "--model.neck=fpn", "--trainer.max_epochs=2")
    description = read_checkpoint(tmp_path / "runs" / "tiny-2" / "last.ckpt")[DESCRIPTION]
    assert description["model"]["detector"] == "retinanet"


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("--model.heatmap_loss=penalty_reduced_focal", "penalty_reduced_focal"),
        ("--trainer.callbacks+=CenterAUROC", "CenterAUROC"),
        ("--trainer.callbacks+=GradientByDifficulty", "GradientByDifficulty"),
    ],
)
def test_options_that_need_heatmaps_are_refused_in_one_line(shapes, tmp_path, option, expected):
    with pytest.raises(InputError, match=expected) as raised:
        train("fit", "--model.detector=retinanet", option)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.glob("runs/*"))


def test_demo_refuses_heatmaps(shapes, tmp_path):
    from centernet.cli import main as centernet

    torch.save(checkpoint_of(RetinaNet(2, SMALL), (64, 64)), "weights.ckpt")
    detect = ["detect", "shapes/val", "--weights=weights.ckpt", "--output=out", "--device=cpu"]
    with pytest.raises(SystemExit) as exited:
        centernet([*detect, "--heatmaps"])
    assert str(exited.value).startswith("error: --heatmaps needs heatmaps")
    assert not (tmp_path / "out").exists()
    with pytest.raises(SystemExit) as exited:
        centernet([*detect, "--threshold=0.001"])
    assert not exited.value.code and len(list((tmp_path / "out").iterdir())) == 2
