import csv
import fcntl
import json
import logging
import os
import pickle
import signal
from pathlib import Path

import pytest
import torch
import yaml
from fakes import released_weights

from centernet import Detector
from centernet.cli import fit, validate
from centernet.data.shapes import make_shapes
from centernet.errors import InputError
from centernet.models.checkpoints import DESCRIPTION, read_checkpoint
from centernet.training import auto_config
from centernet.training.run_folder import RunFolder
from centernet.training.stopping import Stopped
from centernet.training.train_cli import main

COMMANDS = {"fit": fit.run, "validate": validate.run}
# A tiny network on a small input: a step takes a few hundredths of a second.
SMALL = [
    "--config=CONFIG",
    "--data.image_size=64",
    "--data.batch_size=4",
    "--data.workers=0",
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
    "--trainer.check_val_every_n_epoch=1",
    "--report=false",
]
CONFIG = """\
data:
  train_images: train
  train_annotations: annotations/instances_train.json
  val_images: val
  val_annotations: annotations/instances_val.json
model:
  backbone: test_resnet
  neck: fpn
"""


@pytest.fixture
def train(tmp_path, monkeypatch, shapes):
    """Runs the command in an empty folder; returns that folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(CONFIG)

    def run(command, *options, root=shapes):
        small = [option.replace("CONFIG", "tiny.yaml") for option in SMALL]
        COMMANDS[command]([*small, f"--data.root={root}", *options])
        return tmp_path

    return run


def rows_of(run):
    with (run / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_what_it_should(train, shapes):
    options = ("--trainer.max_epochs=2", "--report=true", "--model.box_head=sides")
    run = train("fit", *options) / "runs" / "tiny"
    events = [p for p in run.iterdir() if p.name.startswith("events")]
    names = {p.name for p in run.iterdir()} - {p.name for p in events}
    pages = {"report.html", "inspect.html"}
    assert names == {"best.ckpt", "last.ckpt", "config.yaml", "metrics.csv"} | pages and events
    rows = rows_of(run)
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert all(0 <= float(row["AP"]) <= 1 and float(row["loss"]) > 0 for row in rows)
    description = read_checkpoint(run / "best.ckpt")[DESCRIPTION]
    assert description["class_names"] == ["circle", "rectangle", "triangle", "star"]
    assert description["image_size"] == [64, 64] and description["top_k"] == 100
    found = Detector.load(run / "best.ckpt")(shapes / "val" / "000000.png", threshold=0)
    assert set(found["class_name"]) <= set(description["class_names"]) and 0 < len(found) <= 100


@pytest.mark.guard
def test_size_and_length_can_be_left_to_the_data(train, shapes, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    seen = []

    def two_epochs(*given):
        seen.append(given)
        return 2, "for a test"

    monkeypatch.setattr("centernet.training.lightning_cli.epochs_for", two_epochs)
    auto = ("--data.image_size=auto", "--trainer.limit_train_batches=1")
    run = train("fit", *auto) / "runs" / "tiny"
    assert seen == [(10, 4)] and len(rows_of(run)) == 2
    assert "2 epochs: for a test" in caplog.text
    # 64 pixels, which are not to be enlarged beyond 256
    assert read_checkpoint(run / "best.ckpt")[DESCRIPTION]["image_size"] == [256, 256]
    assert "image size 256x256" in caplog.text and "64x64" in caplog.text
    assert "  image_size: 256x256\n" in (run / "config.yaml").read_text()
    caplog.clear()
    train("fit", *auto, "--ckpt_path=last", "--trainer.max_epochs=3")
    assert caplog.text.count("before the run stopped") == 1
    assert "trainer.max_epochs is 3 now, None before" in caplog.text
    train("validate", "--data.image_size=auto", f"--ckpt_path={run / 'best.ckpt'}")
    assert len(rows_of(run)) == 3 and "image size" not in caplog.text


def test_the_saved_configuration_repeats_the_run(train, tmp_path):
    run = train("fit", "--trainer.max_epochs=1") / "runs" / "tiny"
    config = run / "config.yaml"
    # Earlier versions wrote the unset option under its old name.
    config.write_text(config.read_text().replace("  classes: null", "  only: null"))
    assert "  only: null" in config.read_text()
    main(["fit", f"--config={config}"])
    again = tmp_path / "runs" / "config"
    first, second = (read_checkpoint(r / "last.ckpt")["state_dict"] for r in (run, again))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_validate_writes_beside_the_weights_and_nowhere_else(train, capsys):
    run = train("fit", "--trainer.max_epochs=1", "--model.box_head=sides") / "runs" / "tiny"
    before = {p: p.stat().st_mtime_ns for p in run.iterdir()}
    train("validate", f"--ckpt_path={run / 'best.ckpt'}", "--model.neck=deconv")
    folder = run / "validate-instances_val"
    assert {p.name for p in folder.iterdir()} == {
        "metrics.json",
        "per_class.csv",
        "detections.json",
    }
    assert {p: p.stat().st_mtime_ns for p in run.iterdir() if p != folder} == before
    printed = capsys.readouterr().out
    assert "Average Precision" in printed and "triangle" in printed
    saved = json.loads((folder / "metrics.json").read_text())
    assert saved["AP"] == pytest.approx(float(rows_of(run)[0]["AP"]), abs=1e-6)
    detections = json.loads((folder / "detections.json").read_text())
    assert set(detections[0]) == {"image_id", "category_id", "bbox", "score"}


def test_an_input_size_is_written_width_x_height_and_earlier_lists_are_read(train, caplog):
    caplog.set_level(logging.INFO)
    run = train("fit", "--trainer.max_epochs=1", "--data.image_size=96x64") / "runs" / "tiny"
    assert "input 96x64" in caplog.text
    assert read_checkpoint(run / "last.ckpt")[DESCRIPTION]["image_size"] == [64, 96]
    config = run / "config.yaml"
    assert "  image_size: 96x64\n" in config.read_text()
    # As an earlier version wrote it.
    config.write_text(config.read_text().replace("96x64", "[64, 96]"))
    main(["fit", f"--config={config}", "--trainer.max_epochs=1"])
    again = run.parent / "config"
    assert read_checkpoint(again / "last.ckpt")[DESCRIPTION]["image_size"] == [64, 96]
    assert "  image_size: 96x64\n" in (again / "config.yaml").read_text()
    caplog.clear()
    train("fit", "--ckpt_path=last", "--trainer.max_epochs=2", "--data.image_size=96x64")
    assert "max_epochs is 2 now" in caplog.text and "image_size is" not in caplog.text


def test_large_images_are_trained_on_in_tiles_and_validated_as_a_whole(train, tmp_path, caplog):
    make_shapes(tmp_path / "large", train=4, val=2, size=128)
    options = ("--data.image_size=192x160", "--data.tile=64", "--trainer.max_epochs=1")
    with caplog.at_level(logging.INFO, "centernet"):
        run = train("fit", *options, root=tmp_path / "large") / "runs" / "tiny"
    assert "tiles of 64 pixels" in caplog.text and "192x160" in caplog.text
    detector = Detector.load(run / "best.ckpt")
    assert detector.engine.info.image_size == (160, 192)
    assert detector.predict(tmp_path / "large/val/000000.png").heatmaps.logits.shape[1:] == (40, 48)


def test_fit_validates_very_large_inputs_as_others(train, monkeypatch):
    scores = []
    for pixels in (10**6, 1):
        monkeypatch.setattr("centernet.training.task.AUTO_PIXELS", pixels)
        # The option test is of validate only.
        options = ("--trainer.max_epochs=2", "--model.box_head=sides", "--model.test.flip=true")
        train("fit", *options, f"--trainer.default_root_dir={pixels}")
        scores.append([float(row["AR_100"]) for row in rows_of(Path(f"{pixels}/tiny"))])
    assert scores[0] == pytest.approx(scores[1], abs=1e-6) and max(scores[0]) > 0


def test_a_resumed_run_keeps_its_automatic_tiles(train, tmp_path, monkeypatch, caplog):
    for name in ("_MIN_SIDE", "_MAX_SIDE", "_TILE"):
        monkeypatch.setattr(auto_config, name, 64)
    make_shapes(tmp_path / "large", train=4, val=2, size=192)
    auto = ("--data.image_size=auto", "--data.tile=auto")
    with caplog.at_level(logging.INFO, "centernet"):
        for more in ("--trainer.max_epochs=1",), ("--trainer.max_epochs=2", "--ckpt_path=last"):
            caplog.clear()
            train("fit", *auto, *more, root=tmp_path / "large")
            assert "tiles of 64 pixels in each epoch" in caplog.text
    assert "\n  tile: 64\n" in Path("runs/tiny/config.yaml").read_text()


@pytest.mark.parametrize("tile", ["40", "0", "big", "96x64"])
def test_a_wrong_tile_is_one_line(train, capsys, tile):
    with pytest.raises((SystemExit, InputError)) as error:
        train("fit", f"--data.tile={tile}")
    assert "tile" in str(error.value) + capsys.readouterr().err


def test_a_second_fit_takes_the_next_folder(train):
    for _ in range(2):
        runs = train("fit", "--trainer.max_epochs=1") / "runs"
    assert {p.name for p in runs.iterdir()} == {"tiny", "tiny-2"}


def stop_after_first_epoch(monkeypatch):
    original = RunFolder.on_train_epoch_end

    def and_stop(self, trainer, pl_module):
        original(self, trainer, pl_module)
        raise Stopped(signal.SIGINT)

    monkeypatch.setattr(RunFolder, "on_train_epoch_end", and_stop)


@pytest.mark.guard
@pytest.mark.parametrize(
    ("loss", "workers"),
    [
        ("penalty_reduced_focal", 0),
        ("ghm", 0),
        pytest.param("penalty_reduced_focal", 1, marks=pytest.mark.slow),
        pytest.param("penalty_reduced_focal", 2, marks=pytest.mark.slow),
    ],
)
def test_resuming_equals_never_having_stopped(train, monkeypatch, caplog, loss, workers):
    options = ["--trainer.max_epochs=2", "--model.warmup_steps=1", f"--model.heatmap_loss={loss}"]
    options.append(f"--data.workers={workers}")
    if loss == "ghm":  # which remembers the previous epoch
        options.append("--model.heatmap_loss_options={schedule: epoch, momentum: 0.5}")
    runs = train("fit", *options) / "runs"
    with monkeypatch.context() as stopping:
        stop_after_first_epoch(stopping)
        with pytest.raises(SystemExit):
            train("fit", *options)
    assert len(rows_of(runs / "tiny-2")) == 1
    with caplog.at_level(logging.INFO):
        train("fit", *options, "--ckpt_path=last")
    assert "resuming runs/tiny-2/last.ckpt" in caplog.text
    unbroken, resumed = (read_checkpoint(runs / r / "last.ckpt") for r in ("tiny", "tiny-2"))
    for part in ("state_dict", "current_model_state"):
        assert all(torch.equal(unbroken[part][k], resumed[part][k]) for k in unbroken[part])
    assert rows_of(runs / "tiny") == rows_of(runs / "tiny-2")


def stop_after_step(monkeypatch, step):
    """As a signal would that arrives during that step."""
    original = RunFolder.on_train_batch_end

    def request(self, trainer, *args):
        if trainer.global_step == step:
            self.signals._handle(signal.SIGTERM, None)
        original(self, trainer, *args)

    monkeypatch.setattr(RunFolder, "on_train_batch_end", request)


GHM = [
    "--model.heatmap_loss=ghm", "--model.heatmap_loss_options={schedule: epoch, momentum: 0.5}",
]  # fmt: skip


@pytest.mark.guard
@pytest.mark.parametrize(
    ("workers", "options"),
    [
        (
            0,
            [*GHM, "--trainer.callbacks+=GradientByDifficulty", "--model.freeze_backbone_epochs=1"],
        ),
        pytest.param(1, ["--model.ema_decay=0"], marks=pytest.mark.slow),
        pytest.param(
            1, ["--trainer.callbacks+=callback_fakes.RandomFeatures"], marks=pytest.mark.slow
        ),
        pytest.param(
            2,
            ["--trainer.accumulate_grad_batches=2", "--trainer.limit_train_batches=4"],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_resuming_within_an_epoch_equals_never_having_stopped(train, monkeypatch, workers, options):
    options = [
        *options, "--trainer.max_epochs=3", f"--data.workers={workers}", "--data.batch_size=2",
    ]  # fmt: skip
    runs = train("fit", *options) / "runs"
    steps = 2 if "accumulate" in str(options) else 5
    for start, step in enumerate((1, steps + steps // 2)):
        with monkeypatch.context() as stopping:
            stop_after_step(stopping, step)
            with pytest.raises(Stopped) as stopped:
                train("fit", *options, *(["--ckpt_path=last"] if start else []))
        assert stopped.value.code == 143 and "last.ckpt" in stopped.value.outcome
        content = read_checkpoint(runs / "tiny-2" / "last.ckpt")
        assert (content["epoch"], content["global_step"]) == (start, step)
    train("fit", *options, "--ckpt_path=last")
    unbroken, resumed = (read_checkpoint(runs / r / "last.ckpt") for r in ("tiny", "tiny-2"))
    assert differences(unbroken, resumed) == []
    assert rows_of(runs / "tiny") == rows_of(runs / "tiny-2")


def differences(first, second, name=""):
    """Names of the entries of two checkpoints that are not the same to the last bit."""
    if isinstance(first, dict):
        assert first.keys() == second.keys()
        pairs = ((key, first[key], second[key]) for key in first)
    elif isinstance(first, list | tuple):
        pairs = ((i, *both) for i, both in enumerate(zip(first, second, strict=True)))
    elif isinstance(first, torch.Tensor):
        return [] if torch.equal(first, second) else [name]
    else:
        return [] if first == second else [name]
    return [found for key, *both in pairs for found in differences(*both, f"{name}/{key}")]


@pytest.mark.guard
def test_resuming_a_run_with_max_steps_goes_on_with_the_next_epoch(train):
    """Also where they broke an epoch off; and the last of ``max_epochs`` is run and validated."""
    options = [
        "--trainer.max_epochs=3", "--trainer.check_val_every_n_epoch=3",
        "--trainer.callbacks+=GradientByDifficulty",
    ]  # fmt: skip
    train("fit", *options, "--trainer.max_steps=2")
    train("fit", *options, "--trainer.max_steps=3", "--ckpt_path=last")
    runs = train("fit", *options, "--trainer.max_steps=99", "--ckpt_path=last") / "runs"
    rows = rows_of(runs / "tiny")
    assert [(row["epoch"], row["step"]) for row in rows] == [("0", "2"), ("1", "3"), ("2", "5")]
    assert all(row["loss"] and row["gradient/easy"] for row in rows) and rows[-1]["AP"]


def test_weights_to_start_from(train, capsys):
    run = train("fit", "--trainer.max_epochs=1") / "runs" / "tiny"
    weights = f"--model.weights={run / 'best.ckpt'}"
    train("fit", "--trainer.max_epochs=1", weights, "--model.learning_rate=0")
    first, second = (
        read_checkpoint(run.parent / name / "best.ckpt")["state_dict"]
        for name in ("tiny", "tiny-2")
    )
    key = "model.heads.heatmap.2.weight"
    assert torch.equal(first[key], second[key])


def test_step_schedule_and_scaled_rate(train, caplog):
    options = [
        "--trainer.max_epochs=3", "--model.schedule=step", "--model.milestones=[1,2]",
        "--model.warmup_steps=0", "--model.learning_rate=0.01", "--model.reference_batch_size=8",
        "--model.optimizer=sgd", "--model.ema_decay=0", "--trainer.check_val_every_n_epoch=3",
    ]  # fmt: skip
    with caplog.at_level(logging.INFO):
        run = train("fit", *options) / "runs" / "tiny"
    assert "learning rate 0.005 (0.01 for a batch of 8, scaled to 4)" in caplog.text
    rates = [float(row["learning_rate"]) for row in rows_of(run)]
    # The rate of the next step, as each epoch ends; after the last the drop is the last one's.
    assert rates == pytest.approx([5e-4, 5e-5, 5e-5])


# Mistakes: each one line, a status that is not zero, and nothing left behind.


def change(root, copy, edit):
    """A copy of the dataset whose training annotations went through ``edit``."""
    import shutil

    shutil.copytree(root, copy)
    path = copy / "annotations" / "instances_train.json"
    content = json.loads(path.read_text())
    result = edit(content)
    path.write_text(result if isinstance(result, str) else json.dumps(content))
    return copy


MISTAKES = {
    "not json": (lambda coco: "{", "not valid JSON"),
    "not coco": (lambda coco: json.dumps([1, 2]), "not COCO"),
    "unknown image": (lambda coco: coco["annotations"][0].update(image_id=999), "image_id 999"),
    "unknown category": (
        lambda coco: coco["annotations"][0].update(category_id=77),
        "category_id 77",
    ),
    "empty": (lambda coco: coco["images"].clear(), "empty"),
    "no boxes": (lambda coco: coco["annotations"].clear(), "no boxes"),
    "missing image": (lambda coco: coco["images"][0].update(file_name="gone.png"), "gone.png"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_in_the_data(train, shapes, tmp_path, mistake):
    edit, said = MISTAKES[mistake]
    root = change(shapes, tmp_path / "copy", edit)
    with pytest.raises(InputError) as raised:
        train("fit", root=root)
    assert said in str(raised.value) and "\n" not in str(raised.value)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("workers", [0, 1])
def test_truncated_image(train, shapes, tmp_path, workers):
    root = change(shapes, tmp_path / "copy", lambda coco: None)
    image = root / "train" / "000003.png"
    image.write_bytes(image.read_bytes()[:500])
    with pytest.raises(InputError, match=r"000003\.png is truncated") as raised:
        train("fit", f"--data.workers={workers}", root=root)
    assert "\n" not in str(raised.value)
    assert not list((tmp_path / "runs").iterdir())


@pytest.mark.guard
@pytest.mark.parametrize("workers", [0, 1])
def test_a_few_unreadable_training_images_are_replaced(train, tmp_path, workers, caplog):
    make_shapes(tmp_path / "many", train=20, val=3, size=64)
    broken = tmp_path / "many" / "train" / "000003.png"
    broken.write_bytes(broken.read_bytes()[:500])
    train("fit", "--trainer.max_epochs=3", f"--data.workers={workers}", root=tmp_path / "many")
    said = [r.getMessage() for r in caplog.records if "000003.png" in r.getMessage()]
    assert len(said) == 1 and "truncated" in said[0]


def test_an_unreadable_validation_image_is_an_error(train, shapes, tmp_path):
    root = change(shapes, tmp_path / "copy", lambda coco: None)
    image = root / "val" / "000001.png"
    image.write_bytes(image.read_bytes()[:500])
    with pytest.raises(InputError, match=r"000001\.png is truncated") as raised:
        train("fit", root=root)
    assert "\n" not in str(raised.value)


def with_a_moon(shapes, copy):
    """The shapes with a fifth class, of which there is none."""
    return change(shapes, copy, lambda coco: coco["categories"].append({"id": 99, "name": "moon"}))


def test_a_run_cannot_be_resumed_with_other_classes(train, shapes, tmp_path):
    run = train("fit", "--trainer.max_epochs=1") / "runs" / "tiny"
    with pytest.raises(InputError, match=r"4 classes .* the data has 5") as raised:
        train(
            "fit", f"--ckpt_path={run / 'last.ckpt'}", root=with_a_moon(shapes, tmp_path / "copy")
        )
    assert "\n" not in str(raised.value)
    assert {p.name for p in run.parent.iterdir()} == {"tiny"}


@pytest.mark.guard
def test_weights_of_other_classes_are_a_start(train, shapes, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    run = train("fit", "--trainer.max_epochs=1") / "runs" / "tiny"
    best = f"--model.weights={run / 'best.ckpt'}"
    for root, new in ((shapes, False), (with_a_moon(shapes, tmp_path / "copy"), True)):
        caplog.clear()
        # The file decides the network, whatever the options say.
        train("fit", best, "--trainer.max_epochs=1", "--model.neck=deconv", root=root)
        assert "backbone " in caplog.text
        assert ("heads.heatmap.2.weight, heads.heatmap.2.bias" in caplog.text) == new
    started = read_checkpoint(run.parent / "tiny-3" / "last.ckpt")[DESCRIPTION]
    assert started["model"]["neck"] == "fpn" and len(started["class_names"]) == 5


@pytest.mark.guard
def test_released_weights_are_a_start_and_can_be_validated(train, tmp_path):
    path = tmp_path / "ctdet_small.pth"
    torch.save({"state_dict": released_weights("res_18", num_classes=4)}, path)
    out = train("fit", f"--model.weights={path}", "--trainer.max_epochs=1")
    description = read_checkpoint(out / "runs" / "tiny" / "last.ckpt")[DESCRIPTION]
    assert description["model"]["neck_channels"] == [256, 256, 256]
    assert description["class_names"] == ["circle", "rectangle", "triangle", "star"]
    train("validate", f"--ckpt_path={path}")
    assert (tmp_path / "validate-instances_val" / "metrics.json").exists()


def test_weights_without_names_and_of_another_count_cannot_be_validated(train, tmp_path):
    path = tmp_path / "ctdet_small.pth"
    torch.save({"state_dict": released_weights("res_18", num_classes=3)}, path)
    with pytest.raises(InputError, match=r"3 classes.* 4"):
        train("validate", f"--ckpt_path={path}")


@pytest.mark.guard
@pytest.mark.parametrize("ema", [pytest.param(0, marks=pytest.mark.slow), 0.9])
def test_a_frozen_backbone_stands_still_and_learns_later(train, caplog, ema):
    caplog.set_level(logging.INFO)
    options = (f"--model.ema_decay={ema}", "--trainer.max_epochs=2", "--model.warmup_steps=0")

    def state(run, part):
        """Averaged where that is asked for; with the statistics of the batch norms."""
        tensors = read_checkpoint(run / "last.ckpt")["state_dict"]
        return {k: v for k, v in tensors.items() if k.startswith(f"model.{part}.")}

    # The same seed makes all three start alike.
    for epochs in (2, 1):
        runs = train("fit", f"--model.freeze_backbone_epochs={epochs}", *options) / "runs"
    train("fit", "--model.learning_rate=0", "--model.freeze_backbone_epochs=2", *options)
    frozen, thawed, untrained = (runs / name for name in ("tiny", "tiny-2", "tiny-3"))
    made = state(untrained, "backbone")
    assert all(torch.equal(v, made[k]) for k, v in state(frozen, "backbone").items())
    learned = state(thawed, "backbone")
    assert not any(torch.equal(v, made[k]) for k, v in learned.items() if "conv" in k)
    heads = state(untrained, "heads")
    assert not any(torch.equal(v, heads[k]) for k, v in state(frozen, "heads").items())
    assert "epoch 2: the backbone" in caplog.text


def test_validation_with_test_modes_equals_the_detector(train, shapes):
    run = train("fit", "--trainer.max_epochs=1", "--model.box_head=sides") / "runs" / "tiny"
    train(
        "validate",
        f"--ckpt_path={run / 'best.ckpt'}",
        "--model.test.resolution=keep",
        "--model.test.flip=true",
        "--model.test.scales=[0.5,1]",
        "--model.test.top_k=7",
        "--model.test.tile=128",
    )
    results = json.loads((run / "validate-instances_val" / "detections.json").read_text())
    options = {"resolution": "keep", "flip": True, "scales": (0.5, 1), "top_k": 7, "tile": 128}
    detector = Detector.load(run / "best.ckpt", device="cpu", **options)
    coco = json.loads((shapes / "annotations" / "instances_val.json").read_text())
    shown = results[0]["image_id"]
    (name,) = [image["file_name"] for image in coco["images"] if image["id"] == shown]
    found = detector(shapes / "val" / name, threshold=0)
    ours = [r for r in results if r["image_id"] == shown]
    assert 1 < len(ours) == len(found) <= 7
    assert [r["score"] for r in ours] == pytest.approx(found.confidence.tolist(), abs=1e-6)
    ids = sorted(category["id"] for category in coco["categories"])
    for result, (x1, y1, x2, y2), label in zip(ours, found.xyxy, found.class_id, strict=True):
        assert result["bbox"] == pytest.approx([x1, y1, x2 - x1, y2 - y1], abs=1e-3)
        assert result["category_id"] == ids[label]


@pytest.mark.guard
def test_weights_decide_the_network_and_config_yaml_says_so(train, caplog):
    first = train("fit", "--trainer.max_epochs=1", "--model.neck=deconv", "--model.head_channels=8")
    caplog.clear()
    weights = f"--model.weights={first / 'runs' / 'tiny' / 'best.ckpt'}"
    run = train("fit", "--trainer.max_epochs=1", weights) / "runs" / "tiny-2"
    # tiny.yaml asks for a pyramid; nobody asked for a width.
    (warning,) = [r.getMessage() for r in caplog.records if "model.neck" in r.getMessage()]
    assert "model.neck fpn by deconv" in warning and "head_channels" not in warning
    model = yaml.safe_load((run / "config.yaml").read_text())["model"]
    assert (model["neck"], model["head_channels"], model["pretrained"]) == ("deconv", 8, False)
    trained = read_checkpoint(run / "best.ckpt")[DESCRIPTION]["model"]
    assert {name: model[name] for name in trained.keys() & model.keys()} == {
        name: trained[name] for name in trained.keys() & model.keys()
    }
    caplog.clear()
    train("fit", "--trainer.max_epochs=2", "--ckpt_path=last", "--model.neck=dla")
    assert "model.neck dla by deconv" in caplog.text
    assert caplog.text.count("before the run stopped") == 1  # max_epochs


@pytest.mark.guard
@pytest.mark.parametrize(
    ("options", "ignored"),
    [
        (["--model.detector=retinanet", "--model.box_cells=nonsense"], {"neck", "box_cells"}),
        (["--model.box_cells=center"], {"box_cells"}),
        (["--model.box_head=sides", "--model.box_cells=center"], set()),
    ],
)
def test_options_that_nothing_uses_are_named(train, caplog, options, ignored):
    train("fit", "--trainer.max_epochs=1", *options)
    found = {
        r.getMessage().split()[0].removeprefix("model.")
        for r in caplog.records
        if "is ignored" in r.getMessage()
    }
    assert found == ignored


@pytest.mark.guard
def test_released_weights_are_validated_at_the_images_own_size(train, tmp_path, shapes):
    """As the Detector takes them."""
    torch.save({"state_dict": released_weights("res_18", num_classes=4)}, tmp_path / "w.pth")
    train("validate", f"--ckpt_path={tmp_path / 'w.pth'}")
    results = json.loads((tmp_path / "validate-instances_val" / "detections.json").read_text())
    coco = json.loads((shapes / "annotations" / "instances_val.json").read_text())
    detector, count = Detector.load(tmp_path / "w.pth", device="cpu"), 0
    for image in coco["images"]:
        found = detector(shapes / "val" / image["file_name"], threshold=0)
        ours = [r["score"] for r in results if r["image_id"] == image["id"]]
        assert ours == pytest.approx(found.confidence.tolist(), abs=1e-6)
        count += len(ours)
    assert count > 0


def test_a_resumed_run_says_which_options_are_others_now(train, caplog):
    train("fit", "--trainer.max_epochs=1", "--model.heatmap_loss=focal")
    train("fit", "--trainer.max_epochs=2", "--ckpt_path=last")
    assert "model.heatmap_loss is None now, focal before" in caplog.text
    assert "trainer.max_epochs is 2 now, 1 before" in caplog.text
    assert caplog.text.count("before the run stopped") == 2


@pytest.mark.guard
def test_a_checkpoint_of_other_tensors_cannot_be_resumed(train, tmp_path):
    train("fit", "--trainer.max_epochs=1")
    content = torch.load(tmp_path / "runs" / "tiny" / "last.ckpt", weights_only=True)
    del content["state_dict"]["model.heads.size.0.bias"]
    torch.save(content, tmp_path / "old.ckpt")
    with pytest.raises(InputError, match="do not fit the network"):
        train("fit", f"--ckpt_path={tmp_path / 'old.ckpt'}")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--ckpt_path=last"], "no run to resume"),
        (["--ckpt_path=nowhere.ckpt"], "nowhere.ckpt"),
        (["--model.weights=nowhere.ckpt"], "nowhere.ckpt"),
        (["--data.image_size=100"], r"data\.image_size.*100x100: use 96x96"),
        (["--data.image_size=64x50"], r"data\.image_size.*64x50: use 64x64"),
        (["--data.image_size=[1,2,3]"], r"data\.image_size.*320x256; got '\[1,2,3\]'"),
        (["--data.batch_size=0"], "batch_size"),
        (["--model.backbone=resnet19"], "resnet19"),
        (["--model.neck=spine"], "spine"),
        (["--model.schedule=never"], "never"),
        (["--model.optimizer=adamwx"], "adamwx"),
        (["--model.reference_batch_size=0"], "reference_batch_size"),
        (["--data.workers=-1"], "workers.*-1"),
        (["--data.augment.scale=[0.5,.inf]"], r"augment\.scale"),
        (["--data.image_size=32", "--data.batch_size=1"], "32x32.*batches of 1.*batch_size"),
        (["--trainer.max_epochs=-1"], "max_epochs -1"),
        (["--model.test.scales=[]"], "scales"),
        (["--model.test.nms=2"], "nms"),
        pytest.param(
            ["--model.backbone=hourglass104", "--data.image_size=128", "--data.tile=96"],
            "data.tile.*multiples of 128",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["--model.backbone=hourglass104", "--data.image_size=96"],
            "multiples of 128",
            marks=pytest.mark.slow,
        ),
        (["--model.backbone=efficientformerv2_s0"], "efficientformerv2_s0.*64x64"),
        (["--model.ema_decay=1"], "ema_decay"),
        (["--model.loss_weights={heatmap: 1.0, depth: 1.0}"], "depth"),
        (["--model.heatmap_loss=hinge"], "hinge"),
        (["--trainer.precision=bf16-true"], "bf16-mixed"),
        (["--data.only=[circle]"], r"data\.only.*data\.classes"),
        (["--trainer.enable_checkpointing=false"], "enable_checkpointing"),
        (["--trainer.precision=64-true"], "64-true"),
        (["--trainer.max_time=00:00:00:00"], "max_time"),
        (["--trainer.devices=-1"], "devices"),
        (["--trainer.devices=0"], "devices"),
        (["--trainer.devices=2", "--trainer.sync_batchnorm=true"], "sync_batchnorm"),
        (["--trainer.accelerator=tpu"], "torch_xla"),
        (["--trainer.strategy=nonsense"], "nonsense"),
        (["--trainer.limit_train_batches=0.01"], "limit_train_batches"),
        *(
            ([f"--trainer.{option}"], option.replace("=", " ").replace("true", "True"))
            for option in (
                "max_epochs=0",
                "max_steps=0",
                "min_epochs=-1",
                "min_steps=-1",
                "check_val_every_n_epoch=0",
                "check_val_every_n_epoch=-1",
                "val_check_interval=0.5",
                "val_check_interval=10",
                "num_sanity_val_steps=-2",
                "limit_train_batches=0",
                "limit_train_batches=-1",
                "limit_val_batches=-1",
                "accumulate_grad_batches=0",
                "gradient_clip_val=-1",
                "log_every_n_steps=-1",
                "overfit_batches=1",
                "reload_dataloaders_every_n_epochs=1",
                "use_distributed_sampler=true",
                "barebones=true",
            )
        ),
    ],
)
def test_mistakes_in_options(train, tmp_path, options, said):
    with pytest.raises(InputError, match=said) as raised:
        train("fit", *options)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.glob("runs/*"))


@pytest.mark.parametrize(
    "options",
    [
        ["num_sanity_val_steps=2", "check_val_every_n_epoch=5"],
        ["limit_val_batches=1", "limit_train_batches=1", "log_every_n_steps=0"],
        ["accumulate_grad_batches=3", "gradient_clip_val=1", "profiler=simple"],
        ["detect_anomaly=true", "deterministic=true", "callbacks+=ModelCheckpoint"],
        ["fast_dev_run=2"],
    ],
)
def test_options_that_work(train, options):
    run = train("fit", "--trainer.max_epochs=2", *(f"--trainer.{o}" for o in options))
    names = {path.name for path in (run / "runs" / "tiny").iterdir()}
    assert {"best.ckpt", "last.ckpt", "metrics.csv"} <= names
    assert rows_of(run / "runs" / "tiny")[-1]["AP"]


@pytest.mark.parametrize("command", ["fit", "validate"])
@pytest.mark.parametrize("content", [b"", b"hello", b"code"])
def test_a_file_that_is_no_checkpoint_is_named_in_one_line(train, tmp_path, command, content):
    path = tmp_path / "bad.ckpt"
    path.write_bytes(pickle.dumps({"state_dict": Canary()}) if content == b"code" else content)
    with pytest.raises(InputError, match=r"bad\.ckpt") as raised:
        train(command, f"--ckpt_path={path}")
    assert "\n" not in str(raised.value) and not (tmp_path / "canary").exists()


class Canary:
    def __reduce__(self):
        return os.mkdir, ("canary",)


def test_resuming_a_finished_run_says_so_and_touches_nothing(train, capsys):
    run = train("fit", "--trainer.max_epochs=2") / "runs" / "tiny"
    before = {path: path.stat().st_mtime_ns for path in run.iterdir()}
    for option in ("max_epochs=2", "max_epochs=1", "max_steps=3"):
        capsys.readouterr()
        train("fit", f"--trainer.{option}", "--ckpt_path=last")
        (said,) = capsys.readouterr().out.splitlines()
        assert str(run.relative_to(run.parents[1])) in said and option.split("=")[0] in said
        assert f"of {option[-1]}" in said
    assert {path: path.stat().st_mtime_ns for path in run.iterdir()} == before


def test_a_run_that_another_process_trains_cannot_be_resumed(train):
    run = train("fit", "--trainer.max_epochs=1") / "runs" / "tiny"
    handle = os.open(run, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        with pytest.raises(InputError, match=r"another process .*runs/tiny"):
            train("fit", "--trainer.max_epochs=2", "--ckpt_path=last")
    finally:
        os.close(handle)


def test_a_checkpoint_within_an_epoch_needs_the_same_batches(train, monkeypatch):
    options = ["--trainer.max_epochs=2", "--data.batch_size=2"]
    with monkeypatch.context() as stopping:
        stop_after_step(stopping, 3)
        with pytest.raises(Stopped):
            train("fit", *options)
    with pytest.raises(InputError, match=r"epoch of 5 batches.* has 2"):
        train("fit", "--trainer.max_epochs=2", "--ckpt_path=last")


def test_a_stop_before_the_first_step_leaves_nothing(train, monkeypatch, tmp_path):
    def stop(self, *_):
        raise Stopped(signal.SIGTERM)

    monkeypatch.setattr(RunFolder, "on_train_start", stop)
    with pytest.raises(Stopped) as stopped:
        train("fit", "--trainer.max_epochs=1")
    assert "nothing" in stopped.value.outcome and not list((tmp_path / "runs").iterdir())


@pytest.mark.parametrize(("minutes", "expected"), [(0, set()), (1e-9, {1, 2, 3, 4})])
def test_checkpoints_within_an_epoch_come_as_often_as_asked(train, monkeypatch, minutes, expected):
    saved, original = set(), RunFolder._save_last

    def save(self, trainer):
        saved.add(trainer.global_step)
        original(self, trainer)

    monkeypatch.setattr(RunFolder, "_save_last", save)
    options = ["--trainer.max_epochs=1", "--data.batch_size=2"]
    train("fit", *options, f"--checkpoint_minutes={minutes}")
    assert saved == expected | {5}


def test_a_training_cut_short_says_that_nothing_was_validated(train, capsys):
    options = ["--trainer.max_steps=1", "--trainer.check_val_every_n_epoch=5"]
    run = train("fit", *options) / "runs" / "tiny"
    assert "never validated" in capsys.readouterr().out
    assert not (run / "best.ckpt").exists() and (run / "last.ckpt").exists()


def test_validation_images_without_boxes_are_said(train, shapes, tmp_path, caplog):
    root = change(shapes, tmp_path / "copy", lambda coco: None)
    path = root / "annotations" / "instances_val.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"annotations": []}))
    run = train("fit", "--trainer.max_epochs=2", root=root) / "runs" / "tiny"
    assert "instances_val.json has no boxes" in caplog.text
    assert torch.load(run / "best.ckpt", weights_only=True)["epoch"] == 1


def test_results_that_cannot_be_written_are_said_first(train, tmp_path):
    run = train("fit", "--trainer.max_epochs=1") / "runs" / "tiny"
    (run / "validate-instances_val").write_text("in the way")
    with pytest.raises(InputError, match=r"cannot write .*validate-instances_val"):
        train("validate", f"--ckpt_path={run / 'best.ckpt'}")


def test_a_logger_of_ones_own_is_kept(train):
    logger = "{class_path: lightning.pytorch.loggers.CSVLogger, init_args: {save_dir: mine}}"
    root = train("fit", "--trainer.max_epochs=1", f"--trainer.logger={logger}")
    assert list(root.glob("mine/**/metrics.csv"))
    assert list(root.glob("runs/tiny/events*"))


def test_best_checkpoint_holds_no_training_to_go_on_with(train):
    run = train("fit", "--trainer.max_epochs=1") / "runs" / "tiny"
    assert (run / "best.ckpt").stat().st_size < (run / "last.ckpt").stat().st_size / 3
    with pytest.raises(InputError, match=r"--model\.weights"):
        train("fit", f"--ckpt_path={run / 'best.ckpt'}")


@pytest.mark.guard
def test_an_interrupted_epoch_is_repeated_not_doubled(train, monkeypatch):
    """Stopped after the epoch's metrics were written and before its checkpoint."""
    from lightning.pytorch import Trainer

    run = train("fit", "--trainer.max_epochs=1") / "runs" / "tiny"
    with monkeypatch.context() as stopping:
        stopping.setattr(Trainer, "save_checkpoint", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train("fit", "--trainer.max_epochs=2", "--ckpt_path=last")
    assert [row["epoch"] for row in rows_of(run)] == ["0", "1"]
    train("fit", "--trainer.max_epochs=2", "--ckpt_path=last")
    assert [row["epoch"] for row in rows_of(run)] == ["0", "1"]


def test_a_failed_resume_deletes_nothing(train, tmp_path):
    run = train("fit", "--trainer.max_epochs=1") / "runs" / "tiny"
    copy = tmp_path / "elsewhere" / "copy.ckpt"
    copy.parent.mkdir()
    (run / "last.ckpt").rename(copy)
    with pytest.raises(InputError, match="not finite"):
        train(
            "fit", f"--ckpt_path={copy}", "--trainer.max_epochs=3", "--data.class_names=null",
            "--model.loss_weights={heatmap: .inf}",
        )  # fmt: skip
    assert copy.exists()


def test_the_last_epoch_is_validated_whatever_the_interval(train):
    options = ["--trainer.max_epochs=3", "--trainer.check_val_every_n_epoch=2"]
    run = train("fit", *options) / "runs" / "tiny"
    assert [bool(row["AP"]) for row in rows_of(run)] == [False, True, True]
    assert (run / "best.ckpt").exists()


def test_unknown_option(train, tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_info:
        train("fit", "--data.rot=mine")
    assert exit_info.value.code not in (0, None)
    (said,) = capsys.readouterr().err.splitlines()
    assert "--data.rot (did you mean --data.root?)" in said
    assert not (tmp_path / "runs").exists()


def test_missing_validation_images_are_reported_before_a_network_is_built(train):
    with pytest.raises(InputError, match="no split 'gone'"):
        train(
            "fit", "--data.val_annotations=annotations/instances_gone.json", "--model.backbone=gone"
        )


@pytest.mark.parametrize("stride", ["4", "null"])
def test_a_fine_tuned_run_resumes_with_the_same_frozen_layers(train, stride):
    train("fit", "--trainer.max_epochs=1")
    start = ("--model.weights=runs/tiny/best.ckpt", "--model.freeze_stride=4")
    train("fit", *start, "--trainer.max_epochs=1")
    first = Path("runs/tiny-2/last.ckpt")
    before = read_checkpoint(first)["state_dict"]
    train(
        "fit", f"--ckpt_path={first}", f"--model.freeze_stride={stride}", "--trainer.max_epochs=2"
    )
    after = read_checkpoint(first)["state_dict"]
    equal = {name for name in before if torch.equal(before[name], after[name])}
    assert any("backbone" in name for name in equal) and len(equal) < len(before) / 2


def test_another_optimizer_cannot_resume(train):
    train("fit", "--trainer.max_epochs=1")
    with pytest.raises(InputError, match="another optimizer than sgd"):
        train("fit", "--ckpt_path=last", "--model.optimizer=sgd", "--trainer.max_epochs=2")


def test_a_loss_that_is_not_finite_names_the_images(train, tmp_path):
    with pytest.raises(InputError, match=r"not finite in epoch 1.*\.png"):
        train(
            "fit", "--model.learning_rate=1e30", "--model.warmup_steps=0", "--trainer.max_epochs=3"
        )
    assert not list(Path("runs").iterdir())


def test_a_run_stops_early_and_tells_what_was_best(train, caplog):
    caplog.set_level(logging.INFO)
    fixed = ("--trainer.callbacks+=callback_fakes.FixedBatchNorm", "--model.learning_rate=0")
    run = train("fit", "--early-stop=2", "--trainer.max_epochs=9", *fixed) / "runs" / "tiny"
    assert len(rows_of(run)) == 3  # the first is best, and two are not better
    (message,) = (m for m in caplog.messages if m.startswith("early stop"))
    assert "2 validations" in message and "in epoch 1" in message
    with pytest.raises(SystemExit):
        train("fit", "--early-stop=0")


@pytest.mark.guard
def test_a_time_limit_ends_a_run_which_can_be_made_longer(train, caplog, capsys):
    caplog.set_level(logging.INFO)
    options = ("--trainer.max_epochs=-1", "--trainer.check_val_every_n_epoch=1000")
    run = train("fit", "--max_time=2s", *options) / "runs" / "tiny"
    rows = rows_of(run)
    assert rows[-1]["AP"] and not any(row["AP"] for row in rows[:-1])  # validated in the end
    assert float(rows[-1]["learning_rate"]) < 2e-4  # of 2.5e-4
    train("fit", "--max-time=2s", *options, "--ckpt_path=last")
    assert rows_of(run) == rows and "--max-time" in capsys.readouterr().out
    train("fit", "--max-time=00:00:03", *options, "--ckpt_path=last")
    assert len(rows_of(run)) > len(rows) and rows_of(run)[-1]["AP"]
    with pytest.raises(InputError, match="--max-time 3 "):
        train("fit", "--max-time=3")


def test_a_run_without_trackers_has_no_events_and_prints_the_next_commands(train, capsys):
    run = train("fit", "--trainer.max_epochs=1", "--log", "csv") / "runs" / "tiny"
    assert not list(run.glob("events*")) and rows_of(run)
    printed = capsys.readouterr().out
    assert f"--weights runs/tiny/{'best.ckpt'}" in printed and "--trainer.max_epochs 2" in printed
    with pytest.raises(InputError, match="--log neptune"):
        train("fit", "--log", "neptune")
