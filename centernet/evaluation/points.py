"""Precision, recall and F1 of centers: a detection is correct if it is near the object's center.

For objects that are annotated by points, which have no box to compare.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from centernet.evaluation.ground_truth import GroundTruth
from centernet.evaluation.metrics import Evaluation

_RECALLS = np.linspace(0, 1, 101)  # as in COCO's average precision


@dataclass(frozen=True)
class PointEvaluation(Evaluation):
    """Metrics of the centers of detections.

    Attributes:
        metrics: means over the classes with objects, in [0, 1]; NaN without objects: average
            precision, and F1, precision and recall at each class's best score threshold.
        per_class: one row per class with ``class``, ``objects``, ``AP``, ``F1``, ``precision``,
            ``recall`` and ``threshold``, the score threshold with the highest F1.
        precision: (101, C) precision by recall and class; -1 for a class without objects.
        distance: in image pixels, at which a detection is correct; None for half the size of each
            object.
    """

    headline: ClassVar[tuple[str, ...]] = ("AP_points", "F1_points")
    criterion: ClassVar[str] = "center distance"
    distance: float | None = None

    @property
    def note(self) -> str:
        """That there are no sizes, and :attr:`limit_note`."""
        first = "only centers are measured, because sizes are not annotated or were not learned"
        return "; ".join(filter(None, (first, self.limit_note)))

    @property
    def summary(self) -> str:
        """The metrics as lines of text."""
        limit = "half the size of the object"
        if self.distance is not None:
            limit = f"{self.distance:g} pixels"
        lines = [f"centers at a distance of at most {limit}:"]
        lines += [f" {name:<16} = {value:0.3f}" for name, value in self.metrics.items()]
        return "\n".join(lines)


class _Ranking(NamedTuple):
    """The detections of a class, best first, and the number of its objects."""

    scores: NDArray[np.float64]
    is_correct: NDArray[np.bool_]
    objects: int


def evaluate_points(
    truth: GroundTruth,
    results: Sequence[Mapping[str, Any]],
    image_ids: Sequence[Any] | None = None,
    *,
    distance: float | None = None,
    limit_note: str = "",
) -> PointEvaluation:
    """Compute the metrics of the centers of detections.

    In each image, detections are matched in order of score: each takes the nearest object of its
    class that is free, if its center is near enough. Further detections of an object are wrong.
    Detections with their center in the box of an ignore region of their class do not count.

    Args:
        truth: objects, points or boxes, and ignore regions.
        results: detections in COCO's result format.
        image_ids: the images to evaluate; all by default.
        distance: largest distance of a correct detection in image pixels; by default half the size
            of the object, the square root of the area of its box.
        limit_note: see :class:`.Evaluation`.
    """
    wanted = None if image_ids is None else set(image_ids)
    annotations, detections = (
        _by_class_and_image(rows, wanted) for rows in (truth.source, results)
    )
    per_class: list[dict[str, Any]] = []
    curves = np.full((len(_RECALLS), len(truth.categories)), -1.0)
    for column, category in enumerate(truth.categories):
        key = category["id"]
        ranking = _rank(annotations[key], detections[key], distance)
        row: dict[str, Any] = {"class": str(category["name"]), "objects": ranking.objects}
        numbers = dict.fromkeys(("AP", "F1", "precision", "recall", "threshold"), float("nan"))
        if ranking.objects:
            curves[:, column] = _precision_by_recall(ranking)
            numbers = {"AP": float(curves[:, column].mean())} | best_f1(*ranking)
        per_class.append(row | numbers)
    metrics = {
        f"{name}_points": _mean([row[name] for row in per_class if row["objects"]])
        for name in ("AP", "F1", "precision", "recall")
    }
    most = max((len(rows) for own in detections.values() for rows in own.values()), default=0)
    return PointEvaluation(metrics, per_class, most, curves, limit_note, distance)


Rows = dict[Any, list[Mapping[str, Any]]]


def _by_class_and_image(
    rows: Sequence[Mapping[str, Any]], wanted: set[Any] | None
) -> defaultdict[Any, Rows]:
    """Annotations or detections of the wanted images by category id and image id."""
    found: defaultdict[Any, Rows] = defaultdict(dict)
    for row in rows:
        if wanted is None or row["image_id"] in wanted:
            found[row["category_id"]].setdefault(row["image_id"], []).append(row)
    return found


def _rank(annotations: Rows, detections: Rows, distance: float | None) -> _Ranking:
    """Match the detections of a class in all images."""
    scores, correct = [np.empty(0)], [np.empty(0, bool)]
    for image, found in detections.items():
        own = match_centers(annotations.get(image, []), found, distance)
        kept = own != _IGNORED
        scores.append(np.array([row["score"] for row in found], np.float64)[kept])
        correct.append(own[kept] >= 0)
    joined = np.concatenate(scores)
    order = np.argsort(-joined, kind="stable")
    objects = sum(not a["iscrowd"] for rows in annotations.values() for a in rows)
    return _Ranking(joined[order], np.concatenate(correct)[order], objects)


_WRONG, _IGNORED = -1, -2


def match_centers(
    annotations: Sequence[Mapping[str, Any]],
    detections: Sequence[Mapping[str, Any]],
    distance: float | None = None,
) -> NDArray[np.int64]:
    """Match the detections of one class in one image with its objects.

    Args:
        annotations: the objects and ignore regions.
        detections: in COCO's result format, in any order.
        distance: as for :func:`evaluate_points`.

    Returns:
        (k,) for each detection the index among the annotations that are objects, -1 for a false
        positive, -2 for one that does not count.
    """
    objects = _boxes([a for a in annotations if not a["iscrowd"]])
    regions = _boxes([a for a in annotations if a["iscrowd"]])
    centers, found = (boxes[:, :2] + boxes[:, 2:] / 2 for boxes in (objects, _boxes(detections)))
    limit = np.sqrt(objects[:, 2:].prod(1)) / 2 if distance is None else distance
    away = np.linalg.norm(found[:, None] - centers[None], axis=2)
    away[away > limit] = np.inf
    matched = np.full(len(detections), _WRONG)
    for k in np.argsort([-row["score"] for row in detections], kind="stable").tolist():
        if len(centers) and np.isfinite(away[k].min()):
            matched[k] = away[k].argmin()
            away[:, matched[k]] = np.inf
    low, high = regions[:, :2], regions[:, :2] + regions[:, 2:]
    is_inside = (found[:, None] >= low) & (found[:, None] <= high)  # (k, regions, 2)
    inside: NDArray[np.bool_] = np.any(np.all(is_inside, axis=2), axis=1)
    matched[(matched == _WRONG) & inside] = _IGNORED
    return matched


def center_agreement(boxes: NDArray, others: NDArray) -> NDArray[np.float64]:
    """How near the centers of boxes are to those of objects, as a replacement of the IoU.

    Args:
        boxes: (k, 4) xyxy.
        others: (n, 4) xyxy, the objects.

    Returns:
        (k, n) in [0, 1]: 1 at the center, 0.5 at a distance of half the object's size, the square
        root of its area.
    """
    centers, theirs = ((b[:, :2] + b[:, 2:]) / 2 for b in (boxes, others))
    size = np.sqrt((others[:, 2:] - others[:, :2]).prod(1))
    away = np.linalg.norm(centers[:, None].astype(float) - theirs[None], axis=2)
    return np.clip(1 - away / np.maximum(size, 1e-9), 0, 1)


def _boxes(rows: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    return np.array([row["bbox"] for row in rows], np.float64).reshape(-1, 4)


def _precision_by_recall(ranking: _Ranking) -> NDArray[np.float64]:
    """The precision at each of COCO's recalls: the best at this or a higher recall."""
    correct = ranking.is_correct.cumsum()
    precision = correct / np.arange(1, len(correct) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(correct / ranking.objects, _RECALLS, side="left")
    return np.append(best, 0.0)[at]


def best_f1(
    scores: NDArray[np.float64], is_correct: NDArray[np.bool_], objects: int
) -> dict[str, float]:
    """F1, precision, recall and score threshold where F1 is highest.

    Args:
        scores: (k,) descending.
        is_correct: (k,).
        objects: number of objects, at least 1.
    """
    if not is_correct.any():
        return {"F1": 0.0, "precision": 0.0, "recall": 0.0, "threshold": float("nan")}
    correct, count = is_correct.cumsum(), np.arange(1, len(scores) + 1)
    f1 = 2 * correct / (count + objects)
    f1[:-1][scores[:-1] == scores[1:]] = 0  # no threshold separates equal scores
    last = int(f1.argmax())
    return {
        "F1": float(f1[last]),
        "precision": float(correct[last] / count[last]),
        "recall": float(correct[last] / objects),
        "threshold": float(scores[last]),
    }


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
