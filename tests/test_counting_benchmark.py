"""benchmarks/counting.py on images with known probabilities, without a network."""

import counting
import numpy as np
import pytest

from centernet.evaluation.count_calibration import CountSample


@pytest.fixture
def halves():
    """Two classes; a detection with score s is an object with probability s squared."""
    rng, samples = np.random.default_rng(0), []
    for _ in range(80):
        scores = rng.uniform(0.1, 0.95, rng.poisson(20))
        labels = rng.integers(0, 2, len(scores))
        correct = rng.uniform(size=len(scores)) < scores**2
        objects = np.bincount(labels[correct], minlength=2)
        samples.append(CountSample(scores, labels, correct, objects))
    return samples[:40], samples[40:]


def test_a_table_has_the_coverage_and_the_errors_of_counts_and_boxes(halves, capsys):
    numbers = counting.measure(*halves, ("a", "b"))
    assert (numbers["covered"] > 0.75).all() and (numbers["width"] > 1).all()
    # Calibrated counts have less bias, and not more error than boxes.
    assert (np.abs(numbers["bias"]) < 1).all()
    assert numbers["error"][2] < numbers["error of boxes"][2] + 0.3
    counting.print_table(("a", "b"), [numbers, numbers])
    rows = capsys.readouterr().out.splitlines()
    assert [row.split("|")[1].strip() for row in rows[2:]] == ["a", "b", "total"]
    assert "± 0 %" in rows[2] and "nan" not in "".join(rows)


def test_unknown_intervals_are_dashes(halves, capsys):
    train, test = halves
    numbers = counting.measure(train[:5], test, ("a", "b"))
    counting.print_table(("a", "b"), [numbers])
    assert "| - | - |" in capsys.readouterr().out


def test_variants_are_compared(halves, capsys):
    counting.compare_variants([halves])
    rows = capsys.readouterr().out.splitlines()[2:]
    assert len(rows) == len(counting.MAPS) * len(counting.SCALES) and "nan" not in "".join(rows)


def test_isotonic_regression_pools_adjacent_violators():
    x, y = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.0, 1.0, 0.0, 1.0])
    middles, values = counting._pool(x, y)
    assert values[1:].tolist() == pytest.approx([0.5, 1.0]) and values[0] == pytest.approx(0)
    assert middles[1:].tolist() == pytest.approx([0.25, 0.4])
