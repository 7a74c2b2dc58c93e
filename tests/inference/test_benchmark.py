"""Measuring the speed of engines."""

import json
from pathlib import Path

import pytest
import torch
from fakes import checkpoint, run_centernet

from centernet.cli.benchmark import table
from centernet.errors import InputError
from centernet.inference.benchmark import BatchTime, Measurement, measure


def test_numbers_of_a_measurement(tmp_path):
    time = BatchTime(8, median=0.5, p95=0.75, batches=10)
    assert time.images_per_second == 16
    (tmp_path / "w.onnx").write_bytes(b"x" * 2_500_000)
    row = Measurement("torch", "cpu", (256, 320), 1.5, (time,), 345_000_000)
    header, line = table([("w.onnx", tmp_path / "w.onnx", row)]).splitlines()
    assert header.split("  ")[0] == "weights" and header.endswith("batch 8: ms  p95 ms  images/s")
    assert line.split() == [
        *("w.onnx", "torch", "cpu", "320x256"),
        *("2.5", "345", "1.5", "500.0", "750.0", "16.0"),
    ]


@pytest.mark.guard
def test_engines_are_measured(tmp_path, capsys):
    weights, file = tmp_path / "w.ckpt", tmp_path / "times.json"
    torch.save(checkpoint(), weights)
    arguments = ["--engines", "torch", "onnxruntime", "--seconds", "0.01", "--batch-sizes", "2"]
    status, text, _ = run_centernet(["benchmark", weights, *arguments, "--json", file], capsys)
    assert status in (0, None)
    rows = json.loads(file.read_text())
    assert [row["engine"] for row in rows] == ["torch", "onnxruntime"]
    for row in rows:
        assert (
            row["weights"] == str(weights) and row["input_size"] == "96x64" and row["bytes"] > 1000
        )
        assert row["times"][0]["batch_size"] == 2 and row["times"][0]["batches"] >= 5
        assert 0 < row["times"][0]["median"] <= row["times"][0]["p95"] < 60
        assert row["memory"] is None or 20e6 < row["memory"] < 4e9
    assert text.count("onnxruntime") == 2 and "images/s" in text


@pytest.mark.guard
def test_what_cannot_be_measured_is_skipped_with_its_reason(tmp_path, capsys):
    with pytest.raises(InputError, match=r"absent\.ckpt"):
        measure(tmp_path / "absent.ckpt", "torch")
    (tmp_path / "m.onnx").write_bytes(b"")
    status, text, _ = run_centernet(["benchmark", tmp_path / "m.onnx"], capsys)
    assert str(status).startswith("error: ") and "skipped: " in text and "m.onnx" in text


@pytest.mark.guard
def test_weights_of_one_name_are_exported_separately(tmp_path, capsys):
    paths = [tmp_path / name / "best.ckpt" for name in ("absent", "few", "many")]
    for path in paths:
        path.parent.mkdir()
        path.touch()
    for path, count in zip(paths[1:], (2, 50), strict=True):
        torch.save(checkpoint(map(str, range(count))), path)
    arguments = ["--engines", "onnxruntime", "--seconds", "0.01", "--batch-sizes", "1"]
    file = tmp_path / "times.json"
    _, text, _ = run_centernet(["benchmark", *paths, *arguments, "--json", file], capsys)
    assert "skipped: " in text and "absent" in text.partition("skipped: ")[2]
    few, many = json.loads(file.read_text())
    assert [few["weights"], many["weights"]] == [str(path) for path in paths[1:]]
    assert few["bytes"] < many["bytes"]


def test_wrong_options(capsys):
    for options in (
        ["--engines", "tensor"],
        ["--batch-sizes", "0"],
        ["--seconds", "fast"],
        ["--seconds", "inf"],
    ):
        status, *_ = run_centernet(["benchmark", Path("w.ckpt"), *options], capsys)
        assert status not in (0, None)
