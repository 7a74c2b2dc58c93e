"""The distributions that the page shows, as bars."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from centernet.analysis.check.report import Report


class Bar(NamedTuple):
    """One bar: its label, how many it stands for, and their share of the largest bar's."""

    label: str
    count: int
    share: float
    bad: bool = False


class Histogram(NamedTuple):
    """A title, what it means, and the bars."""

    title: str
    meaning: str
    bars: list[Bar]


def histograms(report: Report) -> list[Histogram]:
    """Box sizes in cells, shapes, and objects per image, over all splits."""
    cells = np.concatenate([grid.size_cells for grid in report.grids])
    per_image = np.concatenate(
        [
            np.bincount(content.image[grid.objects], minlength=len(content.files))
            for content, grid in zip(report.contents, report.grids, strict=True)
        ]
    )
    narrow = cells.min(1) if len(cells) else np.zeros(0)
    ratio = cells[:, 0] / cells[:, 1]
    top_k = report.grids[0].top_k
    return [
        Histogram(
            "Narrower side of the boxes, in cells",
            "Below 1 little is left to see; from 3 on an object is easy to place.",
            _bars(narrow, (0, 0.5, 1, 2, 3, 5, 8, 16, 32, np.inf), bad=lambda low: low < 1),
        ),
        Histogram(
            "Width by height of the boxes",
            "Far from 1 a box is long and thin, and needs exact sides.",
            _bars(ratio, (0, 1 / 8, 1 / 4, 1 / 2, 1 / 1.25, 1.25, 2, 4, 8, np.inf)),
        ),
        Histogram(
            "Objects per image",
            f"No more than top_k, {top_k}, are found in one image.",
            _bars(
                per_image,
                (0, 1, 2, 4, 8, 16, 32, 64, top_k + 1, np.inf)
                if top_k > 64
                else (0, 1, 2, top_k + 1, np.inf)
                if top_k > 1
                else (0, 1, 2, np.inf),
                whole=True,
                bad=lambda low: low > top_k,
            ),
        ),
    ]


def _bars(
    values: NDArray,
    edges: Sequence[float],
    *,
    whole: bool = False,
    bad: Callable[[float], bool] = lambda low: False,
) -> list[Bar]:
    """Counts between each two edges, the upper one not included."""
    counts = np.histogram(values, np.array(edges, float))[0]
    most = max(1, counts.max(initial=0))
    return [
        Bar(_label(low, high, whole), int(count), float(count / most), bad(low))
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]


def _label(low: float, high: float, whole: bool) -> str:
    if whole and high == low + 1:
        return str(low)
    if np.isinf(high):
        return f"≥ {_short(low)}"
    if whole:
        return f"{low}-{high - 1}"
    return f"< {_short(high)}" if not low else f"{_short(low)}-{_short(high)}"


def _short(value: float) -> str:
    return f"1/{1 / value:g}" if 0 < value < 0.5 else f"{value:g}"
