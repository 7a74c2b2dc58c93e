"""The documentation site builds without warnings, works offline, and has every page."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from documents import PAGES, ROOT, text

sphinx = pytest.importorskip("sphinx")
pytestmark = pytest.mark.guard


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-E", "-q", "-b", "html"]
    built = subprocess.run(
        [*command, "-d", folder / "doctrees", ROOT / "docs", folder / "html"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert built.returncode == 0, built.stderr[-3000:]
    return folder / "html"


def test_every_page_is_in_the_table_of_contents(site):
    sidebar = (site / "index.html").read_text()
    for page in PAGES:
        if page.parts[0] == "docs" and page.stem != "index":
            assert f'href="{page.stem}.html"' in sidebar, page


def test_nothing_is_loaded_from_elsewhere(site):
    pattern = r'<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href)="(?:https?:)?//[^"]*"'
    for page in site.glob("*.html"):
        assert re.findall(pattern, page.read_text()) == [], page.name
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import\s*)[\"']?(?:https?:)?//", sheet.read_text()), sheet


def test_links_between_the_pages_have_targets(site):
    ids = {}
    for page in site.glob("*.html"):
        ids[page.name] = set(re.findall(r'\bid="([^"]+)"', page.read_text()))
    for page in site.glob("*.html"):
        if page.name in ("genindex.html", "py-modindex.html"):
            continue
        for target, anchor in re.findall(r'href="([\w-]*\.html)?#([^"]+)"', page.read_text()):
            assert anchor in ids[target or page.name], f"{page.name}: {target}#{anchor}"


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("commands", ["cmdoption-centernet-detect-weights", "cmdoption-centernet-export-int8"]),
        ("configuration", ["cmdoption-centernet-fit-data.image_size", "data.augment.min_visible"]),
        ("configuration", ["configs/custom.yaml", "trainer.max_epochs"]),
        ("api", ["centernet.inference.detector.Detector", "centernet.decode.decode"]),
        ("changelog", ["Unreleased"]),
        ("contributing", ["How to add"]),
    ],
)
def test_references_are_generated(site, page, expected):
    content = (site / f"{page}.html").read_text()
    for part in expected:
        assert part in content, part


def test_every_command_is_in_the_reference(site):
    content = (site / "commands.html").read_text()
    for module in (ROOT / "centernet" / "cli").glob("*.py"):
        if "\nHELP = " in module.read_text():
            assert f'id="{module.stem.replace("_", "-")}"' in content, module


def test_the_search_index_finds_words(site):
    index = (site / "searchindex.js").read_text()
    terms = json.loads(index.removeprefix("Search.setIndex(").rstrip(")"))["terms"]
    assert {"heatmap", "threshold"} <= {term[:9] for term in terms} | set(terms)


def test_source_pages_need_no_site():
    """Pages read well in a repository browser: no directives of the site in them."""
    for page in PAGES:
        assert not re.search(r"^(```|:::)\{", text(page), re.MULTILINE), page


def test_the_build_writes_nothing_beside_the_pages(site):
    known = {".md", ".py", ".png", ".jpg", ".svg", ".css", ".pyc"}
    found = {path.suffix for path in Path(ROOT / "docs").rglob("*") if path.is_file()}
    assert found <= known
