"""Everything that is found out about a dataset, in one object."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from centernet.analysis.check.boxes import check_boxes
from centernet.analysis.check.ceiling import Ceiling, ceiling
from centernet.analysis.check.classes import check_splits, counts, gathered
from centernet.analysis.check.content import Content, read_contents, usable
from centernet.analysis.check.duplicates import check_duplicates
from centernet.analysis.check.files import check_files, check_orphans, check_sizes, read_files
from centernet.analysis.check.findings import ERROR, KINDS, SEVERITIES, Finding
from centernet.analysis.check.grid import Grid, assign_cells, check_grid
from centernet.data.formats import read_dataset
from centernet.errors import InputError
from centernet.models.base import DetectionModel
from centernet.training.auto_config import input_size_for, top_k_for

# Other resolutions to compare with, times the one that was asked for.
_FACTORS = (0.5, 0.75, 1.0, 1.5, 2.0)
# Images that each of them is compared on.
_COMPARED = 200


@dataclass(frozen=True)
class Step:
    """What another resolution would give, on some images of one split.

    Attributes:
        input_size: (height, width).
        exact: AP of the ground truth's maps.
        off_by_one: AP with every side one canvas pixel too far out.
        lost: objects that share a cell with a larger one of their class, in the whole split.
        below_cell: objects narrower than a cell, in the whole split.
    """

    input_size: tuple[int, int]
    exact: float
    off_by_one: float
    lost: int
    below_cell: int


@dataclass(frozen=True)
class Report:
    """What was found out.

    Attributes:
        dataset: its path.
        input_size: (height, width) in pixels.
        why_this_size: the reasons in a sentence; empty where it was given.
        contents: of the splits.
        grids: their objects on the canvas.
        ceilings: their best possible AP; None where there is no object.
        compared: name of the split that ``steps`` are about.
        steps: the resolutions, ascending.
        findings: of all splits; some of them where there are very many, see ``unlisted``.
    """

    dataset: Path
    input_size: tuple[int, int]
    why_this_size: str
    contents: list[Content]
    grids: list[Grid]
    ceilings: list[Ceiling | None]
    compared: str
    steps: list[Step]
    findings: list[Finding]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes by label."""
        return self.contents[0].names

    @property
    def works(self) -> bool:
        """Whether nothing was found that would break training."""
        return not any(finding.severity == ERROR for finding in self.findings)

    def count(self, severity: str) -> int:
        """How many findings are of that severity."""
        more = sum(n for kind, n in self.unlisted.items() if KINDS[kind].severity == severity)
        return more + sum(finding.severity == severity for finding in self.findings)

    @property
    def unlisted(self) -> Counter[str]:
        """By kind, how many findings there are beside ``findings``."""
        return sum((content.unlisted for content in self.contents), Counter())


def check(
    dataset: str | Path,
    *,
    input_size: tuple[int, int] | None = None,
    top_k: int | None = None,
    sample: int = 500,
    read_images: bool = True,
    progress: bool = False,
) -> Report:
    """Look at a dataset as training and validation would.

    Args:
        dataset: folder or file that :func:`centernet.data.formats.read_dataset` reads.
        input_size: (height, width) of the canvas in pixels; by default as training chooses it, see
            :func:`centernet.training.auto_config.input_size_for`.
        top_k: most detections per image; by default as training chooses it, see
            :func:`centernet.training.auto_config.top_k_for`.
        sample: images of each split on which the ceiling is measured; 0 for all.
        read_images: read every image file; without, what they hold is taken on trust.
        progress: show a bar while images are read.

    Raises:
        InputError: there is no dataset that could be looked at.
    """
    splits = read_dataset(dataset)
    contents = read_contents(splits.values())
    if not contents[0].names and not any(content.files for content in contents):
        raise InputError(f"{dataset} holds no images and no categories")
    files = {}
    if read_images:
        files = read_files(contents, progress=progress)
        check_files(contents, files)
        check_orphans(contents)
    check_duplicates(contents, files)
    for content in contents:
        check_sizes(content)
        check_boxes(content)
    why = ""
    if input_size is None:
        input_size, why = _input_size(contents[0])
    top_k = top_k or _top_k(contents[0])
    grids, ceilings = [], []
    for content in contents:
        grid = assign_cells(content, input_size, stride=DetectionModel.stride, top_k=top_k)
        check_grid(content, grid)
        grids.append(grid)
        ceilings.append(ceiling(content, grid, most=sample))
    # An annotation file is looked at for itself.
    alone = Path(dataset).suffix.lower() == ".json"
    check_splits(contents, needed=() if alone else ("train", "val"))
    compared = _compared(contents, ceilings)
    return Report(
        dataset=Path(dataset),
        input_size=input_size,
        why_this_size=why,
        contents=contents,
        grids=grids,
        ceilings=ceilings,
        compared=compared.split.name if compared else "",
        steps=_steps(compared, input_size, top_k) if compared else [],
        findings=gathered(contents),
    )


