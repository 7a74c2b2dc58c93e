"""A few hundred damaged files of every kind; `make fuzz` tries 10,000."""

import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "fuzz"))
pytest.importorskip("resource", reason="limits of processes are those of Unix")
import run
import targets

pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="Linux alone")


@pytest.mark.slow
def test_damaged_files_are_read_or_refused_in_one_line(tmp_path):
    counts, _ = run.fuzz(300, 1, targets.KINDS, tmp_path)
    total = sum(counts.values(), Counter())
    failed = [path.read_text() for path in tmp_path.glob("*/error.txt")]
    assert not failed and set(total) == {"ok", "refused"}
    assert min(total["ok"], total["refused"]) > 50


@pytest.mark.parametrize(
    ("behavior", "outcome"),
    [
        ("raise KeyError", "traceback"),
        ("os.kill(os.getpid(), 9)", "crash"),
        ("bytearray(10**12)", "traceback"),
        pytest.param("any(iter(int, 1))", "hang", marks=pytest.mark.slow),
        ("os.mkdir(path.parent / 'code-was-executed')", "executed"),
    ],
)
def test_every_failure_is_noticed_and_its_file_saved(tmp_path, monkeypatch, behavior, outcome):
    real = targets.read_case

    def read(kind, path):
        if path.parent.name == "3":  # of cases 0 to 5
            exec(behavior, {"path": path, "os": __import__("os")})
        else:
            real(kind, path)

    monkeypatch.setattr(targets, "read_case", read)
    counts, _ = run.fuzz(6, 0, ("ppm",), tmp_path)
    assert counts["ppm"][outcome] == 1 and counts["ppm"].total() == 6
    assert (tmp_path / "ppm-0-3" / "case.ppm").exists()
    assert (tmp_path / "ppm-0-3" / "error.txt").read_text().startswith(outcome)


def test_cases_follow_from_the_seed(tmp_path):
    files = []
    for seed in (0, 0, 1):
        folder = tmp_path / str(len(files))
        folder.mkdir()
        files.append(targets.write_case("png", seed, 5, folder).read_bytes())
    assert files[0] == files[1] != files[2]
