"""Histograms of box sizes, aspect ratios and objects per image."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from centernet.analysis.check.check_report import CheckReport


@dataclass(frozen=True)
class Bar:
    """One bar of a histogram.

    Attributes:
        label: range of values.
        count: number of values in it.
        share: its length as a fraction of the longest bar.
        is_bad: values in this range are a problem.
    """

    label: str
    count: int
    share: float
    is_bad: bool = False


@dataclass(frozen=True)
class Histogram:
    """A title, an explanation, and the bars."""

    title: str
    meaning: str
    bars: list[Bar]


def histograms(report: CheckReport) -> list[Histogram]:
    """Box sizes in cells, aspect ratios, and objects per image, over all splits."""
    cells = np.concatenate([assignment.size_cells for assignment in report.assignments])
    per_image = np.concatenate(
        [
            np.bincount(arrays.image[assignment.objects], minlength=len(arrays.files))
            for arrays, assignment in zip(report.splits, report.assignments, strict=True)
        ]
    )
    narrow = cells.min(1) if len(cells) else np.zeros(0)
    top_k = report.assignments[0].top_k
    return [
        Histogram(
            "Shorter side of the boxes in cells",
            "Below 1 cell an object is hardly visible; from 3 cells on it is easy to locate.",
            _bars(narrow, (0, 0.5, 1, 2, 3, 5, 8, 16, 32, np.inf), is_bad=lambda low: low < 1),
        ),
        Histogram(
            "Width / height of the boxes",
            "Boxes with a ratio far from 1 are thin, and need precise sides.",
            _bars(
                cells[:, 0] / cells[:, 1],
                (0, 1 / 8, 1 / 4, 1 / 2, 1 / 1.25, 1.25, 2, 4, 8, np.inf),
            ),
        ),
        Histogram(
            "Objects per image",
            f"At most top_k = {top_k} objects are detected per image.",
            _bars(per_image, _count_edges(top_k), integers=True, is_bad=lambda low: low > top_k),
        ),
    ]


def _count_edges(top_k: int) -> tuple[float, ...]:
    """Edges for objects per image, with one at ``top_k``."""
    if top_k > 64:
        return (0, 1, 2, 4, 8, 16, 32, 64, top_k + 1, np.inf)
    return (0, 1, 2, top_k + 1, np.inf) if top_k > 1 else (0, 1, 2, np.inf)


def _bars(
    values: NDArray,
    edges: Sequence[float],
    *,
    integers: bool = False,
    is_bad: Callable[[float], bool] = lambda low: False,
) -> list[Bar]:
    """Counts between consecutive edges; the upper edge is excluded."""
    counts = np.histogram(values, np.array(edges, float))[0]
    longest = max(1, counts.max(initial=0))
    return [
        Bar(_label(low, high, integers), int(count), float(count / longest), is_bad(low))
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]


def _label(low: float, high: float, integers: bool) -> str:
    if integers and high == low + 1:
        return str(low)
    if np.isinf(high):
        return f"≥ {_short(low)}"
    if integers:
        return f"{low}-{high - 1}"
    return f"< {_short(high)}" if not low else f"{_short(low)}-{_short(high)}"


def _short(value: float) -> str:
    return f"1/{1 / value:g}" if 0 < value < 0.5 else f"{value:g}"
