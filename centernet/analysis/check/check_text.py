"""The check report as text for the terminal."""

import math
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
from centernet.sizes import format_size

_WIDTH = 80
_MAX_CLASSES, _MAX_EXAMPLES = 12, 2
_MAX_NAME = 40  # characters of a file or class name
_INDENT = " " * 17  # of the lines below the title of a finding


def format_text(report: CheckReport) -> str:
    """The report in lines of at most 80 characters, unless a dataset has many splits."""
    stride = report.assignments[0].stride
    cells = format_size([side // stride for side in report.input_size])
    head = [
        *_wrap(f"{report.dataset}: {advice.verdict(report)}"),
        f"input size {format_size(report.input_size)}: {cells} cells",
        *_wrap(advice.recommendation(report)),
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
        severity, title, remedy = KINDS[kind]
        count = len(found) + report.unlisted[kind]
        lines += _wrap(f"{severity:<8} {count:>6,}  {title} ({splits})", _INDENT)
        lines += _wrap(f"{_INDENT}{remedy}", _INDENT)
        for finding in islice(found, _MAX_EXAMPLES if severity != "note" else 1):
            what = finding.what.replace(f"{report.dataset}{os.sep}", "")
            example = _shorten_words(f"{_where(finding)}{what}".rstrip(": "))
            lines += _wrap(f"{_INDENT}- {example}", f"{_INDENT}  ", max_lines=3)
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
        name = _shorten(report.names[label])
        rows.append([name, *numbers, cells, f"{below[label]:.0%}"])
    images = [f"{len(arrays.files):,}" for arrays in report.splits]
    rows.append(["images", *images, "", ""])
    lines = align_columns(rows)
    if len(order) > _MAX_CLASSES:
        rest = [_shorten(report.names[label]) for label in order[_MAX_CLASSES:]]
        lines[-1:-1] = _wrap(f"and {len(rest)} more: {truncate_list(rest)}")
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
    columns = ["ceiling", "one pixel off", "collisions", "below a cell", "computation"]
    rows = [[f" size ({report.compared})", *columns]]
    for result in report.resolutions:
        mark = "*" if result.input_size == report.input_size else " "
        rows.append(
            [
                mark + format_size(result.input_size),
                f"{result.exact:.3f}",
                f"{result.off_by_one:.3f}",
                f"{result.occluded:,}",
                f"{result.below_cell:,}",
                f"{math.prod(result.input_size) / math.prod(report.input_size):.1f}x",
            ]
        )
    mark = "* input size of this check"
    if report.input_size != report.recommended.size:
        mark += f"; {format_size(report.recommended.size)} is recommended"
    return [*align_columns(rows), mark]


def _wrap(text: str, indent: str = "  ", max_lines: int | None = None) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        subsequent_indent=indent,
        max_lines=max_lines,
        placeholder=" …",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _shorten_words(text: str) -> str:
    """Text whose very long words, as paths, are shortened."""
    return " ".join(map(_shorten, text.split(" ")))


def _shorten(name: str) -> str:
    """A long name without its middle; its end tells it from other names."""
    if len(name) <= _MAX_NAME:
        return name
    start = _MAX_NAME // 4
    return f"{name[:start]}…{name[start + 1 - _MAX_NAME :]}"
