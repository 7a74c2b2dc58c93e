"""How each peak of an image agrees with the annotations."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from centernet.analysis.labels.evidence import Evidence

# A box with a lower IoU is not the same box.
SAME_BOX = 0.5
# A box with a lower IoU with an annotation belongs to another object.
NEAR_BOX = 0.2
# A box is a part of another one if this share of it lies inside, and it has at most the share of
# the other's area.
_INSIDE, _SMALLER = 0.7, 0.75


class Agreement(StrEnum):
    """How a peak agrees with the annotations."""

    SUPPORTS = "has the class and the box of an annotation"
    OTHER_CLASS = "has the box of an annotation of another class"
    NEAR = "has the class of an annotation, but another box"
    PART = "lies inside of a larger annotation of its class"
    AGAIN = "has the class and the box of an annotation that a stronger peak supports"
    ALONE = "is not annotated"


@dataclass(frozen=True)
class Agreements:
    """How the k peaks and n annotations of an image agree.

    Attributes:
        of_peaks: an :class:`Agreement` for each peak.
        objects: (k,) the annotation that each peak agrees with; -1 for none.
        supporters: (n,) the peak that supports each annotation; -1 for none.
        support: (n,) the score of that peak; 0 for none.
    """

    of_peaks: list[Agreement]
    objects: NDArray[np.int64]
    supporters: NDArray[np.int64]
    support: NDArray[np.float64]


def agree(evidence: Evidence) -> Agreements:
    """Match the peaks of an image with its annotations, the best peaks first."""
    peaks, image, overlap = evidence.peaks, evidence.image, evidence.overlap
    same_class = peaks.labels[:, None] == image.labels[None]
    support = np.zeros(len(image.labels))
    supporters = np.full(len(image.labels), -1)
    objects = np.full(len(peaks), -1)
    of_peaks = [Agreement.ALONE] * len(peaks)
    fits = np.where(same_class & (overlap >= SAME_BOX), overlap, 0)
    for k, row in enumerate(fits):
        free = np.where(support > 0, 0, row)
        if free.max(initial=0) > 0:
            objects[k], of_peaks[k] = free.argmax(), Agreement.SUPPORTS
            support[objects[k]], supporters[objects[k]] = peaks.scores[k], k
        elif row.max(initial=0) > 0:
            objects[k], of_peaks[k] = row.argmax(), Agreement.AGAIN
    shares = _share_inside(peaks.boxes, evidence.boxes)
    for k in (k for k, agreement in enumerate(of_peaks) if agreement == Agreement.ALONE):
        # Weaker support does not count: the peak may be what the annotation should have been.
        weaker = support < peaks.scores[k]
        for agreement, quality in (
            (Agreement.OTHER_CLASS, np.where(weaker & ~same_class[k], overlap[k], 0) - SAME_BOX),
            (Agreement.PART, np.where(weaker & same_class[k], shares[k], 0) - _INSIDE),
            (Agreement.NEAR, np.where(weaker & same_class[k], overlap[k], 0) - NEAR_BOX),
        ):
            if quality.max(initial=-1) >= 0:
                objects[k], of_peaks[k] = quality.argmax(), agreement
                break
    return Agreements(of_peaks, objects, supporters, support)


def _share_inside(boxes: NDArray, others: NDArray) -> NDArray:
    """The share of each box inside each other box, 0 where the other one is not larger, (k, n)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    inside = (high - low).clip(0).prod(2)
    areas, other_areas = _areas(boxes)[:, None], _areas(others)[None]
    return np.where(areas <= _SMALLER * other_areas, inside / np.maximum(areas, 1e-9), 0)


def _areas(boxes: NDArray) -> NDArray:
    return (boxes[:, 2:] - boxes[:, :2]).prod(1)
