"""Signals and kills, in real processes."""

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from fakes import TINY_CONFIG

from centernet.data.shapes import make_shapes
from centernet.models.checkpoints import read_checkpoint
from centernet.training.callbacks import StopOnSignal
from centernet.training.stopping import Stopped, StopSignals

TRAIN = Path(__file__).parents[2] / "train.py"
OTHER_CALLBACK = ["--trainer.callbacks+=callback_fakes.StopInValidation"]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "shapes"
    make_shapes(root, train=64, val=64, size=64)
    return root


@pytest.fixture
def start(tmp_path, shapes):
    """Starts train.py in a process group of its own, as a shell does."""
    processes = []
    (tmp_path / "tiny.yaml").write_text(TINY_CONFIG)

    def run(command, *options):
        words = [sys.executable, TRAIN, command, "--config=tiny.yaml", f"--data.root={shapes}"]
        process = subprocess.Popen(
            [*words, *options], cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, start_new_session=True,
            env=os.environ | {
                "OMP_NUM_THREADS": "1",
                "PYTHONUNBUFFERED": "1",
                "PYTHONPATH": os.pathsep.join([str(TRAIN.parent), str(TRAIN.parent / "tests")]),
            },
        )  # fmt: skip
        processes.append(process)
        return process

    yield run
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def wait_for(condition, process, seconds=120):
    """Wait until the process has come so far."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.05)


def wait_for_line(process, start):
    """Wait until the process has printed a line that starts so."""
    for line in process.stdout:
        if line.startswith(start):
            return
    raise AssertionError(process.communicate())


def stopped(process, number, *, group):
    """Send a signal; return the exit status and stderr from the message on."""
    (os.killpg if group else os.kill)(process.pid, number)
    return result(process)


def result(process):
    _, said = process.communicate(timeout=120)
    assert "Traceback" not in said and "Exception" not in said, said
    assert said.count("stopped by") == 1, said
    return process.returncode, said[said.index("stopped by") :].splitlines()


def test_outside_of_the_main_thread_signals_are_left_alone():
    before, entered = signal.getsignal(signal.SIGTERM), []

    def enter():
        with StopSignals():
            entered.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered == [before] and signal.getsignal(signal.SIGTERM) is before


def test_in_the_main_thread_signals_stop_and_the_handlers_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped) as stopped, StopSignals():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)
    assert stopped.value.code == 143 and signal.getsignal(signal.SIGTERM) is before


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_whose_exception_python_drops_stops_at_the_next_batch():
    """As during a fork: Python prints and drops exceptions of ``__del__`` and of fork callbacks."""

    class Dropping:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.1)  # the handler runs here

    with StopSignals() as signals:
        callback = StopOnSignal(signals)
        callback.on_validation_batch_end(None, None)
        Dropping()
        with pytest.raises(Stopped) as stopped:
            callback.on_validation_batch_end(None, None)
    assert stopped.value.code == 143


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "workers", "group", "status"),
    [
        (signal.SIGTERM, 0, False, 143),
        (signal.SIGTERM, 2, False, 143),
        (signal.SIGTERM, 2, True, 143),  # as a scheduler sends it, to workers too
        (signal.SIGINT, 2, True, 130),  # as a terminal does
    ],
)
def test_fit_stops_after_the_step_and_tells_how_to_resume(
    start, tmp_path, number, workers, group, status
):
    options = [f"--data.workers={workers}", "--trainer.max_epochs=999"]
    fit = start("fit", *options)
    run = tmp_path / "runs" / "tiny"
    wait_for((run / "last.ckpt").exists, fit)
    code, lines = stopped(fit, number, group=group)
    assert code == status
    assert "runs/tiny/last.ckpt" in lines[0] and "of 999" in lines[0]
    resume = shlex.split(lines[1].partition("resume:")[2])
    assert resume[:3] == ["python", str(TRAIN), "fit"] and {*options} < {*resume}
    assert resume[-2:] == ["--ckpt_path", "runs/tiny/last.ckpt"]
    assert not list(run.glob("*.tmp"))
    assert read_checkpoint(run / "last.ckpt")["global_step"] > 0
    assert not (run / "report.html").exists()


@pytest.mark.slow
def test_ctrl_c_writes_the_report_of_what_exists(start, tmp_path):
    fit = start("fit", "--trainer.max_epochs=999", "--report=true")
    run = tmp_path / "runs" / "tiny"
    wait_for((run / "best.ckpt").exists, fit)
    code, lines = stopped(fit, signal.SIGINT, group=True)
    assert code == 130 and "best AP" in lines[0] and "runs/tiny/best.ckpt" in lines[0]
    assert (run / "report.html").exists()


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.3, 1.5, 3])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_start_stops_at_once_and_writes_nothing(start, tmp_path, number, seconds):
    """While libraries are imported and data is read."""
    fit = start("fit")
    time.sleep(seconds)
    if fit.poll() is None and not (tmp_path / "runs").exists():
        code, lines = stopped(fit, number, group=True)
        assert code == 128 + number and "nothing" in lines[0] and len(lines) == 1
        assert not list(tmp_path.glob("runs/*"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_validation_and_a_report_stop(start, tmp_path, number):
    fit = start("fit", "--report=true", "--data.workers=2")
    wait_for_line(fit, "best")
    code, lines = stopped(fit, number, group=True)
    assert code == 128 + number and "runs/tiny" in lines[0] and "report" in lines[0]
    validating = start("fit", "--trainer.max_epochs=2", "--ckpt_path=last", *OTHER_CALLBACK)
    code, lines = result(validating)
    assert code == 143 and "runs/tiny/last.ckpt" in lines[0]


@pytest.mark.slow
def test_a_cross_validation_tells_how_to_resume(start, tmp_path):
    options = ["--data.folds=2", "--trainer.max_epochs=999"]
    fit = start("fit", *options)
    wait_for((tmp_path / "runs" / "tiny" / "fold-1" / "last.ckpt").exists, fit)
    code, lines = stopped(fit, signal.SIGTERM, group=True)
    assert code == 143 and "fold-1/last.ckpt" in lines[0] and len(lines) == 2
    assert lines[1].endswith("--data.folds=2 --trainer.max_epochs=999 --ckpt_path last")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_validate_stops_at_once_and_writes_nothing(start, tmp_path, number):
    assert start("fit", "--trainer.max_epochs=1").wait(120) == 0
    options = ["--ckpt_path=runs/tiny/last.ckpt", "--data.batch_size=1", "--data.workers=1"]
    validate = start("validate", *options)
    results = tmp_path / "runs" / "tiny" / "validate-instances_val"
    wait_for(results.exists, validate)
    code, lines = stopped(validate, number, group=True)
    assert code == 128 + number and len(lines) == 1
    assert not list(results.iterdir())
