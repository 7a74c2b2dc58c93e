"""The report as a page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from centernet.analysis.inspector.look import Findings
from centernet.analysis.inspector.page import Page, template
from centernet.analysis.inspector.reasons import count_reasons
from centernet.analysis.report import plots
from centernet.analysis.report.mistakes import Mistake, picture, worst_alarms, worst_misses
from centernet.analysis.report.scores import Best, confusion
from centernet.evaluation.coco import Evaluation
from centernet.inference.drawing import class_color
from centernet.inference.thresholds import BEST, per_class_thresholds

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Report:
    """What there is to report.

    Attributes:
        run: folder of the training.
        class_names: by label.
        category_ids: of the annotations by label; None for a class that they do not have.
        findings: of all validation images.
        evaluation: of the same.
        best: threshold of each class.
        inspector: the page that pictures lead to; empty for a network without heatmaps.
    """

    run: Path
    class_names: Sequence[str]
    category_ids: Sequence[int | None]
    findings: Sequence[Findings]
    evaluation: Evaluation
    best: Sequence[Best | None]
    inspector: Page

    @property
    def thresholds(self) -> NDArray:
        """(C,) by label."""
        best = [one and one.threshold for one in self.best]
        return per_class_thresholds(BEST, best, self.class_names)


def render(report: Report) -> str:
    """The page as HTML that needs no other file."""
    parts = [_head(report), _curves(report), _classes(report), _confusion(report)]
    for title, about, mistakes in (
        (
            "Worst misses",
            "Objects that no peak finds, or but a faint one; the largest first.",
            worst_misses(report.findings, report.thresholds),
        ),
        (
            "Worst false alarms",
            "False boxes that the detector is most sure of. Some may be objects that nobody "
            "annotated.",
            worst_alarms(report.findings, report.thresholds),
        ),
    ):
        parts.append(f"<h2>{title}</h2><p>{about}</p>{_gallery(report, mistakes)}")
    return template(_FOLDER, report.run.name).replace("<!-- content -->", "\n".join(parts))


def _head(report: Report) -> str:
    metrics = report.evaluation.metrics
    figures = {
        "AP": _number(metrics["AP"]),
        "AP50": _number(metrics["AP50"]),
        "AP75": _number(metrics["AP75"]),
        "validation images": len(report.findings),
        "objects": sum(len(found.objects) for found in report.findings),
    }
    items = "".join(
        f"<li><b>{value}</b><span>{name}</span></li>" for name, value in figures.items()
    )
    inspector = (
        '<a href="inspect.html">Heatmaps, peaks, and why objects are missed</a>, image by image. '
        if len(report.inspector)
        else ""
    )
    return (
        f"<h1>{escape(report.run.name)}</h1>"
        f"<p>{inspector}Weights: <code>best.ckpt</code>, options: "
        f'<a href="config.yaml">config.yaml</a>.</p><ul class="figures">{items}</ul>'
    )


def _curves(report: Report) -> str:
    path = report.run / "metrics.csv"
    metrics = plots.read_metrics(path) if path.is_file() else {}
    if not metrics:
        return ""
    drawn = {
        "Losses": plots.losses(metrics),
        "Average precision": plots.precision_by_epoch(metrics),
        "Learning rate": plots.learning_rate(metrics),
    }
    return f'<h2>Training</h2><div class="plots">{_figures(drawn)}</div>'


def _figures(drawn: dict[str, str]) -> str:
    return "".join(
        f"<figure><figcaption>{title}</figcaption>{svg}</figure>" for title, svg in drawn.items()
    )


def _classes(report: Report) -> str:
    """One row per class of the annotations."""
    columns = tuple(report.evaluation.per_class[0])
    titles = (*columns, "best threshold", "precision", "recall", "F1")
    label_of = {report.class_names[i]: i for i in range(len(report.class_names))}
    rows = []
    for row in report.evaluation.per_class:
        label = label_of[row["class"]]
        best = report.best[label]
        there = (best.threshold, best.precision, best.recall, best.f1) if best else (math.nan,) * 4
        color = f'<i class="swatch" style="background:{class_color(label)}"></i>'
        cells = [color + escape(row["class"]), *map(_number, [row[c] for c in columns[1:]])]
        rows.append([*cells, *map(_number, there)])
    return (
        "<h2>Classes</h2><p>Best is the threshold where F1 is highest; "
        "<code>--threshold best</code> uses it for each class, and so does all below. Precision, "
        f"recall and F1 are those at that threshold, with an overlap of at least 0.5.</p>"
        f'<div class="scroll">{_table(titles, rows)}</div>'
    )


def _table(titles: Sequence[str], rows: Sequence[Sequence[Any]], kind: str = "") -> str:
    head = "".join(f"<th>{title}</th>" for title in titles)
    body = "".join("<tr>" + "".join(f"<td>{c}</td>" for c in row) + "</tr>" for row in rows)
    return f"<table class='{kind}'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _confusion(report: Report) -> str:
    counts = confusion(report.findings, report.thresholds, report.class_names)
    names = [row["class"] for row in report.evaluation.per_class]
    objects = [row["objects"] for row in report.evaluation.per_class]
    drawn = {
        "Precision and recall": plots.precision_recall(report.evaluation.precision, names, objects),
        "Confusion": plots.confusion_matrix(counts, report.class_names),
    }
    return (
        f'<h2>Right and wrong</h2><div class="plots">{_figures(drawn)}</div>'
        f"<h2>Why</h2>{_reasons(report)}"
    )


def _reasons(report: Report) -> str:
    missed, false = [], []
    for found in report.findings:
        scores, thresholds = found.peaks.scores, report.thresholds
        missed += [
            verdict.at(thresholds[label], scores)
            for verdict, label in zip(found.missed, found.objects.labels, strict=True)
        ]
        above = scores >= thresholds[found.peaks.labels]
        false += [v.reason for v, seen in zip(found.false, above, strict=True) if seen]
    rows = [("missed", *item) for item in count_reasons(missed).items()]
    rows += [("false", *item) for item in count_reasons(false).items()]
    if not rows:
        return "<p>Nothing is missed, and no box is false.</p>"
    return f'<div class="scroll">{_table(("", "reason", "times"), rows, "why")}</div>'


def _gallery(report: Report, mistakes: Sequence[Mistake]) -> str:
    if not mistakes:
        return "<p>None.</p>"
    return f'<ul class="mistakes">{"".join(_item(report, m) for m in mistakes)}</ul>'


def _item(report: Report, mistake: Mistake) -> str:
    name = escape(report.class_names[mistake.label])
    score = f" {mistake.score:.2f}" if mistake.score else ""
    image = escape(report.findings[mistake.image].example.name)
    inside = (
        f'<img src="{picture(report.findings, mistake)}" alt=""><b>{name}{score}</b>'
        f"<small title='{mistake.reason}'>{mistake.reason}</small><small>{image}</small>"
    )
    place = report.inspector.place_of(mistake.image)
    if place is None:
        return f"<li><div>{inside}</div></li>"
    link = f"inspect.html#image={place}&amp;{mistake.kind}={mistake.index}"
    return f'<li><a href="{link}">{inside}</a></li>'


def _number(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    return "-" if np.isnan(value) else f"{value:.3f}"
