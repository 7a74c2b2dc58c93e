import numpy as np
import pytest

from centernet.evaluation.count_calibration import (
    CountSample,
    conformal_quantile,
    fit_count_calibration,
    out_of_fold,
)
from centernet.inference.counting import calibrated

SLOPES, OFFSETS, MISSED = (2.0, 1.0), (-0.5, 0.0), (0.1, 0.0)


def draw(rng: np.random.Generator, images: int, density: tuple[float, ...]) -> list[CountSample]:
    """Images with a known probability of each detection, and missed objects."""
    samples = []
    for _ in range(images):
        parts = []
        for label, mean in enumerate(density):
            scores = rng.uniform(0.06, 0.99, rng.poisson(mean * rng.uniform(0.2, 1.8)))
            p = calibrated(scores, SLOPES[label], OFFSETS[label])
            correct = rng.uniform(size=len(p)) < p
            missed = rng.poisson(MISSED[label] * p.sum())
            parts.append((scores, np.full(len(p), label), correct, correct.sum() + missed))
        scores, labels, correct, objects = zip(*parts, strict=True)
        samples.append(
            CountSample(*map(np.concatenate, (scores, labels, correct)), np.array(objects))
        )
    return samples


def names(samples):
    return [str(label) for label in range(len(samples[0].objects))]


def test_the_maps_of_scores_are_found():
    calibration, _ = fit_count_calibration(draw(np.random.default_rng(0), 400, (20, 5)))
    assert calibration.slopes == pytest.approx(SLOPES, abs=0.2)
    assert calibration.offsets == pytest.approx(OFFSETS, abs=0.15)
    assert calibration.factors == pytest.approx((1.1, 1.0), abs=0.04)
    assert calibration.images == 400
    scores = np.linspace(0, 1, 101)
    p = calibration.probabilities(scores, np.zeros(101, int))
    assert (np.diff(p) >= 0).all() and p.min() >= 0 and p.max() <= 1


def test_counts_are_unbiased_and_intervals_hold_the_true_number_in_nine_of_ten_images():
    rng = np.random.default_rng(1)
    covered, bias = [], []
    for _ in range(25):
        calibration, _ = fit_count_calibration(draw(rng, 40, (20, 5)))
        for sample in draw(rng, 60, (20, 5)):
            count = calibration.count(sample.scores, sample.labels, names([sample]))
            found = [*count.classes.values(), count.total]
            truth = [*sample.objects, sample.objects.sum()]
            covered.append([c.low <= t <= c.high for c, t in zip(found, truth, strict=True)])
            bias.append([c.estimate - t for c, t in zip(found, truth, strict=True)])
    share = np.mean(covered, 0)
    # Integer limits make the intervals a little wider than necessary.
    assert (share > 0.88).all() and (share < 0.97).all(), share
    assert np.abs(np.mean(bias, 0)).max() < 0.3


@pytest.mark.parametrize(("images", "known"), [(8, False), (9, True)])
def test_nine_images_are_the_fewest_for_an_interval(images, known):
    samples = draw(np.random.default_rng(2), images, (20,))
    calibration, errors = fit_count_calibration(samples)
    assert [quantile is not None for quantile in calibration.quantiles] == [known, known]
    # Without the own error, one image more is needed.
    assert np.isnan(errors.half_widths()).all()


def test_the_quantile_is_that_of_the_errors_and_a_further_one():
    assert conformal_quantile(np.arange(9.0)) == 8  # ceil(10 * 0.9) = 9
    assert conformal_quantile(np.arange(19.0)[::-1]) == 17  # ceil(20 * 0.9) = 18
    assert conformal_quantile(np.arange(99.0)) == 89
    assert conformal_quantile(np.arange(8.0)) is None


def test_the_interval_of_an_image_does_not_use_its_own_error():
    samples = draw(np.random.default_rng(3), 30, (20,))
    _, errors = fit_count_calibration(samples)
    widths = errors.half_widths() / errors.deviations
    for i in range(30):
        others = np.delete(errors.relative[:, 0], i)
        assert widths[i, 0] == pytest.approx(conformal_quantile(others))


def test_an_image_is_counted_by_images_of_other_folds():
    samples = draw(np.random.default_rng(4), 25, (3,))
    seen = []

    def fit(used):
        ids = {id(sample) for sample in used}

        def moments(sample):
            seen.append(id(sample) not in ids)
            return np.ones(1), np.ones(1)

        return moments

    errors = out_of_fold(samples, fit)
    assert seen == [True] * 25
    assert errors.objects[:, 0].tolist() == [sample.objects[0] for sample in samples]


def test_one_image_of_missed_objects_does_not_change_the_counts_of_others():
    samples = draw(np.random.default_rng(5), 60, (20,))
    usual, _ = fit_count_calibration(samples)
    full = samples[0]
    crowd = CountSample(full.scores, full.labels, full.is_correct, full.objects + 900)
    calibration, _ = fit_count_calibration([crowd, *samples[1:]])
    assert calibration.factors[0] == pytest.approx(usual.factors[0], rel=0.05)


def test_rare_and_absent_classes_have_a_map_but_no_interval():
    samples = draw(np.random.default_rng(6), 60, (20, 0.01))
    for sample in samples:
        sample.objects[1] = 0
    calibration, _ = fit_count_calibration(samples)
    assert calibration.quantiles[1] is None and calibration.factors[1] == 1
    assert calibration.quantiles[0] is not None and calibration.quantiles[2] is not None


def test_wrong_detections_with_high_scores_are_not_counted():
    """The map never falls, and does not divide by zero where every detection is wrong."""
    rng = np.random.default_rng(7)
    scores = rng.uniform(0.1, 1, (20, 10))
    samples = [
        CountSample(row, np.zeros(10, int), row < 0.5, np.array([(row < 0.5).sum()]))
        for row in scores
    ]
    calibration, _ = fit_count_calibration(samples)
    assert calibration.slopes[0] == 0
    sure = [CountSample(row, np.zeros(10, int), row > 0.5, np.array([5])) for row in scores]
    calibration, _ = fit_count_calibration(sure)
    assert calibration.slopes[0] > 5 and np.isfinite(calibration.factors).all()


def test_images_without_detections_or_objects_are_counted_as_empty():
    empty = CountSample(np.empty(0), np.empty(0, int), np.empty(0, bool), np.zeros(2, int))
    calibration, errors = fit_count_calibration([empty] * 12)
    count = calibration.count(np.empty(0), np.empty(0, int), ("a", "b"))
    assert count.total.estimate == 0 and (errors.means == 0).all()
    fit_count_calibration([empty])
