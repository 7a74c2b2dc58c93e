"""The section Counts of the report: errors, coverage, and reliability of scores."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from centernet.analysis.report.counts import CountResults
from centernet.analysis.report.plots import INK, SHADES, add_legend, plot
from centernet.evaluation.count_calibration import CountSample, with_total
from centernet.inference.counting import COVERAGE, CountInterval
from centernet.inference.drawing import class_color

_COLUMNS = ["objects", "error", "error of boxes", "bias", "in the interval", "mean width"]
_TOTAL = "all classes"
_MAX_CLASSES = 8  # with a plot, the most frequent ones
_MAX_IMAGES = 500  # in a plot
_BINS = 10
_HIT, _MISS = SHADES[3], SHADES[2]
# If the largest count is this many times the median, the axes are logarithmic.
_WIDE_RANGE = 8


def count_section(
    results: CountResults, class_names: Sequence[str], thresholds: NDArray
) -> dict[str, Any]:
    """The values of the section for the page's template.

    Args:
        results: counts of the validation images.
        class_names: class names by label.
        thresholds: (C,) score threshold by label, for the numbers of boxes.
    """
    names = [*class_names, _TOTAL]
    intervals = _intervals(results)
    objects = results.errors.objects.sum(0)
    shown = [i for i in range(len(names)) if objects[i]]
    if len(class_names) == 1:
        shown = shown[:1]  # the total is the same
    boxes = with_total(np.array([_boxes(sample, thresholds) for sample in results.samples]))
    missing = [names[i] for i in shown if results.calibration.quantiles[i] is None]
    ranked = sorted(shown[:-1] or shown, key=lambda i: -objects[i])[:_MAX_CLASSES]
    plotted = list(dict.fromkeys([*ranked, shown[-1]])) if shown else []
    return {
        "coverage": f"{COVERAGE:.0%}",
        "columns": _COLUMNS,
        "rows": [_row(results, i, names[i], intervals[i], boxes[:, i]) for i in shown],
        "note": _note(missing),
        "plots": {f"Counts: {names[i]}": _count_plot(results, i, intervals[i]) for i in plotted},
        "reliability": {f"Reliability: {names[i]}": _reliability_plot(results, i) for i in plotted},
    }


def _note(missing: Sequence[str]) -> str:
    if not missing:
        return ""
    return (
        f"no interval for {', '.join(missing)}: it needs at least 9 validation images in which the "
        "class is counted."
    )


def _intervals(results: CountResults) -> list[list[CountInterval]]:
    """The cross-validated count of each image, by label and of the total."""
    errors = results.errors
    columns = zip(errors.means.T.tolist(), errors.half_widths().T.tolist(), strict=True)
    return [
        [CountInterval(m, None if np.isnan(w) else w) for m, w in zip(means, widths, strict=True)]
        for means, widths in columns
    ]


def _boxes(sample: CountSample, thresholds: NDArray) -> NDArray:
    """The number of boxes by label."""
    kept = sample.scores >= thresholds[sample.labels]
    return np.bincount(sample.labels[kept], minlength=len(thresholds))


def _row(
    results: CountResults,
    column: int,
    name: str,
    counts: Sequence[CountInterval],
    boxes: NDArray,
) -> dict[str, Any]:
    truth = results.errors.objects[:, column]
    errors = np.array([count.number for count in counts]) - truth
    limits = list(_known_limits(counts, truth))
    values = [
        f"{int(truth.sum()):,}",
        f"{np.abs(errors).mean():.2f}",
        f"{np.abs(boxes - truth).mean():.2f}",
        f"{errors.mean():+.2f}",
        f"{np.mean([low <= true <= high for low, high, true in limits]):.0%}" if limits else "-",
        f"{np.mean([high - low for low, high, _ in limits]):.1f}" if limits else "-",
    ]
    is_class = column < len(results.calibration.slopes)
    return {"name": name, "color": class_color(column) if is_class else None, "values": values}


def _known_limits(
    counts: Sequence[CountInterval], truth: NDArray
) -> Iterator[tuple[int, int, float]]:
    """Lowest, highest and true number of each image with an interval."""
    for count, true in zip(counts, truth, strict=True):
        if count.low is not None and count.high is not None:
            yield count.low, count.high, true


def _count_plot(results: CountResults, column: int, counts: Sequence[CountInterval]) -> Markup:
    """True against predicted count with its interval; orange where the interval is wrong."""
    step = -(-len(counts) // _MAX_IMAGES)
    counts, truth = counts[::step], results.errors.objects[::step, column]
    predicted = np.array([count.estimate for count in counts])
    low, high = (
        np.array([own if own is not None else e for own, e in zip(limits, predicted, strict=True)])
        for limits in ([c.low for c in counts], [c.high for c in counts])
    )
    is_hit = np.array([c.low is None for c in counts]) | ((low <= truth) & (truth <= high))
    below, above = np.maximum(0, predicted - low), np.maximum(0, high - predicted)

    def draw(axes: Axes) -> None:
        end = 1.05 * max(truth.max(), high.max(), 1)
        axes.axline((0, 0), slope=1, color=INK, lw=0.8, alpha=0.5)
        # Images with equal counts are drawn beside each other.
        x = truth + np.random.default_rng(0).uniform(-0.15, 0.15, len(truth))
        for these, color in ((is_hit, _HIT), (~is_hit, _MISS)):
            bars = np.stack([below[these], above[these]])
            style: dict[str, Any] = {"fmt": "o", "ms": 3, "lw": 0.8, "color": color, "alpha": 0.7}
            axes.errorbar(x[these], predicted[these], bars, **style)
        axes.set(xlabel="true number of objects", ylabel="count with interval")
        if truth.max() > _WIDE_RANGE * max(1, np.median(truth)) and truth.max() > 50:
            axes.set_xscale("symlog", linthresh=1)
            axes.set_yscale("symlog", linthresh=1)
        else:
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(MaxNLocator("auto", integer=True))
        axes.set(xlim=(-0.4, end), ylim=(-0.4, end))

    return plot(draw, (4.2, 3.8))


def _reliability_plot(results: CountResults, column: int) -> Markup:
    """Observed share of correct detections by predicted probability, before and after."""
    samples, calibration = results.samples, results.calibration
    scores, labels, correct = (
        np.concatenate([getattr(sample, name) for sample in samples])
        for name in ("scores", "labels", "is_correct")
    )
    own = labels == column if column < len(calibration.slopes) else np.ones(len(labels), bool)
    before, after = scores[own], calibration.probabilities(scores[own], labels[own])
    correct = correct[own]

    def draw(pair: Sequence[Axes]) -> None:
        axes, below = pair
        axes.axline((0, 0), slope=1, color=INK, lw=0.8, alpha=0.5)
        edges = np.linspace(0, 1, _BINS + 1)
        for values, name, style in ((before, "score", "--"), (after, "calibrated", "-")):
            color = SHADES[0] if style == "-" else SHADES[2]
            bins = np.clip((values * _BINS).astype(int), 0, _BINS - 1)
            number = np.bincount(bins, minlength=_BINS)
            known = number > 0
            totals = (np.bincount(bins, weights, _BINS)[known] for weights in (values, correct))
            x, y = (total / number[known] for total in totals)
            axes.plot(x, y, style, marker="o", ms=3, color=color, label=name)
            below.stairs(number, edges, color=color, ls=style, lw=1.2)
        axes.set(ylabel="share of correct detections", xlim=(0, 1), ylim=(-0.02, 1.02))
        add_legend(axes, *axes.get_legend_handles_labels())
        below.set(xlabel="predicted probability", ylabel="detections")
        below.set_yscale("symlog", linthresh=1)
        below.set_ylim(bottom=0)

    ratios = {"height_ratios": [3, 1]}
    return plot(draw, (4.2, 4.2), nrows=2, sharex=True, gridspec_kw=ratios)
