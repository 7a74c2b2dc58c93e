"""How notebooks show the results of training and evaluation: HTML fragments."""

from typing import TYPE_CHECKING, Any

import numpy as np

from centernet.analysis.html import render
from centernet.analysis.report import plots

if TYPE_CHECKING:
    from centernet.api.evaluation_result import ConfusionMatrix, EvaluationResult
    from centernet.api.run import Run


def run_html(run: "Run") -> str:
    """The best metrics of a run, and the curves of AP and loss by epoch."""
    curves: list[Any] = []
    path = run.folder / "metrics.csv"
    if path.is_file():
        table = plots.read_metrics(path)
        curves = [draw(table) for draw in (plots.precision_by_epoch, plots.losses)]
    headline = {
        name: value
        for name, value in run.metrics.items()
        if name.startswith(("AP", "AR", "F1")) and isinstance(value, float)
    }
    return "".join(
        render(
            "api/run.html",
            folder=str(run.folder),
            best=_formatted(headline),
            epoch=run.metrics.get("epoch"),
            epochs=len(run.history),
            folds=[str(fold.folder) for fold in run.folds],
            curves=curves,
            report=run.report,
        )
    )


def evaluation_html(result: "EvaluationResult") -> str:
    """The metrics, the table of the classes, and the confusion matrix."""
    confusion = result.confusion()
    return "".join(
        render(
            "api/evaluation.html",
            source=result.source,
            images=len(result.images),
            metrics=_formatted(result.metrics),
            columns=list(result.per_class[0]) if result.per_class else [],
            rows=[list(_formatted(row).values()) for row in result.per_class],
            note=result.note,
            caption=confusion.caption,
            matrix=plots.confusion_matrix(confusion.counts, confusion.class_names),
        )
    )


def confusion_html(matrix: "ConfusionMatrix") -> str:
    """The picture of a confusion matrix."""
    svg = plots.confusion_matrix(matrix.counts, matrix.class_names)
    return "".join(render("api/confusion.html", caption=matrix.caption, matrix=svg))


def _formatted(values: dict[str, Any]) -> dict[str, str]:
    """Numbers as text; an unknown one as a dash."""
    return {
        name: ("-" if np.isnan(value) else f"{value:.3f}")
        if isinstance(value, float)
        else str(value)
        for name, value in values.items()
    }
