"""benchmarks/load.py, with few requests."""

import os
import subprocess
import sys

import pytest
from fakes import ROOT
from spot_model import write_model


@pytest.mark.guard
def test_a_row_of_the_table(tmp_path):
    model = write_model(tmp_path / "spots.onnx")
    options = ["--requests", "120", "--clients", "6", "--batch-sizes", "4"]
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "load.py", model, *options],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    name, batch, clients, requests, lost, *_, memory = [
        cell.strip() for cell in done.stdout.splitlines()[-1].strip("|").split("|")
    ]
    assert name == "`spots.onnx`, onnxruntime, cpu" and (batch, clients) == ("4", "6")
    assert requests == "2 x 120" and lost == "0" and len(memory.split()) == 5
