"""The worst misses and false alarms, as small pictures that lead to the inspector's page."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from centernet.analysis.encode import picture_uri
from centernet.analysis.inspector.look import Findings
from centernet.analysis.inspector.reasons import Reason
from centernet.data.images import read_image

_SIDE = 200  # of a picture, in pixels
_MOST, _MOST_OF_ONE_IMAGE = 12, 2
_MISSED, _FALSE = (255, 47, 158), (255, 90, 31)


@dataclass(frozen=True)
class Mistake:
    """An object that is missed, or a box that is false.

    Attributes:
        image: number of the image.
        kind: ``object`` or ``peak``, as links into the inspector's page say.
        index: of the object or the peak.
        label: its class.
        score: of the false box, or of the peak that would find the object, 0 for none.
        reason: why.
        box: xyxy in image pixels.
    """

    image: int
    kind: str
    index: int
    label: int
    score: float
    reason: Reason
    box: NDArray


def worst_misses(findings: Sequence[Findings], thresholds: NDArray) -> list[Mistake]:
    """The objects that are farthest from being found, large ones first."""
    return _first(_misses(findings, thresholds), lambda m: (m.score, -_area(m.box)))


def worst_alarms(findings: Sequence[Findings], thresholds: NDArray) -> list[Mistake]:
    """The false boxes that the detector is most sure of."""
    return _first(_alarms(findings, thresholds), lambda m: -m.score)


def _misses(findings: Sequence[Findings], thresholds: NDArray) -> Iterator[Mistake]:
    for image, found in enumerate(findings):
        scores = found.peaks.scores
        for i, verdict in enumerate(found.missed):
            label = int(found.objects.labels[i])
            reason = verdict.at(thresholds[label], scores)
            if reason:
                score = 0.0 if verdict.match is None else float(scores[verdict.match])
                box = found.objects.boxes[i]
                yield Mistake(image, "object", i, label, score, reason, box)


def _alarms(findings: Sequence[Findings], thresholds: NDArray) -> Iterator[Mistake]:
    for image, found in enumerate(findings):
        peaks = found.peaks
        for k, verdict in enumerate(found.false):
            label, score = int(peaks.labels[k]), float(peaks.scores[k])
            wrong = verdict.reason not in (None, Reason.IGNORED)
            if wrong and score >= thresholds[label]:
                yield Mistake(image, "peak", k, label, score, verdict.reason, peaks.boxes[k])


def _first(mistakes: Iterator[Mistake], key: Callable) -> list[Mistake]:
    """The first few in order, no more than two of one image."""
    taken, chosen = Counter(), []
    for mistake in sorted(mistakes, key=key):
        if taken[mistake.image] < _MOST_OF_ONE_IMAGE and len(chosen) < _MOST:
            taken[mistake.image] += 1
            chosen.append(mistake)
    return chosen


def _area(box: NDArray) -> float:
    return float(np.prod(box[2:] - box[:2]))


def picture(findings: Sequence[Findings], mistake: Mistake) -> str:
    """The mistake in the middle of a square of its surroundings, as an address."""
    pixels = read_image(findings[mistake.image].example.path)
    height, width = pixels.shape[:2]
    box = np.nan_to_num(mistake.box)
    side = float(np.clip(1.8 * (box[2:] - box[:2]).max(), 48, max(height, width)))
    # As far inside the image as the square fits there.
    half = np.minimum(side, [width, height]) / 2
    center = ((box[:2] + box[2:]) / 2).clip(half, [width, height] - half)
    scale = _SIDE / side
    shift = _SIDE / 2 - scale * center
    zoom = scale
    if scale < 1:  # warping alone would pass over pixels
        size = [max(1, round(scale * length)) for length in (width, height)]
        pixels, zoom = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), 1.0
    matrix = np.array([[zoom, 0, shift[0]], [0, zoom, shift[1]]])
    shown = cv2.warpAffine(pixels, matrix, (_SIDE, _SIDE))
    corners = [
        tuple(round(float(v)) for v in scale * corner + shift) for corner in (box[:2], box[2:])
    ]
    cv2.rectangle(shown, *corners, _MISSED if mistake.kind == "object" else _FALSE, 2)
    return picture_uri(shown)
