"""The inspector: analyzed images as one self-contained, interactive HTML page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from centernet.analysis.html import render, write_html
from centernet.analysis.inspector.analyze import (
    MIN_SCORE,
    GroundTruthMatches,
    ImageAnalysis,
    ImageMaps,
)
from centernet.analysis.inspector.error_types import Match
from centernet.errors import InputError
from centernet.inference.data_uris import heatmap_uri, picture_uri
from centernet.inference.drawing import HEAT_COLORS, class_color
from centernet.inference.thresholds import BEST, DEFAULT_SCORE_THRESHOLD, per_class_thresholds

_THUMBNAIL_SIDE, _THUMBNAIL_QUALITY = 96, 60
_MIN_VISIBLE = 0.01  # a heatmap without a higher value is omitted, because it would be black


@dataclass(frozen=True)
class _PageImage:
    """An image of the page: its rank, its order, and its JSON values."""

    error_score: float
    number: int
    entry: dict[str, Any]
    pictures: dict[str, Any]


class InspectorPage:
    """Collects analyzed images and writes the page; above ``limit`` it keeps the worst images.

    >>> page = InspectorPage(detector.class_names)  # doctest: +SKIP
    >>> page.add(*analyze_image(detector, example))  # doctest: +SKIP
    >>> page.save(Path("inspect.html"))  # doctest: +SKIP
    """

    def __init__(
        self,
        class_names: Sequence[str],
        *,
        title: str = "",
        threshold: float | str = DEFAULT_SCORE_THRESHOLD,
        best: Sequence[float | None] | None = None,
        iou: float = 0.5,
        limit: int | None = None,
    ) -> None:
        """Create a page without images.

        Args:
            class_names: class names by label.
            title: name of the weights or of the training run.
            threshold: initial score threshold: a number, or ``best`` for each class's own.
            best: best threshold of each class, if known.
            iou: minimum IoU, see :func:`centernet.analysis.inspector.analyze_image`.
            limit: maximum number of images; None for all.

        Raises:
            InputError: ``threshold`` is not in [0, 1], or is ``best`` without ``best`` thresholds.
        """
        self.class_names, self.threshold, self.best = tuple(class_names), threshold, best
        self.thresholds = per_class_thresholds(threshold, best, self.class_names)
        self.title, self.iou, self.seen = title, iou, 0
        self._limit = limit
        self._images: list[_PageImage] = []

    def __len__(self) -> int:
        return len(self._images)

    def add(self, analysis: ImageAnalysis, maps: ImageMaps) -> None:
        """Add an image.

        Raises:
            InputError: the heatmap holds NaN.
        """
        if maps.heat is not None and np.isnan(maps.heat).any():
            raise InputError(
                f"the heatmap of {analysis.example.name} is NaN, because training diverged: use an "
                "earlier checkpoint, or train again with a lower learning rate"
            )
        error_score = analysis.error_score(self.thresholds)
        self.seen += 1
        if self._limit and len(self._images) >= self._limit:
            best = min(self._images, key=lambda image: (image.error_score, -image.number))
            if error_score <= best.error_score:
                return
            self._images.remove(best)
        self._images.append(
            _PageImage(error_score, self.seen - 1, _entry(analysis, maps), _pictures(maps))
        )

    def index_of(self, number: int) -> int | None:
        """Position of the ``number``-th added image in the page, for links to ``#image=INDEX``.

        None if the page dropped it in favor of worse images.
        """
        numbers = [image.number for image in self._images]
        return numbers.index(number) if number in numbers else None

    def save(self, path: Path) -> None:
        """Write the page.

        Raises:
            InputError: the file cannot be written.
        """
        pieces = render(
            "analysis/inspector/inspector_page.html",
            title=self.title,
            pictures=[image.pictures for image in self._images],
            about=self._about(),
        )
        write_html(path, pieces)

    def _about(self) -> dict[str, Any]:
        """The data for the scripts of the page, except the pictures."""
        best = self.best
        return {
            "classes": [
                {"name": name, "color": class_color(i)} for i, name in enumerate(self.class_names)
            ],
            "heat_colors": HEAT_COLORS.tolist(),
            "threshold": BEST if self.threshold == BEST else _round(self.threshold),
            "best": best
            and [_round(t) for t in per_class_thresholds(BEST, best, self.class_names)],
            "iou": self.iou,
            "floor": MIN_SCORE,
            "seen": self.seen,
            "images": [image.entry for image in self._images],
        }


def _entry(analysis: ImageAnalysis, maps: ImageMaps) -> dict[str, Any]:
    """The JSON values of an image, except its pictures."""
    height, width = analysis.size
    scale, shift = np.diag(maps.matrix), maps.matrix[:, 2]
    truth = analysis.truth
    peaks = _peaks(analysis)
    entry: dict[str, Any] = {
        "name": analysis.example.name,
        "width": width,
        "height": height,
        # From cells to pixels: x = scale * column + shift.
        "matrix": [_round(v, 4) for v in (scale[0], shift[0], scale[1], shift[1])],
        "thumbnail": picture_uri(maps.pixels, _THUMBNAIL_SIDE, _THUMBNAIL_QUALITY),
        "peaks": peaks,
        "objects": None,
    }
    if truth is None:
        return entry
    for peak, match in zip(peaks, truth.of_peaks, strict=True):
        peak |= _match_values(match)
    regions = zip(truth.regions.labels.tolist(), _boxes(truth.regions.boxes), strict=True)
    return entry | {
        "objects": _objects(truth, maps),
        "regions": [{"label": label, "box": box} for label, box in regions],
    }


def _peaks(analysis: ImageAnalysis) -> list[dict[str, Any]]:
    peaks = analysis.peaks
    rows = zip(
        peaks.labels.tolist(),
        peaks.scores,
        peaks.cells.tolist(),
        _boxes(peaks.boxes),
        strict=True,
    )
    return [
        {"label": label, "score": _round(score), "cell": cell, "box": box}
        for label, score, cell, box in rows
    ]


def _objects(truth: GroundTruthMatches, maps: ImageMaps) -> list[dict[str, Any]]:
    rows = zip(
        truth.objects.labels.tolist(),
        truth.objects.cells.tolist(),
        _boxes(truth.objects.boxes),
        truth.of_objects,
        strict=True,
    )
    return [
        {"label": label, "cell": cell, "box": box, "heat": _heat_at(maps, label, cell)}
        | _match_values(match)
        for label, cell, box, match in rows
    ]


def _match_values(match: Match) -> dict[str, Any]:
    values = {
        "match": match.index,
        "error": match.error and str(match.error),
        "peak": match.peak,
        "object": match.object,
    }
    return {name: value for name, value in values.items() if value is not None}


def _heat_at(maps: ImageMaps, label: int, cell: Sequence[int]) -> float:
    return 0.0 if maps.heat is None else _round(maps.heat[label, cell[1], cell[0]], 3)


def _pictures(maps: ImageMaps) -> dict[str, Any]:
    """Image and heatmaps as URIs; ``cells`` is (width, height) of the heatmaps."""
    shown: dict[str, Any] = {"image": picture_uri(maps.pixels)}
    for name, values in (("prediction", maps.heat), ("target", maps.target)):
        if values is not None:
            shown[name] = {str(label): heatmap_uri(plane) for label, plane in _visible(values)}
            shown["cells"] = list(values.shape[:0:-1])
    return shown


def _visible(values: NDArray) -> Iterator[tuple[int, NDArray]]:
    for label, plane in enumerate(values):
        if plane.max() >= _MIN_VISIBLE:
            yield label, plane


def _boxes(boxes: NDArray) -> list[list[float]]:
    """Rounded boxes; an untrained network may predict values that are not finite."""
    return [[_round(value, 1) for value in box] for box in np.nan_to_num(boxes)]


def _round(value: Any, digits: int = 6) -> float:
    return round(float(value), digits)
