import json
import subprocess
import sys
from pathlib import Path

import pytest
from doubles import TINY_CONFIG

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
    run(tmp_path, "fit", "--config=tiny.yaml", "--trainer.max_epochs=3", "--ckpt_path=last", *two)
    assert [p.name for p in (tmp_path / "runs").iterdir()] == ["tiny"]
