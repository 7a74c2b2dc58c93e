"""The check report as an HTML page."""

import math
from itertools import islice
from typing import Any

import numpy as np

from centernet.analysis.check import advice
from centernet.analysis.check.check_report import CheckReport, class_sizes
from centernet.analysis.check.classes import objects_by_class
from centernet.analysis.check.findings import KINDS, Finding, group_by_kind
from centernet.analysis.check.histograms import histograms
from centernet.analysis.check.pictures import crop_finding, sample_images
from centernet.analysis.html import render
from centernet.inference.drawing import class_color
from centernet.sizes import format_size

_MAX_CROPS, _MAX_LISTED = 4, 50  # per kind of finding
_MAX_CLASSES = 1000


def render_check_page(report: CheckReport) -> str:
    """The page as HTML."""
    pieces = render(
        "analysis/check/check_page.html",
        report=report,
        verdict=advice.verdict(report),
        size=format_size(report.input_size),
        limits=advice.ceiling_limits(report),
        recommendation=advice.recommendation(report),
        one_pixel_off=advice.ONE_PIXEL_OFF,
        resolutions=[
            {
                "size": format_size(result.input_size),
                "is_current": result.input_size == report.input_size,
                "is_recommended": result.input_size == report.recommended.size,
                "cost": math.prod(result.input_size) / math.prod(report.input_size),
                "result": result,
            }
            for result in report.resolutions
        ],
        ceilings=[
            (arrays.split.name, best)
            for arrays, best in zip(report.splits, report.ceilings, strict=True)
            if best
        ],
        groups=[
            _group(report, kind, found) for kind, found in group_by_kind(report.findings).items()
        ],
        splits=[(arrays.split.name, len(arrays.files)) for arrays in report.splits],
        classes=_classes(report),
        histograms=histograms(report),
        samples=sample_images(report),
    )
    return "".join(pieces)


def _group(report: CheckReport, kind: str, found: list[Finding]) -> dict[str, Any]:
    severity, title, text = KINDS[kind]
    crops = (crop_finding(report, finding) for finding in found[: 3 * _MAX_CROPS])
    return {
        "severity": severity,
        "title": title,
        "advice": text,
        "count": len(found) + report.unlisted[kind],
        "listed": found[:_MAX_LISTED],
        "crops": list(islice((crop for crop in crops if crop), _MAX_CROPS)),
    }


def _classes(report: CheckReport) -> list[dict[str, Any]]:
    """One row for each of the most frequent classes."""
    per_split = np.stack([objects_by_class(arrays) for arrays in report.splits])
    cells, below = class_sizes(report)
    total = per_split.sum(0)
    split_names = [arrays.split.name for arrays in report.splits]
    best = dict(zip(split_names, report.ceilings, strict=True)).get(report.compared)
    most = max(1, total.max(initial=0))
    return [
        {
            "name": report.names[label],
            "color": class_color(label),
            "counts": per_split[:, label].tolist(),
            "share": float(total[label] / most),
            "cells": float(cells[label]),
            "below": float(below[label]),
            "ceiling": best.exact["per_class"][label] if best else float("nan"),
            "off": best.off_by_one["per_class"][label] if best else float("nan"),
        }
        for label in np.argsort(-total, kind="stable")[:_MAX_CLASSES].tolist()
    ]
