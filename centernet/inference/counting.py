"""Count objects with an interval, from the calibrated scores of all detections of an image.

A calibration maps the score s of a detection to the probability that it is an object,
p = sigmoid(slope * logit(s) + offset), one map for each class (Platt scaling of the logit). The
count is the sum of p, times a factor for the objects without a detection. Half the width of its
interval is a quantile of the errors in the validation images, relative to their standard deviation
(split conformal prediction, Lei et al., 2018).

:mod:`centernet.evaluation.count_calibration` fits the calibration. Nothing here imports PyTorch.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from numbers import Real
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from centernet.errors import InputError
from centernet.inference.probabilities import logit, sigmoid

# Detections with a lower score are not counted. So a count does not depend on top_k, which fills
# the list of an image with detections of the lowest scores.
MIN_COUNTED_SCORE = 0.05
# Share of new images whose true count is expected to be in the interval.
COVERAGE = 0.9
# Standard deviations within which a normal variable is with this probability.
_NORMAL_QUANTILE = NormalDist().inv_cdf((1 + COVERAGE) / 2)
# Added to the variance of a count, which is 0 where nothing is detected.
_MIN_VARIANCE = 0.25
# Scores nearer to 0 or 1 are taken as this near: their logits would be infinite.
_MIN_SCORE = 1e-6


@dataclass(frozen=True)
class CountInterval:
    """A number of objects with its interval.

    Attributes:
        estimate: expected number of objects.
        half_width: half the width of the interval; None if there were too few validation images.
        error: standard error of the estimate, for sums of several counts.
    """

    estimate: float
    half_width: float | None
    error: float = 0.0

    @property
    def number(self) -> int:
        """The estimate, rounded."""
        return int(self.estimate + 0.5)

    @property
    def low(self) -> int | None:
        """The smallest number of objects in the interval; None without an interval."""
        if self.half_width is None:
            return None
        return max(0, min(self.number, math.ceil(self.estimate - self.half_width)))

    @property
    def high(self) -> int | None:
        """The largest number of objects in the interval; None without an interval."""
        if self.half_width is None:
            return None
        return max(self.number, math.floor(self.estimate + self.half_width))

    @property
    def interval(self) -> str:
        """The interval as text, as ``397 to 427``."""
        return "no interval" if self.low is None else f"{self.low:,} to {self.high:,}"

    def text(self, name: str) -> str:
        """The number, a name and the interval, as ``412 cell (397 to 427)``."""
        return f"{self.number:,} {name} ({self.interval})"

    def as_dict(self) -> dict[str, float | int | None]:
        """``estimate`` with two decimals, ``low`` and ``high``, for files."""
        return {"estimate": round(self.estimate, 2), "low": self.low, "high": self.high}


@dataclass(frozen=True)
class Count:
    """The number of objects in an image.

    Attributes:
        total: number of objects of all classes.
        classes: number of objects by class name, in the order of the labels.
        truncated: whether the limit ``top_k`` cut off detections that count.
    """

    total: CountInterval
    classes: Mapping[str, CountInterval]
    truncated: bool = False

    def __str__(self) -> str:
        end = ", but top_k cuts off detections" if self.truncated else ""
        return counts_text(self.total, self.classes) + end

    def as_dict(self) -> dict[str, Any]:
        """The counts as plain values: ``total``, ``classes`` and, if true, ``truncated``."""
        classes = {name: count.as_dict() for name, count in self.classes.items()}
        counts = {"total": self.total.as_dict(), "classes": classes}
        return counts | ({"truncated": True} if self.truncated else {})


def counts_text(total: CountInterval, classes: Mapping[str, CountInterval]) -> str:
    """The total and the classes with objects, the most frequent first, as one line."""
    if len(classes) == 1:
        (name,) = classes
        return classes[name].text(name)
    found = {name: count for name, count in classes.items() if count.number}
    order = sorted(found, key=lambda name: -found[name].estimate)
    each = ", ".join(found[name].text(name) for name in order)
    return total.text("objects") + (f": {each}" if each else "")


@dataclass(frozen=True)
class CountCalibration:
    """Maps of scores to probabilities, and the widths of intervals.

    Attributes:
        slopes: C slopes of the logit of the score by label, at least 0.
        offsets: C offsets of the logit by label.
        factors: C numbers of objects per expected correct detection by label.
        quantiles: C + 1 quantiles of the errors of counts, in standard deviations, by label, and
            that of the total; None for a class whose interval is unknown.
        errors: C + 1 root mean squares of the same errors.
        images: number of validation images.
    """

    slopes: tuple[float, ...]
    offsets: tuple[float, ...]
    factors: tuple[float, ...]
    quantiles: tuple[float | None, ...]
    errors: tuple[float, ...]
    images: int

    @classmethod
    def from_stored(cls, values: Any, num_classes: int) -> "CountCalibration | None":
        """Read the values of :meth:`as_dict` from a file; None for None.

        Raises:
            InputError: the values are damaged.
        """
        if values is None:
            return None
        sizes = {"slopes": 0, "offsets": 0, "factors": 0, "quantiles": 1, "errors": 1}
        try:
            lists = {name: tuple(map(_number, values[name])) for name in sizes}
            wrong = [n for n, more in sizes.items() if len(lists[n]) != num_classes + more]
            wrong += [name for name in sizes if name != "quantiles" and None in lists[name]]
            wrong += [n for n in sizes if n != "offsets" and any((v or 0) < 0 for v in lists[n])]
            if type(images := values["images"]) is not int or images < 1:
                wrong.append("images")
            if wrong:
                raise ValueError(wrong[0])
        except (LookupError, TypeError, ValueError) as error:
            raise InputError(
                f"the weights have a damaged calibration of counts ({error}): run `centernet "
                "report RUN` again"
            ) from None
        return cls(**lists, images=images)  # type: ignore[arg-type] # None is in quantiles only

    def as_dict(self) -> dict[str, Any]:
        """The calibration as numbers and lists; :meth:`from_stored` reads it."""
        return {n: list(v) if isinstance(v, tuple) else v for n, v in asdict(self).items()}

    def probabilities(self, scores: NDArray, labels: NDArray) -> NDArray[np.float64]:
        """The probability (K,) that a detection is an object, by scores (K,) and labels (K,)."""
        slopes, offsets = np.array(self.slopes), np.array(self.offsets)
        return calibrated(scores, slopes[labels], offsets[labels])

    def moments(self, scores: NDArray, labels: NDArray) -> tuple[NDArray, NDArray]:
        """Mean (C,) and variance (C,) of the number of objects of each class.

        The number of correct detections is a Poisson binomial variable; that of objects without a
        detection is Poisson.

        Args:
            scores: (K,) of all detections of an image.
            labels: (K,).
        """
        counted = scores >= MIN_COUNTED_SCORE
        labels = labels[counted]
        p = self.probabilities(scores[counted], labels)
        classes, factors = len(self.slopes), np.array(self.factors)
        correct = np.bincount(labels, p, minlength=classes)
        variance = np.bincount(labels, p * (1 - p), minlength=classes)
        return factors * correct, variance + np.maximum(0, factors - 1) * correct

    def count(
        self,
        scores: NDArray,
        labels: NDArray,
        class_names: Sequence[str],
        *,
        truncated: bool = False,
    ) -> Count:
        """Count the objects of an image.

        Args:
            scores: (K,) of all detections, before any score threshold.
            labels: (K,).
            class_names: class names by label.
            truncated: see :class:`Count`.
        """
        moments = (np.append(values, values.sum()) for values in self.moments(scores, labels))
        rows = zip(*moments, self.quantiles, self.errors, strict=True)
        *classes, total = [_interval(*row) for row in rows]
        return Count(total, dict(zip(class_names, classes, strict=True)), truncated)


def calibrated(scores: NDArray, slope: NDArray | float, offset: NDArray | float) -> NDArray:
    """sigmoid(slope * logit(scores) + offset)."""
    return sigmoid(slope * score_logits(scores) + offset)


def score_logits(scores: NDArray) -> NDArray[np.float64]:
    """The logits of scores, finite also for the scores 0 and 1."""
    return logit(scores.astype(np.float64).clip(_MIN_SCORE, 1 - _MIN_SCORE))


def standard_deviation(variance: NDArray | float) -> NDArray:
    """The standard deviation of a count, at least one half: that of a fair coin."""
    return np.sqrt(variance + _MIN_VARIANCE)


def _interval(mean: float, variance: float, quantile: float | None, error: float) -> CountInterval:
    deviation = float(standard_deviation(variance))
    width = None if quantile is None else quantile * deviation
    return CountInterval(float(mean), width, error * deviation)


class CountSum:
    """The number of objects in several images, with an interval.

    The errors of different images add up like independent ones. The error of the calibration, which
    all images share, adds up in proportion to their number; it falls with the number of validation
    images. The sum of many errors is normally distributed.
    """

    def __init__(self, calibration_images: int) -> None:
        """Start from zero."""
        self._calibration_images = calibration_images
        self._counts, self._mean, self._error, self._variance = 0, 0.0, 0.0, 0.0
        self._width: float | None = 0.0

    def add(self, count: CountInterval) -> None:
        """Add the objects of an image."""
        self._counts += 1
        self._mean += count.estimate
        self._error += count.error
        self._variance += count.error**2
        self._width = None if self._width is None else count.half_width

    @property
    def interval(self) -> CountInterval:
        """The sum."""
        error = math.sqrt(self._variance + self._error**2 / self._calibration_images)
        if self._counts > 1 and self._width is not None:
            return CountInterval(self._mean, _NORMAL_QUANTILE * error, error)
        return CountInterval(self._mean, self._width, error)


def sum_counts(counts: Iterable[CountInterval], calibration_images: int) -> CountInterval:
    """The number of objects in several images; see :class:`CountSum`."""
    total = CountSum(calibration_images)
    for count in counts:
        total.add(count)
    return total.interval


def _number(value: Any) -> float | None:
    """A finite number of at most 1e6 as a float, or None; raises ValueError for anything else."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Real) or not abs(float(value)) <= 1e6:
        raise ValueError(repr(value)[:40])
    return float(value)
