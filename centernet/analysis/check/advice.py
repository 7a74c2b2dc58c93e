"""Conclusions from a check: the verdict, the recommended image size, limits of the ceiling."""

import numpy as np

from centernet.analysis.check.check_report import CheckReport
from centernet.analysis.check.findings import SEVERITIES
from centernet.sizes import format_size

ONE_PIXEL_OFF = (
    "one pixel off: the AP if every side of every box were one input pixel too far out, which "
    "shows how precise boxes must be at this size"
)


def verdict(report: CheckReport) -> str:
    """One line: whether training can run, and the numbers of kinds of findings."""
    ready = "ready for training" if report.is_trainable else "not ready for training"
    kinds = [_kinds(report.count_kinds(severity), severity) for severity in SEVERITIES]
    return f"{ready}: {', '.join(kinds)}"


def recommendation(report: CheckReport) -> str:
    """The image size that training with ``image_size: auto`` chooses, and the reason."""
    chosen = report.recommended
    options = "data.image_size auto" + (", data.tile auto" if chosen.tile else "")
    return f"recommended image size {format_size(chosen.size)} ({options}): {chosen.reason}"


def ceiling_limits(report: CheckReport) -> list[str]:
    """One line per split with the causes of a ceiling below 1."""
    lines = []
    for arrays, assignment, best in zip(
        report.splits, report.assignments, report.ceilings, strict=True
    ):
        if best is None:
            continue
        exceeding = sum(f.kind == "box-reaches-over" for f in arrays.findings)
        exceeding += arrays.unlisted["box-reaches-over"]
        per_image = np.bincount(arrays.image[assignment.objects], minlength=1)
        causes = (
            (int(assignment.occluded.sum()), "in one cell with a larger object of their class"),
            (
                int(assignment.size_conflict.sum()),
                "in one cell with a larger object of another class, whose size they get",
            ),
            (int((per_image - assignment.top_k).clip(0).sum()), f"beyond top_k {assignment.top_k}"),
            (exceeding, "with a box that exceeds the image"),
        )
        total = len(assignment.objects)
        found = [f"{count} of {total} objects {cause}" for count, cause in causes if count]
        text = "; ".join(found) or f"nothing: each of the {total} objects has its own cell"
        lines.append(f"{arrays.split.name}: {text}")
    return lines


def _kinds(count: int, severity: str) -> str:
    """``no errors``, ``1 kind of error`` or ``2 kinds of errors``."""
    if not count:
        return f"no {severity}s"
    return f"{count} kind{'s' if count > 1 else ''} of {severity}{'s' if count > 1 else ''}"
