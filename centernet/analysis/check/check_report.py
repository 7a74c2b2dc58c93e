"""The result of checking a dataset."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from centernet.analysis.check.ceiling import Ceiling
from centernet.analysis.check.cells import CellAssignment
from centernet.analysis.check.classes import objects_by_class
from centernet.analysis.check.findings import ERROR, KINDS, SEVERITIES, Finding
from centernet.analysis.check.split_arrays import SplitArrays
from centernet.sizes import format_size
from centernet.training.auto_config import InputChoice


@dataclass(frozen=True)
class ResolutionResult:
    """The ceiling at another input size, measured on some images of one split.

    Attributes:
        input_size: (height, width) in pixels.
        exact: AP of the decoded ground truth.
        off_by_one: AP with every box side one input pixel too far out.
        occluded: objects that share a cell with a larger one of their class, in all images.
        below_cell: objects narrower than a cell, in all images.
    """

    input_size: tuple[int, int]
    exact: float
    off_by_one: float
    occluded: int
    below_cell: int


@dataclass(frozen=True)
class CheckReport:
    """The result of checking a dataset.

    Attributes:
        dataset: path of the dataset.
        input_size: (height, width) of the network input in pixels.
        recommended: the input that training chooses for this dataset.
        splits: arrays of each split, train first.
        assignments: cells of each split's objects.
        ceilings: best possible AP of each split; None for a split without objects.
        compared: name of the split on which ``resolutions`` were measured.
        resolutions: results at several input sizes, ascending.
        findings: findings of all splits; only the first of very frequent kinds, see ``unlisted``.
    """

    dataset: Path
    input_size: tuple[int, int]
    recommended: InputChoice
    splits: list[SplitArrays]
    assignments: list[CellAssignment]
    ceilings: list[Ceiling | None]
    compared: str
    resolutions: list[ResolutionResult]
    findings: list[Finding]

    @property
    def names(self) -> tuple[str, ...]:
        """Class names by label."""
        return self.splits[0].names

    @property
    def is_trainable(self) -> bool:
        """Whether there is no error, so that training can run."""
        return not any(finding.severity == ERROR for finding in self.findings)

    @property
    def unlisted(self) -> Counter[str]:
        """Number of findings by kind that are not in ``findings``."""
        return sum((arrays.unlisted for arrays in self.splits), Counter())

    def count(self, severity: str) -> int:
        """Number of findings of a severity."""
        more = sum(n for kind, n in self.unlisted.items() if KINDS[kind].severity == severity)
        return more + sum(finding.severity == severity for finding in self.findings)

    def count_kinds(self, severity: str) -> int:
        """Number of kinds of findings of a severity."""
        kinds = {finding.kind for finding in self.findings} | self.unlisted.keys()
        return sum(KINDS[kind].severity == severity for kind in kinds)


def class_sizes(report: CheckReport) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Box sizes of each class over all splits.

    Returns:
        By label the median of sqrt(width x height) in cells, NaN for a class without objects, and
        the share of objects that are narrower than a cell.
    """
    label = np.concatenate(
        [
            arrays.label[assignment.objects]
            for arrays, assignment in zip(report.splits, report.assignments, strict=True)
        ]
    )
    cells = np.concatenate([np.sqrt(a.size_cells.prod(1)) for a in report.assignments])
    below = np.concatenate([a.below_cell for a in report.assignments])
    order = np.argsort(label, kind="stable")
    starts = np.searchsorted(label[order], np.arange(1, len(report.names)))
    of_class = np.split(order, starts)
    return (
        np.array([np.median(cells[own]) if len(own) else np.nan for own in of_class]),
        np.array([below[own].mean() if len(own) else 0.0 for own in of_class]),
    )


def as_dict(report: CheckReport) -> dict[str, Any]:
    """The report as JSON values."""
    splits = zip(report.splits, report.assignments, report.ceilings, strict=True)
    return {
        "dataset": str(report.dataset),
        "input_size": format_size(report.input_size),
        "recommended_size": format_size(report.recommended.size),
        "recommended_tile": report.recommended.tile,
        "why_recommended": report.recommended.reason,
        "top_k": report.assignments[0].top_k,
        "works": report.is_trainable,
        "counts": {severity: report.count(severity) for severity in SEVERITIES},
        "classes": list(report.names),
        "splits": {
            arrays.split.name: _split_as_dict(arrays, assignment, best)
            for arrays, assignment, best in splits
        },
        "resolutions": {
            "split": report.compared,
            "steps": [_resolution_as_dict(result) for result in report.resolutions],
        },
        "findings": [finding.as_dict() for finding in report.findings],
        "unlisted": dict(report.unlisted),
    }


def _split_as_dict(
    arrays: SplitArrays, assignment: CellAssignment, best: Ceiling | None
) -> dict[str, Any]:
    sides = np.sqrt(assignment.size_cells.prod(1))
    return {
        "images": len(arrays.files),
        "objects": dict(zip(arrays.names, objects_by_class(arrays).tolist(), strict=True)),
        "regions": int((arrays.usable & arrays.region).sum()),
        "points": int((arrays.usable & arrays.point).sum()),
        "median_cells": float(np.median(sides)) if len(sides) else None,
        "below_cell": int(assignment.below_cell.sum()),
        "lost_to_collisions": int(assignment.occluded.sum()),
        "cell_shared_with_another_class": int(assignment.size_conflict.sum()),
        "images_over_top_k": len(assignment.crowded),
        "ceiling": _without_nan(best.exact) if best else None,
        "off_by_one_pixel": _without_nan(best.off_by_one) if best else None,
        "ceiling_images": best.images if best else 0,
    }


def _resolution_as_dict(result: ResolutionResult) -> dict[str, Any]:
    numbers = {"exact": result.exact, "off_by_one": result.off_by_one}
    counts = {"lost": result.occluded, "below_cell": result.below_cell}
    return {"input_size": format_size(result.input_size)} | _without_nan(numbers) | counts


def _without_nan(values: dict[str, Any]) -> dict[str, Any]:
    """NaN, which JSON cannot represent, replaced by None."""
    return {
        name: [None if v != v else v for v in value]
        if isinstance(value, list)
        else (None if value != value else value)
        for name, value in values.items()
    }
