"""The calibration of counts by the analyses of validation images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from centernet.analysis.inspector.analyze import ImageAnalysis
from centernet.analysis.inspector.error_types import ErrorType
from centernet.evaluation.count_calibration import (
    CountErrors,
    CountSample,
    fit_count_calibration,
)
from centernet.inference.counting import MIN_COUNTED_SCORE, CountCalibration


def count_samples(analyses: Sequence[ImageAnalysis], classes: int) -> Iterator[CountSample]:
    """The detections and objects of annotated images, without detections in ignore regions.

    Args:
        analyses: results for images.
        classes: number of classes.
    """
    for analysis in analyses:
        if analysis.truth is None:
            continue
        # The peaks are the detections, and others that top_k cuts off.
        last = int(np.count_nonzero(analysis.detections["scores"] >= MIN_COUNTED_SCORE))
        peaks, matches = analysis.peaks, analysis.truth.of_peaks[:last]
        counts = np.array([match.error != ErrorType.IGNORED for match in matches], bool)
        yield CountSample(
            peaks.scores[:last][counts],
            peaks.labels[:last][counts],
            np.array([match.index is not None for match in matches], bool)[counts],
            np.bincount(analysis.truth.objects.labels, minlength=classes),
        )


@dataclass(frozen=True)
class CountResults:
    """The counts of validation images.

    Attributes:
        samples: detections and objects of the images.
        calibration: fitted to all of them.
        errors: the counts by cross-validation.
    """

    samples: Sequence[CountSample]
    calibration: CountCalibration
    errors: CountErrors


def fit_counts(analyses: Sequence[ImageAnalysis], classes: int) -> CountResults | None:
    """Fit the calibration of counts to annotated images; None without one.

    Args:
        analyses: results for images.
        classes: number of classes.
    """
    samples = list(count_samples(analyses, classes))
    return CountResults(samples, *fit_count_calibration(samples)) if samples else None
