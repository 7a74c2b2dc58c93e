import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from centernet.errors import InputError
from centernet.training.runs import (
    _release,
    claim,
    new_run,
    newest_run,
    release_all,
)


@pytest.fixture
def run(tmp_path):
    def run(name: str, *files: str) -> str:
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / file).touch()
        return name

    return run


def test_runs_of_one_name_are_numbered(tmp_path):
    root = tmp_path / "runs"  # made when needed
    assert [new_run(root, "custom").name for _ in range(3)] == ["custom", "custom-2", "custom-3"]
    assert new_run(root, "custom-big").name == "custom-big"
    assert all(folder.is_dir() for folder in root.iterdir())


@pytest.fixture(autouse=True)
def no_claims():
    yield
    release_all()


def test_a_new_run_comes_after_the_newest_and_touches_nothing_of_others(tmp_path, run):
    run("custom", "last.ckpt")
    (tmp_path / "custom-2").write_text("a file")
    run("custom-4")
    assert [new_run(tmp_path, "custom").name for _ in range(2)] == ["custom-3", "custom-4"]
    assert (tmp_path / "custom-2").read_text() == "a file"


def test_a_new_run_does_not_fill_a_gap_for_the_newest_run_has_the_highest_number(tmp_path, run):
    run("custom-3", "last.ckpt")
    assert new_run(tmp_path, "custom").name == "custom-4"


def test_a_folder_that_was_left_without_a_checkpoint_is_used_again(tmp_path, run):
    run("custom", "config.yaml", "metrics.csv", "events.out.tfevents.1", "last.ckpt.tmp")
    assert new_run(tmp_path, "custom") == tmp_path / "custom"
    assert not list((tmp_path / "custom").iterdir())


@pytest.mark.parametrize("file", ["best.ckpt", "last.ckpt", "notes.txt"])
def test_a_folder_that_holds_anything_else_is_not(tmp_path, run, file):
    run("custom", "config.yaml", file)
    assert new_run(tmp_path, "custom") == tmp_path / "custom-2"
    assert (tmp_path / "custom" / file).exists()


def test_a_claim_ends_with_its_process_and_not_before(tmp_path):
    code = (
        "import sys, pathlib, centernet.training.runs as r;"
        "print(r.new_run(pathlib.Path(sys.argv[1]), 'a'),"
        "flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **options) as other:
        folder = Path(other.stdout.readline().strip())
        assert folder == tmp_path / "a" and not claim(folder)
        assert new_run(tmp_path, "a") == tmp_path / "a-2"
        other.kill()
        other.wait()
        assert claim(folder)


def test_a_worker_process_does_not_hold_its_parents_claim(tmp_path):
    folder = new_run(tmp_path, "a")
    (reading, writing), (ready, tell) = os.pipe(), os.pipe()
    worker = os.fork()
    if not worker:
        os.close(writing)
        os.write(tell, b"x")
        os.read(reading, 1)
        os._exit(0)
    try:
        os.read(ready, 1)
        _release(folder)
        assert claim(folder)
    finally:
        os.close(writing)
        os.waitpid(worker, 0)


def test_releasing_deletes_a_folder_without_a_checkpoint_and_keeps_one_with(tmp_path):
    empty, full = new_run(tmp_path, "a"), new_run(tmp_path, "b")
    (empty / "config.yaml").touch()
    (full / "last.ckpt").touch()
    release_all()
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_place_for_runs_that_is_no_folder_is_named(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    (tmp_path / "file").touch()
    for root in (tmp_path / "link", tmp_path / "file", tmp_path / "file" / "runs"):
        with pytest.raises(InputError, match=f"cannot make .* in {root} .*default_root_dir"):
            new_run(root, "custom")


def test_a_place_for_runs_that_is_read_only_is_named(tmp_path, monkeypatch):
    def mkdir(self, *_, exist_ok=False, **__):
        if not exist_ok:
            raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(type(tmp_path), "mkdir", mkdir)
    with pytest.raises(InputError, match=r"\(Permission denied\)"):
        new_run(tmp_path, "custom")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("custom", "custom-10"), ("custom-big", "custom-big"), ("cust", None), ("a[1]", "a[1]")],
)
def test_the_newest_run_has_the_highest_number_of_just_that_name(tmp_path, run, name, expected):
    for folder in ("custom", "custom-2", "custom-9", "custom-10", "custom-big", "a[1]", "a1"):
        run(folder, "last.ckpt")
    run("custom-11", "best.ckpt")  # not to be resumed
    run("custom-12x", "last.ckpt")
    run("my-custom-13", "last.ckpt")
    if expected:
        assert newest_run(tmp_path, name) == tmp_path / expected
    else:
        with pytest.raises(InputError):
            newest_run(tmp_path, name)


@pytest.mark.parametrize("folder", ["runs", "missing"])
def test_nothing_to_resume_is_said_in_one_line(tmp_path, folder):
    (tmp_path / "runs" / "custom").mkdir(parents=True)
    root = tmp_path / folder
    message = f"last.ckpt in {re.escape(str(root / 'custom'))}.*--ckpt_path"
    with pytest.raises(InputError, match=message) as error:
        newest_run(root, "custom")
    assert "\n" not in str(error.value)
