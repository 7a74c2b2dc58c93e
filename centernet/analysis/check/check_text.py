"""The check report as text for the terminal."""

import os
import textwrap
from collections.abc import Sequence
from itertools import islice

import numpy as np

from centernet.analysis.check import advice
from centernet.analysis.check.check_report import CheckReport, class_sizes
from centernet.analysis.check.classes import objects_by_class
from centernet.analysis.check.findings import KINDS, Finding, group_by_kind
from centernet.data.annotations import truncate_list

_WIDTH = 100
_MAX_CLASSES, _MAX_EXAMPLES = 12, 2


def format_text(report: CheckReport) -> str:
    """The report in about sixty lines."""
    height, width = report.input_size
    stride = report.assignments[0].stride
    head = [
        f"{report.dataset}: {advice.verdict(report)}",
        f"input size {height}x{width}: {height // stride}x{width // stride} cells",
        *_wrap(report.why_this_size),
    ]
    parts = [head, _findings(report), _classes(report), _ceilings(report), _resolutions(report)]
    lines = [line for part in parts if part for line in [*part, ""]]
    return "\n".join(lines)


def align_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines with aligned columns, the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _findings(report: CheckReport) -> list[str]:
    lines = []
    for kind, found in group_by_kind(report.findings).items():
        splits = ", ".join(dict.fromkeys(finding.split for finding in found))
        severity, title, _ = KINDS[kind]
        count = len(found) + report.unlisted[kind]
        lines.append(f"{severity:<8} {count:>6,}  {title} ({splits})")
        for finding in islice(found, _MAX_EXAMPLES if severity != "note" else 1):
            what = finding.what.replace(f"{report.dataset}{os.sep}", "")
            lines.append(_truncate(f"{'':17}{_where(finding)}{what}".rstrip(": ")))
    return lines or ["no findings"]


def _where(finding: Finding) -> str:
    """File name and id; the JSON file and the page also have the image's id of an annotation."""
    of_image = finding.annotation_id is None and finding.image_id is not None
    ids = [f"image {finding.image_id}"] if of_image else []
    ids += [f"annotation {finding.annotation_id}"] if finding.annotation_id is not None else []
    parts = ([finding.file] if finding.file else []) + ids
    return f"{', '.join(parts)}: " if parts else ""


def _classes(report: CheckReport) -> list[str]:
    """Number of objects of each class by split, and their sizes."""
    per_split = np.stack([objects_by_class(arrays) for arrays in report.splits])
    order = np.argsort(-per_split.sum(0), kind="stable")
    size, below = class_sizes(report)
    splits = [arrays.split.name for arrays in report.splits]
    rows = [["class", *splits, "cells", "below a cell"]]
    for label in order[:_MAX_CLASSES]:
        cells = "-" if np.isnan(size[label]) else f"{size[label]:.1f}"
        numbers = [f"{n:,}" for n in per_split[:, label]]
        rows.append([report.names[label], *numbers, cells, f"{below[label]:.0%}"])
    images = [f"{len(arrays.files):,}" for arrays in report.splits]
    rows.append(["images", *images, "", ""])
    lines = align_columns(rows)
    if len(order) > _MAX_CLASSES:
        rest = [report.names[label] for label in order[_MAX_CLASSES:]]
        lines.insert(-1, f"and {len(rest)} more: {truncate_list(rest)}")
    return lines


def _ceilings(report: CheckReport) -> list[str]:
    rows = [["ceiling", "AP", "AP50", "AP75", "one pixel off", "images"]]
    for arrays, best in zip(report.splits, report.ceilings, strict=True):
        if best:
            numbers = [f"{best.exact[name]:.3f}" for name in ("AP", "AP50", "AP75")]
            off = f"{best.off_by_one['AP']:.3f}"
            rows.append([arrays.split.name, *numbers, off, f"{best.images:,}"])
    limits = [line for text in advice.ceiling_limits(report) for line in _wrap(f"- {text}")]
    return [*align_columns(rows), "what limits the ceiling:", *limits, *_wrap(advice.ONE_PIXEL_OFF)]


def _resolutions(report: CheckReport) -> list[str]:
    if not report.resolutions:
        return []
    rows = [[f"size ({report.compared})", "ceiling", "one pixel off", "collisions", "below a cell"]]
    for result in report.resolutions:
        mark = "*" if result.input_size == report.input_size else " "
        rows.append(
            [
                mark + advice.format_size(result.input_size),
                f"{result.exact:.3f}",
                f"{result.off_by_one:.3f}",
                f"{result.occluded:,}",
                f"{result.below_cell:,}",
            ]
        )
    return [*align_columns(rows), *_wrap(advice.advised_size(report))]


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, subsequent_indent="  ")


def _truncate(line: str) -> str:
    return line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…"
