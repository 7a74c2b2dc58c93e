import argparse
import inspect
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import checkpoint, run_centernet
from PIL import Image

import centernet
from centernet import Detector, cli
from centernet.cli.options import add_threshold
from centernet.errors import InputError
from centernet.installation import install_command

ROOT = Path(centernet.__file__).parents[1]


def python(*arguments: str, path: Path = ROOT, **options) -> subprocess.CompletedProcess:
    """Run Python with the package, after ``path``, on its path."""
    environment = os.environ | {"PYTHONPATH": f"{path}{os.pathsep}{ROOT}"}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        **options,
    )


def test_the_version_comes_at_once_and_without_large_imports():
    program = (
        "import sys, atexit\n"
        "atexit.register(lambda: print(*{'torch', 'cv2', 'numpy', 'lightning'} & {*sys.modules}))\n"
        "from centernet.cli import main\n"
        "main(['--version'])"
    )
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        done = python("-c", program)
        seconds.append(time.perf_counter() - start)
    assert done.stdout.split() == ["centernet", centernet.__version__] and done.returncode == 0
    assert min(seconds) < 1


@pytest.mark.guard
def test_the_package_runs_as_the_command():
    done = python("-m", "centernet", "--help")
    assert done.returncode == 0 and done.stdout.startswith("usage: centernet")
    done = python("-m", "centernet", "check", "nowhere")
    assert done.returncode == 1 and done.stderr.startswith("error: ") and "nowhere" in done.stderr


def test_what_the_terminal_cannot_show_is_escaped():
    program = r"from centernet.cli import run_and_exit; run_and_exit(lambda: print('a\udcff'))"
    done = python("-c", program)
    assert (done.returncode, done.stdout) == (0, "a\\udcff\n")


def test_help_teaches_with_examples(capsys):
    status, said, _ = run_centernet(["--help"], capsys)
    assert status == 0
    for command in ("fit --config", "validate --config", "detect photo.jpg --weights"):
        assert f"centernet {command}" in said


def test_help_of_detect_lists_everything(capsys):
    status, said, _ = run_centernet(["detect", "--help"], capsys)
    assert status == 0
    for option in ("--weights", "--output", "--threshold", "--heatmaps", "--json", "--show"):
        assert option in said
    for word in ("--device", "--resolution", "--top-k", "SOURCE", "camera number", "NAME.npz"):
        assert word in " ".join(said.split())
    assert "centernet detect photo.jpg" in said and "exit status" in said


def test_help_of_the_command_needs_no_large_imports():
    program = (
        "import sys, atexit\n"
        "atexit.register(lambda: print('IMPORTED', {'torch', 'cv2'} & {*sys.modules}))\n"
        "from centernet.cli import main\n"
        "main(['--help'])"
    )
    assert python("-c", program).stdout.endswith("IMPORTED set()\n")


@pytest.mark.parametrize("name", cli._COMMANDS)
def test_a_command_has_what_the_package_asks_for(name):
    command = cli._module(name)
    assert command.HELP and callable(command.run)
    assert hasattr(command, "add_arguments") == hasattr(command, "DESCRIPTION")


def test_the_threshold_is_that_of_the_detector():
    parser = argparse.ArgumentParser()
    add_threshold(parser, "score")
    detector = inspect.signature(Detector.__call__).parameters["threshold"].default
    assert parser.parse_args([]).threshold == detector


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "COMMAND"),
        (["convert", "a", "b", "--only", "cat"], "--only has a new name: use --classes"),
        (["convert", "--only"], "--classes"),
        (["trian"], "'trian'"),
        (["--wights"], "COMMAND"),
        (["detect"], "SOURCE, --weights"),
        (["detect", "a.jpg"], "--weights"),
        (["detect", "a.jpg", "--weights", "w", "--bgr"], "--bgr"),
        (["report", "a", "b.jpg"], "b.jpg"),
        (["detect", "a.jpg", "--weights", "w", "--threshold", "high"], "'high'"),
        (["detect", "a.jpg", "--weights", "w", "--top-k", "1.5"], "'1.5'"),
    ],
)
def test_a_wrong_argument_ends_in_one_line_and_status_2(capsys, arguments, named):
    status, said, errors = run_centernet(arguments, capsys)
    assert status == 2 and not said
    assert errors.startswith("error: ") and errors.count("\n") == 1
    assert named in errors and "--help" in errors


def test_what_is_wrong_with_the_input_ends_in_one_line_and_status_1(tmp_path, capsys):
    weights = tmp_path / "w.ckpt"
    arguments = ["detect", "nowhere.jpg", "--weights", weights]
    message, _, _ = run_centernet(arguments, capsys)
    assert message == f"error: --weights {weights} does not exist"
    weights.touch()
    message, _, _ = run_centernet(arguments, capsys)
    assert message.startswith("error: source 'nowhere.jpg' does not exist") and "\n" not in message
    message, _, _ = run_centernet([*arguments[:3], tmp_path / "v.ckpt"], capsys)
    assert message.endswith(f"v.ckpt does not exist (did you mean {weights}?)")
    message, _, _ = run_centernet(["benchmark", weights, tmp_path / "v.ckpt"], capsys)
    assert message.startswith(f"error: WEIGHTS {tmp_path / 'v.ckpt'} does not exist")


