"""benchmarks/speed.py and its tools, with as little work as possible."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield
    for name in ("timing", "speed_parts", "speed_runs", "speed_growth"):
        sys.modules.pop(name, None)


def test_ratios_are_those_of_cpu_time(benchmarks, capsys):
    import time

    import timing

    def busy(rounds):
        return lambda: sum(range(rounds))

    def idle():
        time.sleep(0.02)
        busy(100_000)()

    assert timing.compare("a", busy(100_000), busy(1_000_000), 5) < 0.5
    assert timing.compare("b", idle, busy(1_000_000), 5, count=2, unit="image") < 0.7
    rows = capsys.readouterr().out.splitlines()
    assert [row.split(" | ")[0] for row in rows] == ["| a", "| b"] and "per image" in rows[1]


@pytest.mark.parametrize("power", [0.5, 1, 2])
def test_exponents_ignore_constant_costs(benchmarks, power):
    from speed_growth import exponent

    sizes = np.array([1.0, 10, 100, 1000, 10_000, 100_000])
    assert exponent(sizes, 1e-9 + sizes**power) == pytest.approx(power, abs=0.02)


def test_parts_are_chosen_by_name():
    def run(*arguments):
        return subprocess.run(
            [sys.executable, BENCHMARKS / "speed.py", *arguments], capture_output=True, text=True
        )

    done = run("targets", "--repeats", "1", "--threads", "1")
    assert done.returncode == 0 and "with 100 objects" in done.stdout
    wrong = run("nothing")
    assert wrong.returncode == 2 and "nothing" in wrong.stderr and "growth" in wrong.stderr
