"""The base of all pages: values are escaped, and a page loads nothing."""

import re
from pathlib import Path
from types import SimpleNamespace

import cv2
import jinja2
import numpy as np
import pytest
from markupsafe import Markup

import centernet
from centernet.analysis.html import render, write_html
from centernet.analysis.inspector import Example, ImageAnalysis, InspectorPage
from centernet.analysis.inspector.analyze import GroundTruthMatches
from centernet.analysis.inspector.error_types import Objects, Peaks, Regions, classify_errors
from centernet.analysis.report.best_thresholds import BestThreshold
from centernet.analysis.report.report_page import TrainingReport, render_report_page

HOSTILE = "</script><script>alert(1)</script>'\"&"
FOLDER = Path(centernet.__file__).parent


@pytest.fixture
def report(tmp_path):
    """A missed object and a false positive; every name is hostile."""
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((50, 90, 3), np.uint8))
    one = np.array([0, 0, 9, 9], np.float32)[None], np.zeros(1, int), np.array([[1, 1]])
    other = np.array([40, 20, 60, 40], np.float32)[None], np.zeros(1, int), np.array([[12, 7]])
    objects, peaks = Objects(*one, np.ones(1)), Peaks(*other, np.array([0.9], np.float32))
    regions = Regions(np.zeros((0, 4)), np.zeros(0, int))
    truth = GroundTruthMatches(objects, regions, *classify_errors(objects, peaks, regions, None))
    found = ImageAnalysis(Example(tmp_path / "a.png", HOSTILE), (50, 90), peaks, {}, truth)
    evaluation = SimpleNamespace(
        headline=("AP",),
        metrics={"AP": 0.5},
        per_class=[{"class": HOSTILE, "objects": 1, "AP": 0.5}],
        precision=np.ones((101, 1)),
        note="",
        criterion="",
    )
    best = [BestThreshold(0.5, 0.5, 0.5)]
    run = tmp_path / "<script>alert(1)"
    return TrainingReport(run, (HOSTILE,), [found], evaluation, best, InspectorPage(()))


def test_hostile_names_cannot_break_the_report(report):
    page = "".join(render_report_page(report))
    assert "<script" not in page and "alert(1)" in page
    assert page.count('<div class="card"><img') == 2  # the two errors, without an inspector


def test_a_page_without_a_value_is_refused():
    with pytest.raises(jinja2.UndefinedError):
        list(render("analysis/report/report_page.html"))


def test_every_page_extends_the_base_and_only_one_module_uses_jinja():
    templates = [path for path in FOLDER.rglob("*.html") if path.name != "base.html"]
    # What a notebook shows is a part of its page.
    fragments = [path for path in templates if path.parent.name == "api"]
    assert len(templates) == 8 + len(fragments)
    for path in templates:
        text = path.read_text()
        is_page = text.startswith('{% extends "analysis/base.html" %}')
        assert is_page == (path not in fragments) and not re.search(r"\|\s*safe", text)
    modules = [path.name for path in FOLDER.rglob("*.py") if "jinja2" in path.read_text()]
    assert modules == ["html.py"]


def test_colors_of_the_base_are_defined_for_light_and_dark():
    names = re.findall(r"(--[\w]+):", (FOLDER / "analysis/base.css").read_text())
    assert names and all(names.count(name) == 2 for name in names)


def test_a_page_is_written_whole_and_with_any_name(tmp_path):
    write_html(tmp_path / "new" / "page.html", ["a", Markup("\udcff")])
    assert (tmp_path / "new" / "page.html").read_bytes() == b"a\\udcff"
    with pytest.raises(ZeroDivisionError):
        write_html(tmp_path / "new" / "page.html", (1 / 0 for _ in range(1)))
    assert (tmp_path / "new" / "page.html").read_bytes() == b"a\\udcff"
