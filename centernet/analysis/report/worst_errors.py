"""The worst missed objects and false positives, with crops of the images."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from centernet.analysis.inspector.analyze import ImageAnalysis
from centernet.analysis.inspector.error_types import ErrorType
from centernet.data.images import read_image
from centernet.inference.data_uris import picture_uri, resize_area

_SIDE = 200  # pixels of a crop
_MAX_ERRORS, _MAX_PER_IMAGE = 12, 2
_MISSED_COLOR, _FALSE_COLOR = (255, 47, 158), (255, 90, 31)


@dataclass(frozen=True)
class ErrorExample:
    """A missed object or a false positive.

    Attributes:
        image: index of the image.
        kind: ``object`` or ``peak``, as in links into the inspector page.
        index: index of the object or peak in its image.
        label: class of the object or peak.
        score: score of the false positive, or of the peak that matches the missed object; 0 for
            none.
        error: the error type.
        box: (4,) xyxy in image pixels.
    """

    image: int
    kind: str
    index: int
    label: int
    score: float
    error: ErrorType
    box: NDArray


def worst_missed_objects(
    analyses: Sequence[ImageAnalysis], thresholds: NDArray
) -> list[ErrorExample]:
    """The missed objects with the lowest scores, large ones first."""
    return _first(_missed(analyses, thresholds), lambda e: (e.score, -_area(e.box)))


def worst_false_positives(
    analyses: Sequence[ImageAnalysis], thresholds: NDArray
) -> list[ErrorExample]:
    """The false positives with the highest scores."""
    return _first(_false_positives(analyses, thresholds), lambda e: -e.score)


def _missed(analyses: Sequence[ImageAnalysis], thresholds: NDArray) -> Iterator[ErrorExample]:
    for image, analysis in enumerate(analyses):
        truth = analysis.truth
        if truth is None:
            continue
        for i, error in analysis.missed_objects(thresholds):
            peak = truth.of_objects[i].index
            score = 0.0 if peak is None else float(analysis.peaks.scores[peak])
            label, box = int(truth.objects.labels[i]), truth.objects.boxes[i]
            yield ErrorExample(image, "object", i, label, score, error, box)


def _false_positives(
    analyses: Sequence[ImageAnalysis], thresholds: NDArray
) -> Iterator[ErrorExample]:
    for image, analysis in enumerate(analyses):
        peaks = analysis.peaks
        for k, error in analysis.false_positives(thresholds):
            label, score = int(peaks.labels[k]), float(peaks.scores[k])
            yield ErrorExample(image, "peak", k, label, score, error, peaks.boxes[k])


def _first(
    errors: Iterator[ErrorExample], key: Callable[[ErrorExample], Any]
) -> list[ErrorExample]:
    """The first errors in order, with a maximum number per image."""
    of_image: Counter[int] = Counter()
    chosen: list[ErrorExample] = []
    for error in sorted(errors, key=key):
        if of_image[error.image] < _MAX_PER_IMAGE and len(chosen) < _MAX_ERRORS:
            of_image[error.image] += 1
            chosen.append(error)
    return chosen


def _area(box: NDArray) -> float:
    return float(np.prod(box[2:] - box[:2]))


def crop_error(analyses: Sequence[ImageAnalysis], error: ErrorExample) -> str:
    """A square crop around an error, with its box, as a ``data:`` URI."""
    pixels = read_image(analyses[error.image].example.path)
    height, width = pixels.shape[:2]
    box = np.nan_to_num(error.box)
    side = float(np.clip(1.8 * (box[2:] - box[:2]).max(), 48, max(height, width)))
    # Keep the square inside the image as far as possible.
    half = np.minimum(side, [width, height]) / 2
    center = ((box[:2] + box[2:]) / 2).clip(half, [width, height] - half)
    scale = _SIDE / side
    shift = _SIDE / 2 - scale * center
    # Warping alone would skip pixels when it scales down.
    zoom = max(scale, 1.0)
    matrix = np.array([[zoom, 0, shift[0]], [0, zoom, shift[1]]])
    shown = cv2.warpAffine(resize_area(pixels, scale), matrix, (_SIDE, _SIDE)).astype(np.uint8)
    (left, top), (right, bottom) = (
        (round(float(x)), round(float(y)))
        for x, y in (scale * corner + shift for corner in (box[:2], box[2:]))
    )
    color = _MISSED_COLOR if error.kind == "object" else _FALSE_COLOR
    cv2.rectangle(shown, (left, top), (right, bottom), color, 2)
    return picture_uri(shown)
