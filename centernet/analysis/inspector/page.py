"""Many looks as one page that holds everything it shows."""

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from centernet.analysis.encode import map_uri, picture_uri, script_json
from centernet.analysis.inspector.look import FLOOR, Findings, Maps
from centernet.analysis.inspector.reasons import Verdict
from centernet.errors import InputError
from centernet.files import atomic_write
from centernet.inference.drawing import HEAT_COLORS, class_color
from centernet.inference.thresholds import (
    BEST,
    DEFAULT_SCORE_THRESHOLD,
    per_class_thresholds,
)

_FOLDER = Path(__file__).parent
_THUMBNAIL_SIDE, _THUMBNAIL_QUALITY = 96, 60
# A map with no cell above this is not kept: nothing of it could be seen.
_VISIBLE = 0.01


@dataclass(frozen=True)
class _Kept:
    badness: float
    number: int
    entry: dict[str, Any]
    pictures: str


class Page:
    """Collects images and writes the page; of more than ``limit`` it keeps the worst.

    >>> page = Page(detector.class_names)  # doctest: +SKIP
    >>> page.add(*look(detector, example))  # doctest: +SKIP
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
        """Start with no image.

        Args:
            class_names: by label.
            title: says what is looked at.
            threshold: that the page opens with: a number, or ``best`` for each class's own.
            best: each class's best threshold, where they are known.
            iou: that was given to :func:`centernet.analysis.inspector.look`.
            limit: most images; None for all.
        """
        self.class_names, self.threshold, self.best = tuple(class_names), threshold, best
        self.thresholds = per_class_thresholds(threshold, best, self.class_names)
        self.title, self.iou, self.seen = title, iou, 0
        self._limit = limit
        self._images: list[_Kept] = []

    def __len__(self) -> int:
        return len(self._images)

    def add(self, findings: Findings, maps: Maps) -> None:
        """Add an image.

        Raises:
            InputError: the network gives no numbers.
        """
        if maps.heat is not None and np.isnan(maps.heat).any():
            raise InputError(
                f"the heatmap of {findings.example.name} is not a number (NaN), so the training "
                "went wrong: take an earlier checkpoint, or train anew at a lower learning rate"
            )
        badness = findings.badness(self.thresholds)
        self.seen += 1
        if self._limit and len(self._images) >= self._limit:
            best = min(self._images, key=lambda image: (image.badness, -image.number))
            if badness <= best.badness:
                return
            self._images.remove(best)
        number = self.seen - 1
        self._images.append(
            _Kept(badness, number, _entry(findings, maps), script_json(_pictures(maps)))
        )

    def place_of(self, number: int) -> int | None:
        """Where the image that was added so many-th stands, for links to ``#image=PLACE``.

        None where better images than others had to go.
        """
        numbers = [image.number for image in self._images]
        return numbers.index(number) if number in numbers else None

    def save(self, path: Path) -> None:
        """Write the page.

        Raises:
            InputError: it cannot be written.
        """
        with atomic_write(path) as unfinished, unfinished.open("w", encoding="utf-8") as file:
            self._write(file)

    def _write(self, file: TextIO) -> None:
        before, after = template(_FOLDER, self.title).split("<!-- data -->")
        file.write(before)
        for place, image in enumerate(self._images):
            file.write(f'<script type="application/json" id="pictures-{place}">')
            file.write(f"{image.pictures}</script>\n")
        file.write(f'<script type="application/json" id="about">{script_json(self._about())}')
        file.write(f"</script>{after}")

    def _about(self) -> dict[str, Any]:
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
            "floor": FLOOR,
            "seen": self.seen,
            "images": [image.entry for image in self._images],
        }


def template(folder: Path, title: str) -> str:
    """The page of a folder with its style and scripts put in where it names their files."""
    page = (folder / "page.html").read_text(encoding="utf-8")
    page = re.sub(
        r'<link rel="stylesheet" href="([\w.]+)">',
        lambda match: f"<style>\n{(folder / match[1]).read_text(encoding='utf-8')}</style>",
        page,
    )
    page = re.sub(
        r'<script src="([\w.]+)"></script>',
        lambda match: f"<script>\n{(folder / match[1]).read_text(encoding='utf-8')}</script>",
        page,
    )
    return page.replace("{{title}}", html.escape(title))


def _entry(findings: Findings, maps: Maps) -> dict[str, Any]:
    """Everything about an image but its pictures."""
    (height, width), peaks, objects = findings.size, findings.peaks, findings.objects
    scale, shift = np.diag(maps.matrix), maps.matrix[:, 2]
    entry = {
        "name": findings.example.name,
        "width": width,
        "height": height,
        # From cells to pixels: x = scale * column + shift.
        "matrix": [_round(v, 4) for v in (scale[0], shift[0], scale[1], shift[1])],
        "thumbnail": picture_uri(maps.pixels, _THUMBNAIL_SIDE, _THUMBNAIL_QUALITY),
        "peaks": [
            {"label": label, "score": _round(score), "cell": cell, "box": box}
            for label, score, cell, box in zip(
                peaks.labels.tolist(),
                peaks.scores,
                peaks.cells.tolist(),
                _boxes(peaks.boxes),
                strict=True,
            )
        ],
        "objects": None,
    }
    if objects is None:
        return entry
    for peak, verdict in zip(entry["peaks"], findings.false, strict=True):
        peak |= _said(verdict)
    entry["objects"] = [
        {"label": label, "cell": cell, "box": box, "heat": _heat_at(maps, label, cell)}
        | _said(verdict)
        for label, cell, box, verdict in zip(
            objects.labels.tolist(),
            objects.cells.tolist(),
            _boxes(objects.boxes),
            findings.missed,
            strict=True,
        )
    ]
    entry["regions"] = [
        {"label": label, "box": box}
        for label, box in zip(
            findings.regions.labels.tolist(), _boxes(findings.regions.boxes), strict=True
        )
    ]
    return entry


def _said(verdict: Verdict) -> Mapping[str, Any]:
    parts = {"match": verdict.match, "reason": verdict.reason and str(verdict.reason)}
    parts |= {"peak": verdict.peak, "object": verdict.object}
    return {name: value for name, value in parts.items() if value is not None}


def _heat_at(maps: Maps, label: int, cell: Sequence[int]) -> float:
    return 0.0 if maps.heat is None else _round(maps.heat[label, cell[1], cell[0]], 3)


def _pictures(maps: Maps) -> dict[str, Any]:
    shown = {"image": picture_uri(maps.pixels)}
    for name, values in (("prediction", maps.heat), ("target", maps.target)):
        if values is not None:
            shown[name] = {str(label): map_uri(plane) for label, plane in _visible(values)}
            shown["cells"] = list(values.shape[:0:-1])
    return shown


def _visible(values: NDArray) -> Iterator[tuple[int, NDArray]]:
    for label, plane in enumerate(values):
        if plane.max() >= _VISIBLE:
            yield label, plane


def _boxes(boxes: NDArray) -> list[list[float]]:
    """Of an untrained network, too, whose boxes may be anything."""
    return [[_round(value, 1) for value in box] for box in np.nan_to_num(boxes)]


def _round(value: Any, digits: int = 6) -> float:
    return round(float(value), digits)
