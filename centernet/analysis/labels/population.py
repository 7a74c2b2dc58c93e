"""Probabilities that all images together tell: which peaks are real, and how frequent errors are.

The estimates rest on one assumption: the more confident half of the peaks that annotations support
are real objects, and so are the other peaks with such scores. The share of these that annotations
contradict is therefore the frequency of an error in the annotations, not in the detector.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from centernet.analysis.labels.agreement import Agreement, Agreements
from centernet.analysis.labels.evidence import Evidence
from centernet.analysis.labels.reliability import Reliability, peak_features

# A class with fewer supported peaks shares the estimates of all classes.
_MIN_SUPPORTED = 20
# Frequency of each label error in the mean of all datasets, and how many peaks it is worth.
_PRIOR_RATE = 0.01, 50
# Label errors are not more frequent.
_MAX_RATE, _MAX_MISSED = 0.3, 0.5
# Errors of objects that the annotator has seen.
_CARELESS = (Agreement.OTHER_CLASS, Agreement.NEAR)
# An annotation with a higher IoU with another one is crowded.
_CROWDED = 0.1
# Contradictions of confident peaks that are label errors.
ERRORS = (Agreement.ALONE, Agreement.OTHER_CLASS, Agreement.NEAR, Agreement.PART)


@dataclass(frozen=True)
class ClassPopulation:
    """Estimates for a class.

    Attributes:
        reliability: tells whether a peak is a real object.
        error_rates: for each contradiction, its share of the peaks of real objects.
        false_rates: for each contradiction, its share of the other peaks.
        overlaps: sorted IoU of peaks that are probably real with the annotations of their objects.
        heat: sorted heat at the centers of annotations that no peak contradicts: first of those
            that stand alone, then of those that overlap others and are found less often.
    """

    reliability: Reliability
    error_rates: dict[Agreement, float]
    false_rates: dict[Agreement, float]
    overlaps: NDArray
    heat: tuple[NDArray, NDArray]

    def contradicts(self, agreement: Agreement, real: float) -> float:
        """Probability that a contradicting peak is a real object, so that the annotation is wrong.

        Bayes: real objects contradict the annotations at the rate of label errors, other peaks at
        the rate of false positives.

        Args:
            agreement: one of ``ERRORS``.
            real: probability that such a peak is real, without knowledge of the annotations.
        """
        error = real * self.error_rates[agreement]
        return error / (error + (1 - real) * self.false_rates[agreement])

    def is_poor(self, overlap: float) -> float:
        """Probability that an annotation is badly placed, from its IoU with a real object's box."""
        return _tail(self.overlaps, overlap, self.error_rates[Agreement.NEAR])

    def is_spurious(self, heat: float, *, crowded: bool) -> float:
        """Probability that an annotation with this heat at its center is no object.

        Spurious annotations are taken to be as frequent as wrong classes and badly placed boxes.

        Args:
            heat: heat of its class at its center.
            crowded: whether it overlaps another annotation, see :func:`are_crowded`.
        """
        return _tail(
            self.heat[crowded], heat, float(np.mean([self.error_rates[a] for a in _CARELESS]))
        )


def estimate(
    evidence: Sequence[Evidence], agreements: Sequence[Agreements], num_classes: int
) -> tuple[list[ClassPopulation], list[NDArray]]:
    """The estimates for each class from all images, and for each image which peaks are real.

    Returns:
        A population for each class, and for each image the probability (k,) that each peak is a
        real object.
    """
    table = _Table(evidence, agreements)
    labels = range(num_classes)
    populations = [_estimate(table, label) for label in labels]
    real = np.zeros(len(table.labels))
    for label, population in enumerate(populations):
        own = table.labels == label
        real[own] = population.reliability.is_real(table.features[own])
    ends = np.cumsum([len(e.peaks) for e in evidence])
    return populations, np.split(real, ends[:-1])


def own_heat(evidence: Evidence, agreements: Agreements) -> NDArray:
    """Heat of each annotation's class at its center, or the score of the peak that supports it."""
    if not evidence.heat.shape[1]:
        return agreements.support
    own = evidence.heat[np.arange(len(evidence.heat)), evidence.image.labels]
    return np.maximum(own, agreements.support)