def _input_size(content: Content) -> tuple[tuple[int, int], str]:
    """What training on a split would choose, and why."""
    known = np.flatnonzero(np.isfinite(content.sizes).all(1))
    return input_size_for(
        usable(content, known).coco,
        stride=DetectionModel.stride,
        multiple=DetectionModel.size_multiple,
    )


def _top_k(content: Content) -> int:
    """Detections per image that training on a split would choose."""
    return top_k_for(np.bincount(content.image[content.objects]).max(initial=0))


def _compared(contents: Sequence[Content], ceilings: Sequence[Ceiling | None]) -> Content | None:
    """The validation split, or else the first with an object."""
    usable = [c for c, ceiling in zip(contents, ceilings, strict=True) if ceiling]
    named = [content for content in usable if content.split.name == "val"]
    return (named or usable or [None])[0]


def _steps(content: Content, input_size: tuple[int, int], top_k: int) -> list[Step]:
    multiple = DetectionModel.size_multiple
    sizes = dict.fromkeys(
        tuple(max(1, round(side * factor / multiple)) * multiple for side in input_size)
        for factor in _FACTORS
    )
    steps = []
    for size in sizes:
        grid = assign_cells(content, size, stride=DetectionModel.stride, top_k=top_k)
        best = ceiling(content, grid, most=_COMPARED)
        if best:
            numbers = best.exact["AP"], best.off_by_one["AP"]
            steps.append(Step(size, *numbers, int(grid.lost.sum()), int(grid.below_cell.sum())))
    return steps


def as_dict(report: Report) -> dict[str, Any]:
    """All of it in plain values, for JSON."""
    return {
        "dataset": str(report.dataset),
        "input_size": list(report.input_size),
        "top_k": report.grids[0].top_k,
        "works": report.works,
        "counts": {severity: report.count(severity) for severity in SEVERITIES},
        "classes": list(report.names),
        "splits": {
            content.split.name: _split(content, grid, best)
            for content, grid, best in zip(
                report.contents, report.grids, report.ceilings, strict=True
            )
        },
        "resolutions": {
            "split": report.compared,
            "steps": [_plain(vars(step)) | {"input_size": list(step.input_size)}
                      for step in report.steps],
        },
        "findings": [finding.as_dict() for finding in report.findings],
        "unlisted": dict(report.unlisted),
    }  # fmt: skip


def _split(content: Content, grid: Grid, best: Ceiling | None) -> dict[str, Any]:
    sides = np.sqrt(grid.size_cells.prod(1))
    return {
        "images": len(content.files),
        "objects": dict(zip(content.names, counts(content).tolist(), strict=True)),
        "regions": int((content.usable & content.region).sum()),
        "median_cells": float(np.median(sides)) if len(sides) else None,
        "below_cell": int(grid.below_cell.sum()),
        "lost_to_collisions": int(grid.lost.sum()),
        "cell_shared_with_another_class": int(grid.shared.sum()),
        "images_over_top_k": len(grid.crowded),
        "ceiling": _plain(best.exact) if best else None,
        "off_by_one_pixel": _plain(best.off_by_one) if best else None,
        "ceiling_images": best.images if best else 0,
    }


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """NaN as None."""
    return {
        name: [None if v != v else v for v in value]
        if isinstance(value, list)
        else (None if value != value else value)
        for name, value in values.items()
    }
