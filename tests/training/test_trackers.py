"""Experiment trackers, with the real libraries and without an internet connection."""

import json
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from fakes import TINY_CONFIG
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from centernet.cli import fit
from centernet.errors import InputError
from centernet.training.trackers import (
    IDS_FILE,
    finish,
    log_picture,
    log_report,
    make_loggers,
    validate_trackers,
)

PICTURE = np.full((8, 16, 3), 100, np.uint8)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of a run, without settings of the user."""
    for name in ("WANDB_MODE", "WANDB_PROJECT", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "mine"
    folder.mkdir(parents=True)
    (folder / "report.html").write_text("a report")
    return folder


def test_an_unknown_tracker_and_a_missing_library_are_named(monkeypatch):
    validate_trackers(["tensorboard", "csv"])
    with pytest.raises(InputError, match=r"--log neptune .*tensorboard, csv, wandb, mlflow"):
        validate_trackers(["neptune"])
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"--log wandb .*\[wandb\]"):
        validate_trackers(["csv", "wandb"])


def test_without_trackers_there_is_only_the_table(folder):
    assert make_loggers(["csv"], folder, None) == []


def test_tensorboard_has_metrics_and_pictures(folder):
    (logger,) = make_loggers(["tensorboard"], folder, None)
    logger.log_metrics({"AP": 0.25}, 7)
    log_picture(logger, "heat/a.jpg", PICTURE, 7)
    log_report([logger], [folder / "report.html"])  # it takes no files
    finish([logger])
    logger.experiment.close()
    events = EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()
    assert [(e.step, e.value) for e in events.Scalars("AP")] == [(7, 0.25)]
    (image,) = events.Images("heat/a.jpg")
    assert (image.step, image.width, image.height) == (7, 16, 8)


@pytest.mark.guard
def test_mlflow_has_metrics_pictures_and_the_report(folder):
    pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    (logger,) = make_loggers(["mlflow"], folder, None)
    logger.log_hyperparams({"model": {"backbone": "resnet18"}})
    logger.log_metrics({"loss/heatmap": 0.25}, 7)
    log_picture(logger, "image, target/a.jpg", PICTURE, 7)
    log_report([logger], [folder / "report.html"])
    finish([logger], stopped=True)

    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{folder.parent / 'mlflow.db'}")
    run = client.get_run(logger.run_id)
    assert run.info.run_name == "mine" and run.info.status == "KILLED"
    assert run.data.params == {"model/backbone": "resnet18"}
    history = client.get_metric_history(logger.run_id, "loss/heatmap")
    assert [(m.step, m.value) for m in history] == [(7, 0.25)]
    files = {file.path for file in client.list_artifacts(logger.run_id)}
    assert files == {"images", "report.html"}
    assert len(list((folder.parent / "mlartifacts").rglob("*.png"))) == 1
    # A resumed run is the same run.
    (folder / IDS_FILE).write_text(json.dumps({"mlflow": logger.run_id}))
    (resumed,) = make_loggers(["mlflow"], folder, 7)
    resumed.log_metrics({"loss/heatmap": 0.125}, 9)
    finish([resumed])
    history = client.get_metric_history(logger.run_id, "loss/heatmap")
    assert [(m.step, m.value) for m in history] == [(7, 0.25), (9, 0.125)]
    assert client.get_run(logger.run_id).info.status == "FINISHED"


@pytest.mark.slow
def test_a_run_is_in_wandb_and_mlflow(folder, shapes, capfd):
    pytest.importorskip("wandb")
    pytest.importorskip("mlflow")
    Path("tiny.yaml").write_text(TINY_CONFIG)
    options = ["--config=tiny.yaml", f"--data.root={shapes}", "--log", "wandb", "mlflow"]
    fit.run([*options, "--report=true"])
    run = Path("runs/tiny")
    ids = json.loads((run / IDS_FILE).read_text())
    fit.run([*options, "--trainer.max_epochs=2", "--ckpt_path=last"])
    assert json.loads((run / IDS_FILE).read_text()) == ids
    assert not list(run.glob("events*"))
    first, second = (records(path) for path in sorted(Path("runs/wandb").glob("offline-*")))
    assert first["run"][0].display_name == second["run"][0].display_name == "tiny"
    assert first["run"][0].run_id == second["run"][0].run_id == ids["wandb"]
    values = {key: value for record in first["history"] for key, value in items(record)}
    assert values["loss"] > 0 and 0 <= values["AP"] <= 1
    assert any("prediction" in key for key in values)
    config = {item.key: item.value_json for record in first["config"] for item in record.update}
    assert json.loads(config["model"])["backbone"] == "test_resnet"
    assert len(first["artifact"]) == 1 and first["artifact"][0].type == "report"

    from mlflow.tracking import MlflowClient

    client = MlflowClient("sqlite:///runs/mlflow.db")
    tracked = client.get_run(ids["mlflow"])
    assert tracked.info.run_name == "tiny" and tracked.info.status == "FINISHED"
    assert tracked.data.params["model/backbone"] == "test_resnet"
    assert len(client.get_metric_history(ids["mlflow"], "loss")) == 2
    names = {file.path for file in client.list_artifacts(ids["mlflow"])}
    assert names >= {"report.html", "inspect.html", "images"}


def items(record):
    for item in record.item:
        yield item.key or "/".join(item.nested_key), json.loads(item.value_json)


def records(path):
    """The records of an offline run by type. The file is a log of LevelDB after 7 bytes."""
    from wandb.proto import wandb_internal_pb2

    (file,) = path.glob("*.wandb")
    data, at, parts, found = file.read_bytes(), 7, b"", {}
    while at + 7 <= len(data):
        if (left := -at % 2**15) and left < 7:  # the rest of a block is too short for a header
            at += left
        length, kind = struct.unpack_from("<HB", data, at + 4)
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind not in (1, 4):  # of 1 full, 2 first, 3 middle, 4 last
            continue
        record = wandb_internal_pb2.Record.FromString(parts)
        name, parts = record.WhichOneof("record_type"), b""
        value = getattr(record, name)
        if name == "request" and value.WhichOneof("request_type") == "log_artifact":
            name, value = "artifact", value.log_artifact.artifact
        found.setdefault(name, []).append(value)
    return found
