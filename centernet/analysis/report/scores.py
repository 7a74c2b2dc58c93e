"""What a detector's scores are worth: the threshold to choose, and what it then confuses."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import supervision as sv
from numpy.typing import NDArray

from centernet.analysis.inspector.look import FLOOR, Findings
from centernet.analysis.inspector.reasons import Reason


@dataclass(frozen=True)
class Best:
    """The threshold at which a class's F1 is best, and what it gives there.

    Attributes:
        threshold: least score; midway between the last box that is worth it and the next.
        precision: share of the boxes that are right.
        recall: share of the objects that are found.
    """

    threshold: float
    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def best_thresholds(findings: Sequence[Findings], classes: int) -> list[Best | None]:
    """By label; None for a class of which no object is annotated, or none is ever found.

    Boxes in ignore regions count neither way.
    """
    objects = np.zeros(classes, np.int64)
    # Of each class the boxes' scores, and whether they are right.
    scores: list[list[float]] = [[] for _ in range(classes)]
    right: list[list[bool]] = [[] for _ in range(classes)]
    for found in findings:
        objects += np.bincount(found.objects.labels, minlength=classes)
        peaks = zip(found.peaks.labels, found.peaks.scores, found.false, strict=True)
        for label, score, verdict in peaks:
            if verdict.reason != Reason.IGNORED:
                scores[label].append(score)
                right[label].append(verdict.match is not None)
    return [
        _best_threshold(np.array(scores[i], np.float64), np.array(right[i], bool), int(objects[i]))
        for i in range(classes)
    ]


def _best_threshold(scores: NDArray, right: NDArray, objects: int) -> Best | None:
    if not objects or not right.any():
        return None
    order = np.argsort(-scores, kind="stable")
    scores, hits = scores[order], right[order].cumsum()
    boxes = np.arange(1, len(scores) + 1)
    f1 = 2 * hits / (boxes + objects)
    # Equal scores are above a threshold together or not at all.
    f1[:-1][scores[:-1] == scores[1:]] = 0
    last = int(f1.argmax())
    following = scores[last + 1] if last + 1 < len(scores) else FLOOR
    threshold = float((scores[last] + following) / 2)
    return Best(threshold, float(hits[last] / boxes[last]), float(hits[last] / objects))


def confusion(
    findings: Sequence[Findings], thresholds: NDArray, class_names: Sequence[str], iou: float = 0.5
) -> NDArray[np.int64]:
    """Counts (C + 1, C + 1): the row is what is there, the column what was found.

    The last column holds missed objects, the last row boxes where nothing is. Boxes in ignore
    regions count neither way.

    Args:
        findings: of all images.
        thresholds: (C,) least score by label.
        class_names: by label.
        iou: overlap from which a box is of an object.
    """
    predictions, targets = [], []
    for found in findings:
        peaks, objects = found.peaks, found.objects
        judged = np.array([verdict.reason != Reason.IGNORED for verdict in found.false], bool)
        kept = judged & (peaks.scores >= thresholds[peaks.labels])
        predictions.append(
            sv.Detections(peaks.boxes[kept], None, peaks.scores[kept], peaks.labels[kept])
        )
        targets.append(sv.Detections(objects.boxes, class_id=objects.labels))
    matrix = sv.ConfusionMatrix.from_detections(
        predictions, targets, list(class_names), conf_threshold=0, iou_threshold=iou
    )
    return matrix.matrix.astype(np.int64)
