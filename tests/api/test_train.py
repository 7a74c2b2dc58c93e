"""``centernet.train`` on the shapes dataset, with the smallest network."""

import logging
import os
import signal
import threading
import warnings

import pytest
import yaml

from centernet import InputError, Run, train
from centernet.training.callbacks import HeatmapPictures
from centernet.training.train_cli import main

TINY = {
    "image_size": 64,
    "backbone": "test_resnet",
    "pretrained": False,
    "device": "cpu",
    "report": False,
    "progress": False,
    "data.workers": 0,
    "trainer.check_val_every_n_epoch": 1,
}


@pytest.fixture(autouse=True)
def working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.guard
def test_the_run_is_that_of_the_command(shapes, tmp_path):
    run = train(shapes, epochs=1, **TINY)
    again = train(shapes, epochs=1, **TINY)
    main([
        "fit", "--config=custom", f"--data.root={shapes}", "--trainer.max_epochs=1",
        "--data.image_size=64", "--model.backbone=test_resnet", "--model.pretrained=false",
        "--trainer.accelerator=cpu", "--report=false", "--trainer.enable_progress_bar=false",
        "--data.workers=0", "--trainer.check_val_every_n_epoch=1",
    ])  # fmt: skip
    command = Run.open("runs/custom-3")
    assert [str(one.folder) for one in (run, again)] == ["runs/custom", "runs/custom-2"]
    assert run.history == again.history == command.history
    assert run.config.read_text() == command.config.read_text()
    assert yaml.safe_load(run.config.read_text())["trainer"]["max_epochs"] == 1


@pytest.mark.guard
def test_a_run_resumes_and_knows_its_end(shapes, capsys):
    run = train(shapes, epochs=1, **TINY)
    longer = train(shapes, epochs=2, resume=True, **TINY)
    assert longer.folder == run.folder and [row["epoch"] for row in run.history] == [0, 1]
    assert run.metrics["AP"] == max(row["AP"] for row in run.history)
    capsys.readouterr()
    assert train(shapes, epochs=2, resume=True, **TINY) == run
    assert "2 of 2 epochs" in capsys.readouterr().out


@pytest.mark.guard
def test_the_report_is_written_and_best_weights_detect(shapes):
    run = train(shapes, epochs=1, **TINY | {"report": True})
    assert run.report is not None and run.report.name == "report.html"
    detector = run.detector(device="cpu")
    assert detector.class_names == ("circle", "rectangle", "triangle", "star")
    assert "AP50" in run._repr_html_() and "<svg" in run._repr_html_()


@pytest.mark.guard
def test_an_interrupt_saves_the_run_and_leaves_no_handler(shapes, monkeypatch):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(
        HeatmapPictures,
        "on_train_epoch_start",
        lambda *_: os.kill(os.getpid(), signal.SIGINT),
        raising=False,
    )
    with pytest.raises(KeyboardInterrupt, match=r"custom/last\.ckpt.*resume=True"):
        train(shapes, epochs=5, **TINY)
    assert before == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
    run = Run.open("runs/custom")
    assert run.last.is_file() and not run.history
    monkeypatch.undo()


@pytest.mark.guard
def test_training_in_a_thread(shapes):
    """As in the kernels of some notebooks, where Python allows no signal handlers."""
    found = []
    thread = threading.Thread(target=lambda: found.append(train(shapes, epochs=1, **TINY)))
    thread.start()
    thread.join()
    assert found[0].metrics["epoch"] == 0


@pytest.mark.guard
def test_cross_validation_returns_the_mean_and_the_folds(shapes):
    run = train(shapes, epochs=1, **TINY, **{"data.folds": 2})
    assert [fold.folder.name for fold in run.folds] == ["fold-1", "fold-2"]
    assert run.metrics.keys() >= {"AP", "AP50"} and len(run.folds[0].history) == 1
    with pytest.raises(InputError, match=r"best\.ckpt.*run\.folds"):
        _ = run.best
    assert "fold-2" in run._repr_html_()


@pytest.mark.guard
@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"workers": 3}, r"workers.*data\.workers"),
        ({"model.nek": "fpn"}, r"model\.nek.*model\.neck"),
        ({"zzz": 1}, "zzz"),
        ({"image_size": "30x"}, r"image_size.*30x"),
        ({"trainer.max_steps": "x"}, r"max_steps.*x"),
        ({"weights": "no.ckpt"}, r"no\.ckpt"),
        ({"config": "no.yaml"}, r"no\.yaml"),
        ({"resume": True}, "runs/custom"),
    ],
)
def test_errors_are_input_errors_and_leave_no_run(shapes, tmp_path, options, text):
    with pytest.raises(InputError, match=text) as error:
        train(shapes, **options)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("runs/*"))


@pytest.mark.guard
def test_the_program_keeps_its_logging_and_warnings(shapes, capsys):
    root, own = logging.getLogger(), logging.getLogger("centernet")
    filters, handlers = list(warnings.filters), root.handlers[:]
    root.handlers[:] = []  # as in a program that has not set up logging
    try:
        train(shapes, epochs=1, **TINY)
        assert not root.handlers and not own.handlers and own.level == logging.NOTSET
    finally:
        root.handlers[:] = handlers
    assert warnings.filters == filters
    printed = capsys.readouterr().out
    assert "run folder runs/custom" in printed and "10 images" in printed
