"""The report as one page of HTML that needs nothing else."""

from importlib.resources import files
from itertools import islice

import numpy as np
from jinja2 import Environment, StrictUndefined

from centernet.analysis.check import advice
from centernet.analysis.check.classes import counts
from centernet.analysis.check.findings import KINDS, by_kind
from centernet.analysis.check.histograms import histograms
from centernet.analysis.check.pictures import crop, samples
from centernet.analysis.check.report import Report
from centernet.analysis.check.text import sizes
from centernet.inference.drawing import class_color

# Of each kind of finding, how many are shown as pictures, and how many are listed.
_MOST_CROPS, _MOST_LISTED = 4, 50
_MOST_CLASSES = 1000


def html(report: Report) -> str:
    """The whole page."""
    here = files("centernet.analysis.check")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string((here / "page.html").read_text(encoding="utf-8"))
    return template.render(
        style=(here / "page.css").read_text(encoding="utf-8"),
        report=report,
        verdict=advice.verdict(report),
        size=advice.size_name(report.input_size),
        limits=advice.limits(report),
        advice=advice.resolution(report),
        one_pixel=advice.ONE_PIXEL,
        steps=[
            {"size": advice.size_name(step.input_size), "now": step.input_size ==
             report.input_size} | vars(step)
            for step in report.steps
        ],
        ceilings=[
            (content.split.name, best)
            for content, best in zip(report.contents, report.ceilings, strict=True)
            if best
        ],
        groups=[_group(report, kind, found) for kind, found in by_kind(report.findings).items()],
        splits=[(content.split.name, len(content.files)) for content in report.contents],
        classes=_classes(report),
        histograms=histograms(report),
        samples=samples(report),
    )  # fmt: skip


def _group(report: Report, kind: str, found: list) -> dict:
    severity, title, text = KINDS[kind]
    pictures = (crop(report, finding) for finding in found[: 3 * _MOST_CROPS])
    return {
        "kind": kind,
        "severity": severity,
        "title": title,
        "advice": text,
        "count": len(found) + report.unlisted[kind],
        "listed": found[:_MOST_LISTED],
        "crops": list(islice((picture for picture in pictures if picture), _MOST_CROPS)),
    }


def _classes(report: Report) -> list[dict]:
    """One row for each of the most frequent classes."""
    per_split = np.stack([counts(content) for content in report.contents])
    cells, below = sizes(report)
    total = per_split.sum(0)
    best = dict(zip((c.split.name for c in report.contents), report.ceilings, strict=True))
    best = best.get(report.compared)
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
        for label in np.argsort(-total, kind="stable")[:_MOST_CLASSES]
    ]
