"""The report of a training run as an HTML page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from centernet.analysis import remedies
from centernet.analysis.confusion import IOU_OF_POINTS
from centernet.analysis.html import render
from centernet.analysis.inspector import ImageAnalysis, InspectorPage
from centernet.analysis.inspector.error_types import count_errors
from centernet.analysis.report import plots
from centernet.analysis.report.best_thresholds import BestThreshold, confusion_counts
from centernet.analysis.report.count_section import count_section
from centernet.analysis.report.counts import CountResults
from centernet.analysis.report.worst_errors import (
    ErrorExample,
    crop_error,
    worst_false_positives,
    worst_missed_objects,
)
from centernet.evaluation.metrics import Evaluation
from centernet.evaluation.points import PointEvaluation
from centernet.inference.drawing import class_color
from centernet.inference.thresholds import BEST, per_class_thresholds

INSPECTOR_FILE = "inspect.html"
# The report computes these of the classes itself.
_OWN_COLUMNS = ("precision", "recall", "F1", "threshold")


@dataclass(frozen=True)
class TrainingReport:
    """The results of a training run on its validation images.

    Attributes:
        run: folder of the run.
        class_names: class names by label.
        analyses: results for all validation images.
        evaluation: COCO metrics on the same images.
        best: best threshold by label; None for a class without one.
        inspector: the page that pictures link to; empty for a network without heatmaps.
        counts: the calibration of counts; None without annotated images.
    """

    run: Path
    class_names: Sequence[str]
    analyses: Sequence[ImageAnalysis]
    evaluation: Evaluation
    best: Sequence[BestThreshold | None]
    inspector: InspectorPage
    counts: CountResults | None = None

    @property
    def thresholds(self) -> NDArray:
        """(C,) score threshold by label: the best one, or the default for a class without one."""
        best = [found.threshold if found else None for found in self.best]
        return per_class_thresholds(BEST, best, self.class_names)


def render_report_page(report: TrainingReport) -> Iterator[str]:
    """The page as pieces of HTML."""
    metrics, per_class = report.evaluation.metrics, report.evaluation.per_class
    truths = [analysis.truth for analysis in report.analyses if analysis.truth]
    numbers = {name: _number(metrics[name]) for name in report.evaluation.headline}
    numbers["validation images"] = f"{len(report.analyses):,}"
    numbers["objects"] = f"{sum(len(truth.objects) for truth in truths):,}"
    return render(
        "analysis/report/report_page.html",
        run=report.run.name,
        inspector=INSPECTOR_FILE if len(report.inspector) else None,
        numbers=numbers,
        limit_note=report.evaluation.note,
        criterion=report.evaluation.criterion,
        curves=_curves(report.run / "metrics.csv"),
        columns=[*_names(per_class[0]), "best threshold", "precision", "recall", "F1"],
        classes=_classes(report),
        matrices=_matrices(report),
        counts=report.counts
        and count_section(report.counts, report.class_names, report.thresholds),
        errors=_error_counts(report),
        missed_objects=_gallery(report, worst_missed_objects(report.analyses, report.thresholds)),
        false_positives=_gallery(report, worst_false_positives(report.analyses, report.thresholds)),
    )


def _curves(path: Path) -> dict[str, Markup]:
    """Plots by title; none without ``metrics.csv``."""
    metrics = plots.read_metrics(path) if path.is_file() else {}
    if not metrics:
        return {}
    return {
        "Losses": plots.losses(metrics),
        "Average precision": plots.precision_by_epoch(metrics),
        "Learning rate": plots.learning_rate(metrics),
    }


def _classes(report: TrainingReport) -> list[dict[str, Any]]:
    """Name, color and numbers of each annotated class."""
    label_of = {name: label for label, name in enumerate(report.class_names)}
    rows = []
    for row in report.evaluation.per_class:
        name, values = row["class"], [row[column] for column in _names(row)]
        label = label_of[name]
        best = report.best[label]
        values += [best.threshold, best.precision, best.recall, best.f1] if best else [np.nan] * 4
        rows.append(
            {"name": name, "color": class_color(label), "values": [_number(v) for v in values]}
        )
    return rows


def _names(row: dict[str, Any]) -> list[str]:
    """The columns of a class that the report takes from the evaluation."""
    return [name for name in row if name not in ("class", *_OWN_COLUMNS)]


def _matrices(report: TrainingReport) -> dict[str, Markup]:
    has_points = isinstance(report.evaluation, PointEvaluation)
    iou = IOU_OF_POINTS if has_points else 0.5
    counts = confusion_counts(report.analyses, report.thresholds, report.class_names, iou)
    names = [row["class"] for row in report.evaluation.per_class]
    objects = [row["objects"] for row in report.evaluation.per_class]
    return {
        "Precision and recall": plots.precision_recall(
            report.evaluation.precision, names, objects, report.evaluation.criterion
        ),
        "Confusion matrix": plots.confusion_matrix(counts, report.class_names),
    }


def _error_counts(report: TrainingReport) -> list[tuple[str, str, int, str]]:
    """Rows of kind, error type, number, and what to try."""
    missed, false = [], []
    for analysis in report.analyses:
        missed += [error for _, error in analysis.missed_objects(report.thresholds)]
        false += [error for _, error in analysis.false_positives(report.thresholds)]
    return [
        (kind, str(error), number, tries[error])
        for kind, errors, tries in (
            ("missed object", missed, remedies.MISSED_OBJECTS),
            ("false positive", false, remedies.FALSE_POSITIVES),
        )
        for error, number in count_errors(errors).items()
    ]


def _gallery(report: TrainingReport, errors: Sequence[ErrorExample]) -> list[dict[str, Any]]:
    return [
        {
            "picture": crop_error(report.analyses, error),
            "name": report.class_names[error.label],
            "score": f" {error.score:.2f}" if error.score else "",
            "error": error.error,
            "image": report.analyses[error.image].example.name,
            "place": report.inspector.index_of(error.image),
            "kind": error.kind,
            "index": error.index,
        }
        for error in errors
    ]


def _number(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    return "-" if np.isnan(value) else f"{value:.3f}"
