import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from centernet.installation import config_folder
from centernet.training.commands import next_commands, options_of_test, program, resume_command
from centernet.training.lightning_cli import TrainCLI
from centernet.training.sources import DataSource


@pytest.fixture
def started(monkeypatch, tmp_path):
    """Pretends that a script started the process; its folder has demo.py."""
    (tmp_path / "demo.py").touch()

    def start(script):
        monkeypatch.setattr(sys, "argv", [str(tmp_path / script), "fit"])
        return str(tmp_path)

    return start


def source(root, images="val", annotations="annotations/instances_val.json", **options):
    paths = {"train": ("train", "annotations/instances_train.json"), "val": (images, annotations)}
    return DataSource(Path(root), paths, **options)


@pytest.mark.parametrize(
    ("script", "fit", "detect", "export"),
    [
        ("centernet", "centernet fit", "centernet detect", "centernet export"),
        ("train.py", "python DIR/train.py fit", "python DIR/demo.py", "python -m centernet export"),
        ("__main__.py", *(f"python -m centernet {name}" for name in ("fit", "detect", "export"))),
    ],
)
def test_commands_start_as_the_user_started_this_one(started, script, fit, detect, export):
    folder = started(script)
    (Path(folder) / "centernet").mkdir()
    for name, expected in (("fit", fit), ("detect", detect), ("export", export)):
        assert " ".join(program(name)) == expected.replace("DIR", folder)


def test_a_script_of_the_user_named_train_py_is_not_that_of_the_checkout(started):
    started("train.py")
    assert program("fit") == ["python", "-m", "centernet", "fit"]


def test_resuming_names_a_configuration_of_the_package(started):
    started("centernet")
    path = config_folder() / "custom.yaml"
    for words in (["--config", str(path)], [f"--config={path}"]):
        command = shlex.split(resume_command(words, "last"))
        assert "custom" in " ".join(command) and str(path) not in " ".join(command)


@pytest.mark.parametrize("given", [[], ["--ckpt_path", "last"], ["--ckpt_path=runs/a/last.ckpt"]])
def test_resuming_repeats_the_arguments_quoted(started, given):
    started("centernet")
    arguments = ["--config", "my config.yaml", *given, "--data.root=x y"]
    command = resume_command(arguments, "runs/b/last.ckpt")
    assert shlex.split(command) == [
        "centernet", "fit", "--config", "my config.yaml", "--data.root=x y",
        "--ckpt_path", "runs/b/last.ckpt",
    ]  # fmt: skip
    assert "'my config.yaml'" in command


def test_the_next_commands_have_real_paths(started, shapes, tmp_path):
    started("centernet")
    run = tmp_path / "my run"
    lines = next_commands(run, source(shapes), ["--max-time", "60s"])
    commands = [shlex.split(line, comments=True) for line in lines]
    assert [words[1] for words in commands if words] == [
        "detect", "validate", "inspect", "export", "fit",
    ]  # fmt: skip
    assert all(line.count("#") == 1 for line in lines if "#" in line)
    assert [str(shapes / "val"), "--weights", str(run / "best.ckpt")] in [w[2:] for w in commands]
    assert str(run / "last.ckpt") in lines[-1] or "last.ckpt" in lines[-1]
    assert lines[-1].rpartition("  #")[0].endswith("60s") or lines[-1].endswith("60s")


def test_the_test_split_is_validated_if_there_is_one(tmp_path):
    (tmp_path / "annotations").mkdir()
    assert options_of_test(source(tmp_path)) == []
    (tmp_path / "annotations" / "instances_test.json").touch()
    (tmp_path / "test").mkdir()
    expected = ["--data.val_images=test", "--data.val_annotations=annotations/instances_test.json"]
    assert options_of_test(source(tmp_path)) == expected
    assert options_of_test(source(tmp_path, folds=2, fold=1)) == []
    assert options_of_test(source(tmp_path, annotations="annotations/mine.json")) == []
    (tmp_path / "annotations" / "instances_test2017.json").touch()
    (tmp_path / "test2017").mkdir()
    coco = source(tmp_path, "val2017", "annotations/instances_val2017.json")
    assert options_of_test(coco)[0] == "--data.val_images=test2017"


def test_the_test_split_of_other_formats_is_found(tmp_path):
    other = source(tmp_path)
    other.split_names = frozenset({"train", "val", "test"})
    assert options_of_test(other)[1] == "--data.val_annotations=annotations/instances_test.json"


@pytest.mark.parametrize(
    ("seconds", "steps", "epochs", "options"),
    [
        (None, -1, 3, ["--trainer.max_epochs", "6"]),
        (7 * 86400.0, -1, -1, ["--max-time", "1209600s"]),
        (0.75, -1, 3, ["--max-time", "2s", "--trainer.max_epochs", "6"]),
        (None, 10, -1, ["--trainer.max_steps", "20"]),
    ],
)
def test_a_longer_run_raises_each_limit(seconds, steps, epochs, options):
    limit = None if seconds is None else SimpleNamespace(limit=seconds)
    trainer = SimpleNamespace(max_steps=steps, max_epochs=epochs)
    run = SimpleNamespace(time=SimpleNamespace(limit=limit), trainer=trainer)
    assert TrainCLI.longer_options.fget(run) == options
