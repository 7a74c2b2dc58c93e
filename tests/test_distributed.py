import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from doubles import TINY_CONFIG

from centernet.checkpoints import read_checkpoint
from centernet.shapes import make_shapes

TRAIN = Path(__file__).parents[1] / "train.py"


def run(folder, *options):
    subprocess.run([sys.executable, TRAIN, *options], cwd=folder, check=True, timeout=300)


@pytest.mark.slow
def test_two_processes_keep_one_run_and_evaluate_alike(tmp_path):
    make_shapes(tmp_path / "shapes", train=9, val=5, size=64)
    (tmp_path / "tiny.yaml").write_text(TINY_CONFIG)
    two = ["--data.root=shapes", "--trainer.devices=2", "--trainer.strategy=ddp"]
    run(tmp_path, "fit", "--config=tiny.yaml", "--trainer.max_epochs=2", *two)
    assert [p.name for p in (tmp_path / "runs").iterdir()] == ["tiny"]
    weights = "--ckpt_path=runs/tiny/best.ckpt"
    folder = tmp_path / "runs" / "tiny" / "validate-instances_val"
    results = []
    for processes in (["--data.root=shapes"], two):
        run(tmp_path, "validate", "--config=tiny.yaml", weights, *processes)
        detections = json.loads((folder / "detections.json").read_text())
        metrics = json.loads((folder / "metrics.json").read_text())
        results.append((len(detections), {d["image_id"] for d in detections}, metrics))
    assert results[0][:2] == results[1][:2]
    assert results[0][2] == pytest.approx(results[1][2], abs=1e-6)
    assert results[0][0] > 5
    run(tmp_path, "fit", "--config=tiny.yaml", "--trainer.max_epochs=3", "--ckpt_path=last", *two)
    assert [p.name for p in (tmp_path / "runs").iterdir()] == ["tiny"]


@pytest.mark.slow
def test_a_resumed_run_of_two_processes_equals_an_unbroken_one(tmp_path):
    """With workers, which prepare batches ahead."""
    make_shapes(tmp_path / "shapes", train=16, val=3, size=64)
    options = [
        "--data.root=shapes", "--data.workers=1", "--trainer.devices=2", "--trainer.strategy=ddp",
        "--model.schedule=step", "--model.milestones=[9]", "--model.warmup_steps=0",
    ]  # fmt: skip
    for name, epochs in (("unbroken", [3]), ("resumed", [1, 3])):
        (tmp_path / f"{name}.yaml").write_text(TINY_CONFIG)
        for number, count in enumerate(epochs):
            how = ["--ckpt_path=last"] if number else []
            config = [f"--config={name}.yaml", f"--trainer.max_epochs={count}"]
            run(tmp_path, "fit", *config, *options, *how)
    unbroken, resumed = (
        read_checkpoint(tmp_path / "runs" / name / "last.ckpt")["current_model_state"]
        for name in ("unbroken", "resumed")
    )
    assert all(torch.equal(unbroken[name], resumed[name]) for name in unbroken)
