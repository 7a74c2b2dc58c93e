"""Plots as SVG for the report page, in the text color of the page."""

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

# Placeholder of the text color; the finished SVG has "currentColor" in its place.
INK = "#010203"
# Any: matplotlib's stubs accept literal keys only.
_STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "grid.alpha": 0.25,
    "axes.grid": True,
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK
    ),
    "grid.color": INK,
}
# Readable on light and dark pages; the class colors of drawings are too light for that.
SHADES = ("#0d8f6f", "#8a3ffc", "#d9480f", "#1c7ed6", "#c2255c", "#a07800", "#5c940d", "#0b8fa8")
_MAX_CURVES = 10
_LEGEND_WIDTH, _LEGEND_KEY = 62, 5  # characters of a row, and of the key beside a name
_MAX_ROWS_WITH_NUMBERS = 30  # of a confusion matrix


def read_metrics(path: Path) -> dict[str, NDArray]:
    """The columns of ``metrics.csv`` by name; NaN where an epoch has no value."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = rows[0] if rows else ()
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in names}


def losses(metrics: Mapping[str, NDArray]) -> Markup:
    """Plot of the loss and its terms by epoch."""
    names = [name for name in metrics if name == "loss" or name.startswith("loss/")]
    curves = {name.removeprefix("loss/"): metrics[name] for name in sorted(names)}
    return plot(lambda axes: _by_epoch(axes, metrics["epoch"], curves, "loss", log=True))


def learning_rate(metrics: Mapping[str, NDArray]) -> Markup:
    """Plot of the learning rate by epoch."""
    curves = {"learning rate": metrics["learning_rate"]}
    return plot(lambda axes: _by_epoch(axes, metrics["epoch"], curves, "learning rate"))


def precision_by_epoch(metrics: Mapping[str, NDArray]) -> Markup:
    """Plot of AP, AP50 and AP75 of every validation epoch; of points, AP and F1."""
    names = ("AP50", "AP", "AP75", "AP_points", "F1_points")
    curves = {name: metrics[name] for name in names if name in metrics}
    return plot(
        lambda axes: _by_epoch(axes, metrics["epoch"], curves, "average precision", marker="o")
    )


def precision_recall(
    precision: NDArray,
    class_names: Sequence[str],
    objects: Sequence[int],
    criterion: str = "IoU 0.5",
) -> Markup:
    """Precision-recall curves, one per class; only the most frequent classes if there are many.

    Args:
        precision: (101, C) at recalls from 0 to 1; -1 for a class without objects.
        class_names: class names by column.
        objects: number of objects by column.
        criterion: what makes a detection correct.
    """
    shown = [i for i in np.argsort(objects)[::-1] if precision[0, i] >= 0][:_MAX_CURVES]

    def draw(axes: Axes) -> None:
        recall = np.linspace(0, 1, len(precision))
        lines = []
        for number, i in enumerate(shown):
            color = SHADES[number % len(SHADES)]
            style = "-" if number < len(SHADES) else "--"
            lines += axes.plot(recall, precision[:, i], style, color=color)
        axes.set(xlabel="recall", ylabel=f"precision ({criterion})", xlim=(0, 1.01), ylim=(0, 1.02))
        add_legend(axes, lines, [class_names[i] for i in shown])

    return plot(draw)


def confusion_matrix(counts: NDArray, class_names: Sequence[str]) -> Markup:
    """Confusion matrix: colors are shares of the row, numbers are counts.

    Args:
        counts: (C + 1, C + 1), see ``confusion_counts`` in ``best_thresholds.py``.
        class_names: class names by label.
    """
    size = len(counts)
    side = min(9.0, 2.6 + 0.55 * size)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)

    def draw(axes: Axes) -> None:
        axes.grid(False)
        axes.imshow(share, cmap="Purples", vmin=0, vmax=1)
        font: dict[str, Any] = {} if size <= _MAX_ROWS_WITH_NUMBERS else {"fontsize": 5}
        names = escape_formula(class_names)
        axes.set_xticks(range(size), [*names, "missed"], rotation=45, ha="right", **font)
        axes.set_yticks(range(size), [*names, "background"], **font)
        axes.set(xlabel="detected", ylabel="annotated")
        if size > _MAX_ROWS_WITH_NUMBERS:
            return
        for (row, column), count in np.ndenumerate(counts):
            if count:
                color = "white" if share[row, column] > 0.5 else "#222"
                axes.text(column, row, count, ha="center", va="center", color=color)

    return plot(draw, (side + 0.6, side))


def add_legend(axes: Axes, lines: Sequence[Artist], names: Sequence[str]) -> None:
    """Name the lines above the axes, where the legend covers none of them."""
    most = _LEGEND_WIDTH // 2 - _LEGEND_KEY
    short = [name if len(name) <= most else f"{name[: most - 1]}…" for name in names]
    columns = min(len(names), _LEGEND_WIDTH // (max(map(len, short)) + _LEGEND_KEY))
    # Labels of lines are ignored if they begin with "_", so they are given here.
    labels = escape_formula(short)
    axes.figure.legend(lines, labels, loc="outside upper left", ncols=columns, fontsize=9)


def escape_formula(names: Sequence[str]) -> list[str]:
    """Escape names: matplotlib reads text between two dollars as a formula."""
    return [name.replace("$", r"\$") for name in names]


def _by_epoch(
    axes: Axes,
    epochs: NDArray,
    curves: Mapping[str, NDArray],
    title: str,
    *,
    log: bool = False,
    marker: str = "",
) -> None:
    for (name, values), color in zip(curves.items(), SHADES, strict=False):
        known = np.isfinite(values)
        dots = marker or ("o" if known.sum() == 1 else "")
        axes.plot(epochs[known], values[known], marker=dots, ms=3, color=color, label=name)
    axes.set(xlabel="epoch", ylabel=title)
    epoch_ticks = MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)
    axes.xaxis.set_major_locator(epoch_ticks)
    if log and all((values[np.isfinite(values)] > 0).all() for values in curves.values()):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(bottom=0)
    if len(curves) > 1:
        add_legend(axes, axes.lines, list(curves))


def plot(
    draw: Callable[[Any], None], size: tuple[float, float] = (4.6, 3.2), **subplots: Any
) -> Markup:
    """SVG of what ``draw`` draws into the axes. Matplotlib escapes all text in it.

    Args:
        draw: receives the axes, or an array of axes if there are several.
        size: (width, height) in inches.
        **subplots: arguments of ``matplotlib.figure.Figure.subplots``.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.subplots(**subplots)
        for one in figure.axes:
            one.patch.set_alpha(0)
        draw(axes)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    return Markup(re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL))
