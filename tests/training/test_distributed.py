import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fakes import TINY_CONFIG

from centernet.data.shapes import make_shapes
from centernet.models.checkpoints import read_checkpoint

TRAIN = Path(__file__).parents[2] / "train.py"


def run(folder, *options):
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path}
    command = [sys.executable, TRAIN, *options]
    subprocess.run(command, cwd=folder, check=True, timeout=300, env=environment)


@pytest.mark.slow
def test_two_processes_learn_what_one_learns_but_for_batch_norm(tmp_path):
    """Losses are divided by the objects of the complete batch, so only its statistics differ."""
    make_shapes(tmp_path / "shapes", train=12, val=3, size=64)
    options = [
        "--data.root=shapes", "--trainer.max_epochs=1", "--model.optimizer=sgd",
        "--model.ema_decay=0", "--model.learning_rate=0.01", "--model.warmup_steps=0",
        "--model.reference_batch_size=4", "--trainer.callbacks+=callback_fakes.FixedBatchNorm",
    ]  # fmt: skip
    tensors, losses = [], []
    for name, more in (("one", []), ("two", ["--trainer.devices=2", "--trainer.strategy=ddp"])):
        (tmp_path / f"{name}.yaml").write_text(TINY_CONFIG)
        run(tmp_path, "fit", f"--config={name}.yaml", *options, *more)
        folder = tmp_path / "runs" / name
        tensors.append(read_checkpoint(folder / "last.ckpt")["state_dict"])
        with (folder / "metrics.csv").open() as file:
            losses.append(float(next(csv.DictReader(file))["loss"]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    for name, value in tensors[0].items():
        torch.testing.assert_close(value, tensors[1][name], rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.slow
def test_a_stop_within_an_epoch_stops_both_processes_and_resumes_exactly(tmp_path):
    """Also the means of the epoch, of which each process has a part."""
    make_shapes(tmp_path / "shapes", train=24, val=3, size=64)
    options = [
        "--data.root=shapes", "--data.workers=1", "--trainer.devices=2", "--trainer.strategy=ddp",
        "--trainer.max_epochs=2", "--trainer.callbacks+=GradientByDifficulty",
    ]  # fmt: skip
    for name in ("unbroken", "stopped"):
        (tmp_path / f"{name}.yaml").write_text(TINY_CONFIG)
    run(tmp_path, "fit", "--config=unbroken.yaml", *options)
    with pytest.raises(subprocess.CalledProcessError) as stop:
        stopping = [
            "--trainer.callbacks+=callback_fakes.StopAfterStep",
            "--trainer.callbacks.init_args.step=8",
        ]
        run(tmp_path, "fit", "--config=stopped.yaml", *options, *stopping)
    assert stop.value.returncode == 143
    folders = [tmp_path / "runs" / name for name in ("unbroken", "stopped")]
    assert read_checkpoint(folders[1] / "last.ckpt")["global_step"] == 8
    run(tmp_path, "fit", "--config=stopped.yaml", *options, "--ckpt_path=last")
    unbroken, stopped = (read_checkpoint(f / "last.ckpt")["current_model_state"] for f in folders)
    assert all(torch.equal(unbroken[name], stopped[name]) for name in unbroken)
    rows = [(folder / "metrics.csv").read_text() for folder in folders]
    assert rows[0] == rows[1]


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
