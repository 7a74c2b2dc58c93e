"""Curves and tables as drawings that a page holds: SVG in the colours of the page around it."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

# Stands for the colour of the text around the drawing, and is put in when that is finished.
_INK = "#010203"
_STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "grid.alpha": 0.25,
    "axes.grid": True,
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _INK
    ),
    "grid.color": _INK,
}
# Drawn with the class colours, which are light, on pages both light and dark.
_SHADES = ("#0d8f6f", "#8a3ffc", "#d9480f", "#1c7ed6", "#c2255c", "#a07800", "#5c940d", "#0b8fa8")
_MOST_CURVES, _MOST_CELLS = 10, 30


def read_metrics(path: Path) -> dict[str, NDArray]:
    """The columns of ``metrics.csv``; NaN where an epoch has no value."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = rows[0] if rows else ()
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in names}


def losses(metrics: Mapping[str, NDArray]) -> str:
    """The loss and its terms by epoch."""
    names = [name for name in metrics if name == "loss" or name.startswith("loss/")]
    curves = {name.removeprefix("loss/"): metrics[name] for name in sorted(names)}
    return _drawing(lambda axes: _by_epoch(axes, metrics["epoch"], curves, "loss", log=True))


def learning_rate(metrics: Mapping[str, NDArray]) -> str:
    """The learning rate by epoch."""
    curves = {"learning rate": metrics["learning_rate"]}
    return _drawing(lambda axes: _by_epoch(axes, metrics["epoch"], curves, "learning rate"))


def precision_by_epoch(metrics: Mapping[str, NDArray]) -> str:
    """AP, AP50 and AP75 of every validation."""
    curves = {name: metrics[name] for name in ("AP50", "AP", "AP75") if name in metrics}
    return _drawing(
        lambda axes: _by_epoch(axes, metrics["epoch"], curves, "average precision", marker="o")
    )


def precision_recall(precision: NDArray, class_names: Sequence[str], objects: Sequence[int]) -> str:
    """One curve for each class, of many classes for the most frequent.

    Args:
        precision: (101, C) by recall from 0 to 1; -1 for a class without objects.
        class_names: by column.
        objects: how many there are of each.
    """
    shown = [i for i in np.argsort(objects)[::-1] if precision[0, i] >= 0][:_MOST_CURVES]

    def draw(axes: Axes) -> None:
        recall = np.linspace(0, 1, len(precision))
        lines = []
        for number, i in enumerate(shown):
            color = _SHADES[number % len(_SHADES)]
            style = "-" if number < len(_SHADES) else "--"
            lines += axes.plot(recall, precision[:, i], style, color=color)
        axes.set(xlabel="recall", ylabel="precision (IoU 0.5)", xlim=(0, 1.01), ylim=(0, 1.02))
        # Named here: of lines, a label that begins with _ is left out.
        axes.legend(lines, _plain([class_names[i] for i in shown]), loc="lower left")

    return _drawing(draw)


def confusion_matrix(counts: NDArray, class_names: Sequence[str]) -> str:
    """Rows sum to 1 in their colours; numbers are counts.

    Args:
        counts: (C + 1, C + 1), see :func:`centernet.analysis.report.scores.confusion`.
        class_names: by label.
    """
    size = len(counts)
    side = min(9.0, 2.6 + 0.55 * size)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)

    def draw(axes: Axes) -> None:
        axes.grid(False)
        axes.imshow(share, cmap="Purples", vmin=0, vmax=1)
        font = {} if size <= _MOST_CELLS else {"fontsize": 5}
        names = _plain(class_names)
        axes.set_xticks(range(size), [*names, "missed"], rotation=45, ha="right", **font)
        axes.set_yticks(range(size), [*names, "nothing"], **font)
        axes.set(xlabel="found", ylabel="annotated")
        if size > _MOST_CELLS:
            return
        for (row, column), count in np.ndenumerate(counts):
            if count:
                color = "white" if share[row, column] > 0.5 else "#222"
                axes.text(column, row, count, ha="center", va="center", color=color)

    return _drawing(draw, (side + 0.6, side))


def _plain(names: Sequence[str]) -> list[str]:
    """Names as they are: between two dollars, matplotlib would read a formula."""
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
    for (name, values), color in zip(curves.items(), _SHADES, strict=False):
        known = np.isfinite(values)
        dots = marker or ("o" if known.sum() == 1 else "")
        axes.plot(epochs[known], values[known], marker=dots, ms=3, color=color, label=name)
    axes.set(xlabel="epoch", ylabel=title)
    axes.xaxis.get_major_locator().set_params(integer=True)
    if log and all((values[np.isfinite(values)] > 0).all() for values in curves.values()):
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    if len(curves) > 1:
        axes.legend()


def _drawing(draw, size: tuple[float, float] = (4.6, 3.2)) -> str:
    """What ``draw`` does to axes, as SVG whose ink is the colour of the text around it."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.subplots()
        axes.patch.set_alpha(0)
        draw(axes)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    return re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
