import numpy as np
import pytest

from centernet.inference.video.score_scale import lowest_thresholds, rescale


@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.5, 0.9])
def test_the_threshold_of_a_class_becomes_one_half(threshold):
    scores, labels = np.array([0, threshold - 0.01, threshold, 1]), np.array([1, 1, 1, 1])
    values = rescale(scores, labels, np.array([0.7, threshold]))
    np.testing.assert_allclose(values[[0, 2, 3]], [0, 0.5, 1], atol=1e-12)
    assert values[1] < 0.5


def test_odds_are_divided_by_those_of_the_threshold():
    # Odds 4 at a threshold of odds 1/4 are 16, and 1/9 at a threshold of odds 1 stays.
    values = rescale(np.array([0.8, 0.1]), np.array([0, 1]), np.array([0.2, 0.5]))
    np.testing.assert_allclose(values, [16 / 17, 0.1])


def test_lowest_thresholds_are_mapped_to_one_value():
    thresholds = np.array([0.2, 0.5, 0.9])
    lowest = lowest_thresholds(thresholds)
    assert (lowest < thresholds).all()
    values = rescale(lowest, np.arange(3), thresholds)
    np.testing.assert_allclose(values, values[0])


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_thresholds_without_odds(threshold):
    thresholds = np.array([threshold])
    values = rescale(np.array([0, 0.5, 1]), np.zeros(3, int), thresholds)
    assert np.isfinite(values).all() and (np.diff(values) > 0).all()
    assert 0 <= lowest_thresholds(thresholds)[0] <= threshold