def test_detect_from_the_command_line_to_the_pictures(tmp_path, capsys):
    torch.save(checkpoint(), tmp_path / "w.ckpt")
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    options = ["--heatmaps", "--json", "--threshold", "0.01", "--top-k", "2", "--device", "cpu"]
    arguments = [tmp_path / "a.png", "--weights", tmp_path / "w.ckpt", "--resolution", "64"]
    status, said, _ = run_centernet(
        ["detect", *arguments, "--output", tmp_path / "out", *options], capsys
    )
    assert status == 0 and "1 picture: " in said
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"a.png", "a.heatmap.jpg", "a.npz", "detections.jsonl"} < written


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (InputError("bad value"), "error: bad value"),
        (ModuleNotFoundError("No module named 'rich'", name="rich"),
            f"error: rich is missing: {install_command('train')}"),
        (ModuleNotFoundError("`tensorboard` is not available"),
            f"error: `tensorboard` is not available is missing: {install_command('train')}"),
        (ImportError("libGL.so.1: cannot open shared object file: No such file or directory"),
            "error: OpenCV cannot be loaded because the system lacks libGL.so.1; on Debian or "
            "Ubuntu: sudo apt-get install -y libgl1 libglib2.0-0 libxcb1"),
        (PermissionError(13, "Permission denied", "a/b"), "error: a/b: Permission denied"),
        (BrokenPipeError(32, "Broken pipe"), "error: Broken pipe"),
        (KeyboardInterrupt(), 130),
    ],
)  # fmt: skip
def test_errors_that_a_person_can_mend(error, said):
    def command():
        raise error

    with pytest.raises(SystemExit) as end:
        cli.run_and_exit(command, "train")
    assert end.value.code == said


@pytest.mark.parametrize(
    "error",
    [
        ImportError("cannot import name 'x' from 'y'"),
        ImportError("libcudnn.so.9: cannot open shared object file"),
        ModuleNotFoundError("No module named 'centernet.x'", name="centernet.x"),
        ZeroDivisionError(),
        ConnectionError("of\nmany lines"),
    ],
)
def test_errors_of_the_program_keep_their_traceback(error):
    def command():
        raise error

    with pytest.raises(type(error)):
        cli.run_and_exit(command)


@pytest.mark.guard
@pytest.mark.parametrize(
    "command", [["-c", "from centernet.cli import main; main()", "detect"], [ROOT / "demo.py"]]
)
def test_opencv_that_cannot_be_loaded_is_explained(tmp_path, command):
    library = "libgthread-2.0.so.0"
    (tmp_path / "cv2.py").write_text(f"raise ImportError('{library}: cannot open shared object')")
    done = python(*command, "a.jpg", "--weights", tmp_path / "cv2.py", path=tmp_path)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert f"lacks {library}" in done.stderr and "libgl1 libglib2.0-0 libxcb1" in done.stderr


def test_demo_py_is_called_as_it_is_in_its_help():
    done = python(ROOT / "demo.py", "--help")
    assert done.returncode == 0 and done.stdout.startswith("usage: demo.py [-h]")
    assert "python demo.py photo.jpg --weights" in done.stdout
    wrong = python(ROOT / "demo.py")
    assert wrong.returncode == 2 and "demo.py --help" in wrong.stderr


def test_fit_help_lists_its_options(capsys, monkeypatch):
    pytest.importorskip("lightning")
    monkeypatch.setattr(sys, "argv", ["centernet"])  # Lightning warns of two sets of arguments
    status, said, _ = run_centernet(["fit", "--help"], capsys)
    assert status == 0
    options = ["-c", "--report", "--data.root", "--model.backbone", "--trainer.max_epochs"]
    places = [said.index(f"\n  {option} ") for option in [*options, "--ckpt_path"]]
    assert places == sorted(places)
    assert "usage: centernet fit --config FILE [options]\n" in said
    assert "Linked" not in said and ":mod:" not in said


@pytest.mark.parametrize("command", ["fit", "inspect", "report", "oracle"])
def test_without_its_libraries_a_command_says_what_to_install(
    tmp_path, capsys, monkeypatch, command
):
    for name in list(sys.modules):
        if name.split(".")[0] == "lightning" or name.startswith("centernet.training."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "lightning", None)
    torch.save(checkpoint(), tmp_path / "best.ckpt")
    (tmp_path / "a.yaml").write_text("data: {root: a}")
    options = ["--weights", tmp_path / "best.ckpt", "--config", tmp_path / "a.yaml"]
    arguments = {"fit": [], "inspect": options, "oracle": options, "report": [tmp_path]}
    message, _, _ = run_centernet([command, *arguments[command]], capsys)
    assert message.startswith("error: lightning") and install_command("train") in message
