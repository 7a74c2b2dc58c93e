"""The best score threshold of each class, and the confusion matrix at given thresholds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import supervision as sv
from numpy.typing import NDArray

from centernet.analysis.confusion import confusion_matrix
from centernet.analysis.inspector.analyze import MIN_SCORE, ImageAnalysis
from centernet.analysis.inspector.error_types import ErrorType


@dataclass(frozen=True)
class BestThreshold:
    """The threshold with the highest F1 of a class.

    Attributes:
        threshold: midway between the scores of the last detection above it and the next one.
        precision: share of the detections that are correct.
        recall: share of the objects that are detected.
    """

    threshold: float
    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def best_thresholds(analyses: Sequence[ImageAnalysis], classes: int) -> list[BestThreshold | None]:
    """Best threshold by label; None for a class without objects, or without a correct detection.

    Detections in ignore regions count neither as right nor as wrong.

    Args:
        analyses: results for annotated images.
        classes: number of classes.
    """
    objects = np.zeros(classes, np.int64)
    scores: list[list[float]] = [[] for _ in range(classes)]
    is_correct: list[list[bool]] = [[] for _ in range(classes)]
    for analysis in analyses:
        if analysis.truth is None:
            continue
        objects += np.bincount(analysis.truth.objects.labels, minlength=classes)
        peaks = analysis.peaks
        rows = zip(peaks.labels, peaks.scores, analysis.truth.of_peaks, strict=True)
        for label, score, match in rows:
            if match.error != ErrorType.IGNORED:
                scores[label].append(score)
                is_correct[label].append(match.index is not None)
    return [
        best_threshold(np.array(s, np.float64), np.array(c, bool), int(n))
        for s, c, n in zip(scores, is_correct, objects, strict=True)
    ]


def best_threshold(scores: NDArray, is_correct: NDArray, objects: int) -> BestThreshold | None:
    """The best threshold of a class; None without objects, or without a correct detection.

    Args:
        scores: (K,) of all detections of the class.
        is_correct: (K,) whether a detection has an object.
        objects: number of objects.
    """
    if not objects or not is_correct.any():
        return None
    order = np.argsort(-scores, kind="stable")
    scores, correct = scores[order], is_correct[order].cumsum()
    detections = np.arange(1, len(scores) + 1)
    f1 = 2 * correct / (detections + objects)
    # No threshold separates equal scores.
    f1[:-1][scores[:-1] == scores[1:]] = 0
    last = int(f1.argmax())
    following = scores[last + 1] if last + 1 < len(scores) else MIN_SCORE
    return BestThreshold(
        threshold=float((scores[last] + following) / 2),
        precision=float(correct[last] / detections[last]),
        recall=float(correct[last] / objects),
    )


def confusion_counts(
    analyses: Sequence[ImageAnalysis],
    thresholds: NDArray,
    class_names: Sequence[str],
    iou: float = 0.5,
) -> NDArray[np.int64]:
    """The :func:`.confusion_matrix` of a report. Detections in ignore regions are left out.

    Args:
        analyses: results for annotated images.
        thresholds: (C,) score threshold by label.
        class_names: class names by label.
        iou: minimum IoU of a detection and its object.
    """
    predictions, targets = [], []
    for analysis in analyses:
        if analysis.truth is None:
            continue
        peaks, objects = analysis.peaks, analysis.truth.objects
        counts = np.array([m.error != ErrorType.IGNORED for m in analysis.truth.of_peaks], bool)
        kept = counts & (peaks.scores >= thresholds[peaks.labels])
        predictions.append(
            sv.Detections(peaks.boxes[kept], None, peaks.scores[kept], peaks.labels[kept])
        )
        targets.append(sv.Detections(objects.boxes, class_id=objects.labels))
    return confusion_matrix(predictions, targets, class_names, iou)
