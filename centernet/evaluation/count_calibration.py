"""Fit the calibration of counts on validation images.

Each class gets its map of scores to probabilities by logistic regression on the logit of the score
(Platt, 1999), with a weak prior around the map of all classes, so that rare classes get a sensible
one. A factor then makes the sum of the counts equal to the number of objects, without outliers.

The interval is that of split conformal prediction with normalized errors (Lei et al., 2018): the
errors of images whose folds did not contribute to the maps, each divided by its standard deviation,
have a quantile that a new image exceeds with a probability of 10 %.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from centernet.inference.counting import (
    COVERAGE,
    MIN_COUNTED_SCORE,
    CountCalibration,
    score_logits,
    standard_deviation,
)
from centernet.inference.probabilities import sigmoid

_FOLDS = 10
# Only images with at least this count determine the width of intervals. An interval that images
# without a rare class determine would be too narrow where the class is present.
_MIN_COUNT = 0.5
# Precision of the prior of slope and offset; of all classes together the prior has mean (1, 0).
_PRIOR = 1.0
_STEPS, _TOLERANCE = 50, 1e-8  # of the iterations
# Errors above this many standard deviations are outlying; 95 % efficiency for normal errors.
_HUBER = 1.345
_NORMAL_MEDIAN = 0.6745  # of the absolute value of a standard normal variable


@dataclass(frozen=True)
class CountSample:
    """The detections in a validation image, without those in ignore regions, and its objects.

    Attributes:
        scores: (K,).
        labels: (K,).
        is_correct: (K,) whether a detection has an object.
        objects: (C,) number of objects by label.
    """

    scores: NDArray
    labels: NDArray
    is_correct: NDArray
    objects: NDArray


# From an image to the mean (C,) and the variance (C,) of the number of objects of each class.
Moments = Callable[[CountSample], tuple[NDArray, NDArray]]


@dataclass(frozen=True)
class CountErrors:
    """Counts of validation images by calibrations that were not fitted to them.

    Each array has a column by label, and one of all classes.

    Attributes:
        means: (n, C + 1) expected numbers of objects.
        variances: (n, C + 1) variances.
        objects: (n, C + 1) true numbers of objects.
    """

    means: NDArray
    variances: NDArray
    objects: NDArray

    @property
    def deviations(self) -> NDArray:
        """(n, C + 1) standard deviations."""
        return standard_deviation(self.variances)

    @property
    def relative(self) -> NDArray:
        """(n, C + 1) absolute errors in standard deviations."""
        return np.abs(self.means - self.objects) / self.deviations

    def quantiles(self) -> list[float | None]:
        """The quantile of the relative errors for each column; None with too few images."""
        counted = self.means >= _MIN_COUNT
        columns = zip(self.relative.T, counted.T, strict=True)
        return [conformal_quantile(errors[used]) for errors, used in columns]

    def half_widths(self) -> NDArray:
        """(n, C + 1) half the width of each image's interval, from the errors of the others.

        NaN without an interval.
        """
        counted = self.means >= _MIN_COUNT
        columns = zip(self.relative.T, counted.T, strict=True)
        quantiles = [_quantiles_without_each(errors, used) for errors, used in columns]
        return np.column_stack(quantiles) * self.deviations


def fit_count_calibration(
    samples: Sequence[CountSample],
) -> tuple[CountCalibration, CountErrors]:
    """Fit the calibration of counts.

    Args:
        samples: validation images, at least one.

    Returns:
        The calibration, and the counts of the images by cross-validation.
    """
    errors = out_of_fold(samples, fit_moments)
    # The errors of a class without objects do not represent images with objects.
    known = [*(np.sum([sample.objects for sample in samples], 0) > 0), True]
    quantiles = [q if k else None for q, k in zip(errors.quantiles(), known, strict=True)]
    spreads = np.sqrt((errors.relative**2).mean(0)).tolist()
    maps = _fit_maps(samples)
    return CountCalibration(*maps, tuple(quantiles), tuple(spreads), len(samples)), errors


def fit_moments(samples: Sequence[CountSample]) -> Moments:
    """Fit the maps of scores and the factors, without intervals."""
    if not samples:
        return lambda sample: (np.zeros(len(sample.objects)),) * 2
    return _moments_of(_fit_maps(samples))


def out_of_fold(
    samples: Sequence[CountSample], fit: Callable[[Sequence[CountSample]], Moments]
) -> CountErrors:
    """Count each image by a calibration that is fitted to the images of other folds.

    Folds are runs of images, so that neighbors, such as frames of a video, are in one fold.

    Args:
        samples: validation images.
        fit: fits a calibration to images.
    """
    count = len(samples)
    fold_of = np.arange(count) * min(_FOLDS, count) // max(1, count)
    moments = []
    for fold in np.unique(fold_of):
        used = [sample for sample, f in zip(samples, fold_of, strict=True) if f != fold]
        moments_of = fit(used)
        moments += [moments_of(s) for s, f in zip(samples, fold_of, strict=True) if f == fold]
    means, variances = (with_total(np.array(values)) for values in zip(*moments, strict=True))
    objects = with_total(np.array([sample.objects for sample in samples]))
    return CountErrors(means, variances, objects)


def with_total(values: NDArray) -> NDArray:
    """(n, C) values with their sums as a further column."""
    return np.column_stack([values, values.sum(1)])


def conformal_quantile(errors: NDArray) -> float | None:
    """The error that a further one exceeds with a probability of at most 1 - COVERAGE.

    The errors must be exchangeable. None if there are too few: below 9 for a coverage of 90 %.
    """
    rank = _rank(len(errors))
    return float(np.sort(errors)[rank - 1]) if rank <= len(errors) else None


def _rank(count: int) -> int:
    """ceil((count + 1) * COVERAGE), without rounding errors."""
    return int(np.ceil(round((count + 1) * COVERAGE, 6)))


def _quantiles_without_each(errors: NDArray, used: NDArray) -> NDArray:
    """The quantile of the used errors without the own one, for each of n errors; NaN if too few."""
    ranked = np.sort(errors[used])
    rank = _rank(len(ranked))
    full = ranked[rank - 1] if rank <= len(ranked) else np.nan
    quantiles = np.full(len(errors), full)
    rank = _rank(len(ranked) - 1)
    if not used.any() or rank > len(ranked) - 1:
        quantiles[used] = np.nan
        return quantiles
    # Without one of the errors up to this rank, the next one has the rank.
    quantiles[used] = np.where(errors[used] <= ranked[rank - 1], ranked[rank], ranked[rank - 1])
    return quantiles


Maps = tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]


def _fit_maps(samples: Sequence[CountSample]) -> Maps:
    """Slopes, offsets and factors of all classes."""
    classes = len(samples[0].objects)
    scores, labels, correct = (
        np.concatenate([getattr(sample, name) for sample in samples])
        for name in ("scores", "labels", "is_correct")
    )
    counted = scores >= MIN_COUNTED_SCORE
    logits, labels, correct = score_logits(scores[counted]), labels[counted], correct[counted]
    order = np.argsort(labels, kind="stable")
    groups = np.split(order, np.searchsorted(labels[order], np.arange(1, classes)))
    shared = _fit_logistic(logits, correct, np.array([1.0, 0.0]))
    maps = np.array([_fit_logistic(logits[own], correct[own], shared) for own in groups])
    slopes, offsets = (tuple(values) for values in maps.T.tolist())
    moments_of = _moments_of((slopes, offsets, (1.0,) * classes))
    means, variances = map(np.array, zip(*map(moments_of, samples), strict=True))
    objects = np.array([sample.objects for sample in samples])
    columns = zip(objects.T, means.T, standard_deviation(variances).T, strict=True)
    return slopes, offsets, tuple(_fit_factor(*column) for column in columns)


def _moments_of(maps: Maps) -> Moments:
    calibration = CountCalibration(*maps, (), (), 1)  # moments need no more
    return lambda sample: calibration.moments(sample.scores, sample.labels)


def _fit_factor(objects: NDArray, means: NDArray, deviations: NDArray) -> float:
    """The number of objects per expected correct detection, by Huber's weights (1964).

    It is the quotient of the sums over the images. Images with outlying errors have lower weights:
    one in which most of hundreds of objects are missed must not raise the counts of all others.

    Args:
        objects: (n,) true numbers of objects of a class.
        means: (n,) expected numbers of correct detections.
        deviations: (n,) their standard deviations.
    """
    if not objects.any() or not means.any():
        return 1.0
    factor = 1.0
    for _ in range(_STEPS):
        errors = np.abs(objects - factor * means) / deviations
        usual = max(1.0, float(np.median(errors)) / _NORMAL_MEDIAN)
        weights = np.minimum(1, _HUBER * usual / np.maximum(errors, _TOLERANCE))
        previous, factor = factor, float((weights * objects).sum() / (weights * means).sum())
        if abs(factor - previous) < _TOLERANCE:
            break
    return factor


def _fit_logistic(x: NDArray, y: NDArray, prior: NDArray) -> NDArray:
    """Slope, at least 0, and offset of the most probable logistic regression, by Newton's method.

    Args:
        x: (n,).
        y: (n,) 0 or 1.
        prior: (2,) mean of the normal prior of slope and offset.
    """
    weights = prior.copy()
    design = np.column_stack([x, np.ones_like(x)])
    for free in ([0, 1], [1]):
        columns = design[:, free]
        for _ in range(_STEPS):
            p = sigmoid(design @ weights)
            gradient = columns.T @ (p - y) + _PRIOR * (weights - prior)[free]
            hessian = (columns.T * (p * (1 - p))) @ columns + _PRIOR * np.eye(len(free))
            step = np.linalg.solve(hessian, gradient)
            # Far from the minimum, Newton's step may be too long.
            weights[free] -= step / max(1, np.abs(step).max())
            if np.abs(step).max() < _TOLERANCE:
                break
        if weights[0] >= 0:
            break
        weights[0] = 0  # higher scores must not be less probable
    return weights
