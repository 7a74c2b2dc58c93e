"""Detections below the score threshold, which the preview window shows on request."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from centernet.inference.prediction import Prediction

if TYPE_CHECKING:
    import supervision as sv

# The lowest score that the preview window can show.
MIN_SHOWN_SCORE = 0.05


def candidate_thresholds(thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """The thresholds (C,) to predict with, so that the window can lower those of the command."""
    return np.minimum(thresholds, MIN_SHOWN_SCORE)


def keep_candidates(prediction: Prediction, thresholds: NDArray[np.float64]) -> Prediction:
    """Move the detections below their threshold (C,) to ``candidates``, which has all."""
    found = prediction.detections
    class_ids, scores = found.class_id, found.confidence
    assert class_ids is not None and scores is not None  # the Detector sets both
    kept = select(found, scores >= thresholds[class_ids])
    truncated = prediction.truncated and bool(scores.min(initial=1.0) >= thresholds.min(initial=1))
    return replace(prediction, detections=kept, candidates=found, truncated=truncated)


def merge_candidates(prediction: Prediction, thresholds: NDArray[np.float64]) -> "sv.Detections":
    """The detections, and the candidates below the thresholds (C,) that are not among them.

    Candidates have no track id. The best are first.
    """
    import supervision as sv  # takes long to import

    found, others = prediction.detections, prediction.candidates
    if others is None or others.class_id is None or others.confidence is None:
        return found
    known = set(map(tuple, found.xyxy.tolist()))
    is_new = [tuple(box) not in known for box in others.xyxy.tolist()]
    is_below = others.confidence < thresholds[others.class_id]
    others = select(others, np.array(is_new, bool) & is_below)
    if not len(others):
        return found
    ids = found.tracker_id
    merged = sv.Detections(
        xyxy=np.concatenate([found.xyxy, others.xyxy]),
        confidence=_joined(found.confidence, others.confidence),
        class_id=_joined(found.class_id, others.class_id),
        tracker_id=None if ids is None else np.append(ids, np.full(len(others), -1)),
        data={
            name: _joined(found.data.get(name), others.data.get(name), len(found), len(others))
            for name in {**others.data, **found.data}
        },
    )
    assert merged.confidence is not None
    return select(merged, np.argsort(-merged.confidence, kind="stable"))


def select(detections: "sv.Detections", rows: NDArray) -> "sv.Detections":
    """The detections of a mask (n,), or of indices."""
    return cast("sv.Detections", detections[rows])


def _joined(first: Any, second: Any, count: int = 0, other_count: int = 0) -> NDArray:
    """Two arrays in a row; a missing one is replaced by zeros of the other's type."""
    known = np.asarray(first if first is not None else second)
    parts = [
        np.zeros((length, *known.shape[1:]), known.dtype) if part is None else np.asarray(part)
        for part, length in ((first, count), (second, other_count))
    ]
    return np.concatenate(parts)
