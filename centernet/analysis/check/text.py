"""The report as one page of text."""

import os
import textwrap
from collections.abc import Sequence
from itertools import islice

import numpy as np

from centernet.analysis.check import advice
from centernet.analysis.check.classes import counts
from centernet.analysis.check.findings import KINDS, Finding, by_kind
from centernet.analysis.check.report import Report
from centernet.data.annotations import truncate_list

_WIDTH = 100
_MOST_CLASSES, _MOST_EXAMPLES = 12, 2


def page(report: Report) -> str:
    """The report in at most some sixty lines."""
    height, width = report.input_size
    stride = report.grids[0].stride
    head = [
        f"{report.dataset}: {advice.verdict(report)}",
        f"images are scaled to fit {height}x{width}: {height // stride}x{width // stride} cells",
        *_wrapped(report.why_this_size),
    ]
    parts = [head, _findings(report), _classes(report), _ceilings(report), _steps(report)]
    lines = [line for part in parts if part for line in [*part, ""]]
    return "\n".join(lines)


def _findings(report: Report) -> list[str]:
    lines = []
    for kind, found in by_kind(report.findings).items():
        splits = ", ".join(dict.fromkeys(finding.split for finding in found))
        severity, title, _ = KINDS[kind]
        count = len(found) + report.unlisted[kind]
        lines.append(f"{severity:<8} {count:>6,}  {title} ({splits})")
        for finding in islice(found, _MOST_EXAMPLES if severity != "note" else 1):
            what = finding.what.replace(f"{report.dataset}{os.sep}", "")
            lines.append(_cut(f"{'':17}{_where(finding)}{what}".rstrip(": ")))
    return lines or ["nothing was found to be wrong"]


def _where(finding: Finding) -> str:
    """File and id; JSON and the page have the image's too."""
    of_image = finding.annotation_id is None and finding.image_id is not None
    ids = [f"image {finding.image_id}"] if of_image else []
    ids += [f"annotation {finding.annotation_id}"] if finding.annotation_id is not None else []
    parts = ([finding.file] if finding.file else []) + ids
    return f"{', '.join(parts)}: " if parts else ""


def _classes(report: Report) -> list[str]:
    """Objects of each class by split, and how large they are."""
    per_split = np.stack([counts(content) for content in report.contents])
    order = np.argsort(-per_split.sum(0), kind="stable")
    size, below = sizes(report)
    splits = [content.split.name for content in report.contents]
    rows = [["class", *splits, "cells", "below one"]]
    for label in order[:_MOST_CLASSES]:
        cells = "-" if np.isnan(size[label]) else f"{size[label]:.1f}"
        numbers = [f"{n:,}" for n in per_split[:, label]]
        rows.append([report.names[label], *numbers, cells, f"{below[label]:.0%}"])
    images = [f"{len(content.files):,}" for content in report.contents]
    rows.append(["images", *images, "", ""])
    lines = aligned(rows)
    if len(order) > _MOST_CLASSES:
        rest = [report.names[label] for label in order[_MOST_CLASSES:]]
        lines.insert(-1, f"and {len(rest)} more: {truncate_list(rest)}")
    return lines


def sizes(report: Report) -> tuple[np.ndarray, np.ndarray]:
    """By class: the median of sqrt(width x height) in cells, and the share narrower than one."""
    label = np.concatenate(
        [c.label[g.objects] for c, g in zip(report.contents, report.grids, strict=True)]
    )
    cells = np.concatenate([np.sqrt(grid.size_cells.prod(1)) for grid in report.grids])
    below = np.concatenate([grid.below_cell for grid in report.grids])
    order = np.argsort(label, kind="stable")
    starts = np.searchsorted(label[order], np.arange(1, len(report.names)))
    chosen = np.split(order, starts)
    return (
        np.array([np.median(cells[own]) if len(own) else np.nan for own in chosen]),
        np.array([below[own].mean() if len(own) else 0.0 for own in chosen]),
    )


def _ceilings(report: Report) -> list[str]:
    rows = [["ceiling", "AP", "AP50", "AP75", "one pixel off", "on images"]]
    for content, best in zip(report.contents, report.ceilings, strict=True):
        if best:
            numbers = [f"{best.exact[name]:.3f}" for name in ("AP", "AP50", "AP75")]
            off = f"{best.off_by_one['AP']:.3f}"
            rows.append([content.split.name, *numbers, off, f"{best.images:,}"])
    limits = [line for text in advice.limits(report) for line in _wrapped(f"- {text}")]
    return [*aligned(rows), "what limits the ceiling:", *limits, *_wrapped(advice.ONE_PIXEL)]


def _steps(report: Report) -> list[str]:
    if not report.steps:
        return []
    rows = [[f"size ({report.compared})", "ceiling", "one pixel off", "collisions", "below a cell"]]
    for step in report.steps:
        mark = "*" if step.input_size == report.input_size else " "
        rows.append(
            [
                mark + advice.size_name(step.input_size),
                f"{step.exact:.3f}",
                f"{step.off_by_one:.3f}",
                f"{step.lost:,}",
                f"{step.below_cell:,}",
            ]
        )
    return [*aligned(rows), *_wrapped(advice.resolution(report))]


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows in columns, the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, subsequent_indent="  ")


def _cut(line: str) -> str:
    return line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…"