def are_crowded(evidence: Evidence) -> NDArray[np.bool_]:
    """Whether each annotation overlaps another one, (n,)."""
    return evidence.between.max(1, initial=0) > _CROWDED


def _are_explained(agreements: Agreements) -> NDArray[np.bool_]:
    """Whether a peak shows another error of each annotation, so that its heat tells nothing."""
    contradicts = np.isin(np.array([*map(str, agreements.of_peaks)]), list(map(str, ERRORS[1:])))
    explained = np.zeros(len(agreements.support), bool)
    explained[agreements.objects[contradicts]] = True
    return explained & (agreements.support == 0)


def _own_overlaps(evidence: Evidence, agreements: Agreements) -> NDArray:
    """IoU of each peak with the annotation that it agrees with, (k,); of no meaning without one."""
    overlap, k = evidence.overlap, len(evidence.peaks)
    return overlap[np.arange(k), agreements.objects] if overlap.size else np.zeros(k)


class _Table:
    """The peaks and annotations of all images in arrays."""

    def __init__(self, evidence: Sequence[Evidence], agreements: Sequence[Agreements]) -> None:
        pairs = list(zip(evidence, agreements, strict=True))
        self.scores = np.concatenate([e.peaks.scores for e in evidence])
        self.labels = np.concatenate([e.peaks.labels for e in evidence])
        self.features = np.concatenate([peak_features(e.peaks, e.size) for e in evidence])
        self.kinds = np.array([str(kind) for a in agreements for kind in a.of_peaks], object)
        self.overlaps = np.concatenate([_own_overlaps(e, a) for e, a in pairs])
        self.annotated = np.concatenate([e.image.labels for e in evidence])
        self.heat = np.concatenate([own_heat(e, a) for e, a in pairs])
        self.explained = np.concatenate([_are_explained(a) for a in agreements])
        self.crowded = np.concatenate([are_crowded(e) for e in evidence])


def _estimate(table: _Table, label: int) -> ClassPopulation:
    chosen = table.labels == label
    if np.sum(chosen & (table.kinds == Agreement.SUPPORTS)) < _MIN_SUPPORTED:
        chosen = np.ones(len(chosen), bool)
    kinds, scores, features = table.kinds[chosen], table.scores[chosen], table.features[chosen]
    supports = kinds == Agreement.SUPPORTS
    confident = scores >= (np.median(scores[supports]) if supports.any() else 1)
    prior, weight = _PRIOR_RATE
    counts = {kind: np.sum(confident & (kinds == kind)) for kind in ERRORS}
    rates = {
        kind: min(_MAX_RATE, (count + prior * weight) / (confident.sum() + weight))
        for kind, count in counts.items()
    }
    if not len(features):  # no peak at all
        features, supports = np.zeros((1, table.features.shape[1])), np.zeros(1, bool)
        kinds, scores = np.array([str(Agreement.ALONE)], object), np.zeros(1)
    reliability = Reliability(features, supports, min(_MAX_MISSED, sum(rates.values())))
    real = reliability.is_real(features)
    false = {
        kind: ((1 - real)[kinds == kind].sum() + 0.5) / ((1 - real).sum() + 1) for kind in ERRORS
    }
    placed = (supports | (kinds == Agreement.NEAR)) & (real >= 0.5)
    overlaps = np.sort(table.overlaps[chosen][placed]) if placed.any() else np.zeros(0)
    own = (table.annotated == label) & ~table.explained
    alone, crowded = (
        np.sort(table.heat[own & (table.crowded == is_so)]) for is_so in (False, True)
    )
    return ClassPopulation(reliability, rates, false, overlaps, (alone, crowded))


def _tail(values: NDArray, value: float, rate: float) -> float:
    """Probability of an error with this frequency, if errors have the lowest of sorted values."""
    lower = np.searchsorted(values, value, side="right") / max(1, len(values))
    return rate / (rate + max(lower, 1 / (len(values) + 1)))
