"""The HTML page as a file, and the runtime inside it."""

import base64
import gzip
import hashlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
import torch
from fakes import ROOT, checkpoint, run_centernet

import centernet
from centernet.errors import InputError
from centernet.export import page, runtime
from centernet.export.export_weights import export_weights
from centernet.export.page import write_page
from centernet.inference.engines.base import EngineInfo

HOSTILE = "</script><script>alert(1)</script>"
INFO = EngineInfo((HOSTILE, "\udcff"), (None, 0.5), 4, 32, (64, 96), 100, True)
MODEL = b"a network"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A small stand-in for the runtime."""
    folder = tmp_path / "runtime"
    folder.mkdir()
    (folder / runtime.SCRIPT).write_bytes(gzip.compress(b"const ort = 1;"))
    (folder / runtime.WASM).write_bytes(gzip.compress(b"wasm"))
    monkeypatch.setattr(runtime, "FOLDER", folder)
    return folder


@pytest.fixture
def html(folder, tmp_path) -> str:
    write_page(MODEL, INFO, tmp_path / "new" / "page.html", title=HOSTILE)
    return (tmp_path / "new" / "page.html").read_text()


def data(html: str, name: str) -> bytes:
    found = re.search(rf'<script type="text/plain" id="{name}">([^<]*)</script>', html)
    assert found
    return gzip.decompress(base64.b64decode(found[1]))


def test_the_page_contains_network_and_runtime(html):
    assert data(html, "network") == MODEL
    assert data(html, "wasm") == b"wasm" and data(html, "runtime") == b"const ort = 1;"
    assert hashlib.sha256(MODEL).hexdigest() in html and centernet.__version__ in html


def test_names_are_escaped(html):
    assert "alert(1)" in html and "<script>alert" not in html


def test_only_the_scripts_of_the_page_run_and_nothing_is_loaded(html):
    policy = re.search(r'Content-Security-Policy"\s+content="([^"]*)"', html)
    assert policy
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["worker-src"] == rules["media-src"] == "blob:" and "connect-src" not in rules
    hashes = re.findall(r"'sha256-([^']+)'", rules["script-src"])
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    assert digests == hashes and len(scripts) == len(page.SCRIPTS)
    assert set(rules["script-src"].split()) - {f"'sha256-{h}'" for h in hashes} == {
        "'wasm-unsafe-eval'"
    }


def test_the_same_network_gives_the_same_file(html, tmp_path):
    write_page(MODEL, INFO, tmp_path / "again.html", title=HOSTILE)
    assert (tmp_path / "again.html").read_text() == html


def test_sources_are_short_and_cannot_end_their_script():
    sources = list((ROOT / "centernet/export/web").glob("*.*"))
    assert len(sources) >= 16
    for path in sources:
        assert len(path.read_text().splitlines()) <= 300, path
    for name in (*page.SCRIPTS, *page.WORKER):
        assert not re.search(r"</?script|<!--", (ROOT / "centernet" / name).read_text(), re.I), name


@pytest.mark.parametrize("content", [None, b"no gzip"])
def test_without_the_runtime_the_remedy_is_named(folder, tmp_path, content):
    if content is None:
        (folder / runtime.WASM).unlink()
    else:
        (folder / runtime.SCRIPT).write_bytes(content)
    with pytest.raises(InputError, match=rf"onnxruntime-web {runtime.VERSION}.*make runtime"):
        write_page(MODEL, INFO, tmp_path / "page.html", title="x")
    assert not (tmp_path / "page.html").exists()


def fetch(monkeypatch, folder: Path, *arguments: str) -> None:
    """Run scripts/fetch_runtime.py for a folder of the runtime."""
    spec = importlib.util.spec_from_file_location("fetch", ROOT / "scripts/fetch_runtime.py")
    assert spec and spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr(script, "FOLDER", folder)
    monkeypatch.setattr(runtime, "FOLDER", folder)
    monkeypatch.setattr(sys, "argv", ["fetch_runtime.py", *arguments])
    script.main()


def test_another_file_than_the_pinned_one_is_refused(monkeypatch, tmp_path):
    (tmp_path / "other.tgz").write_bytes(b"another package")
    with pytest.raises(SystemExit, match="SHA-512"):
        fetch(monkeypatch, tmp_path / "runtime", str(tmp_path / "other.tgz"))
    assert not (tmp_path / "runtime").exists()


def test_without_npm_the_remedy_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match=r"npm is missing.*make runtime"):
        fetch(monkeypatch, tmp_path / "runtime")


def test_a_complete_runtime_is_kept(monkeypatch, folder):
    monkeypatch.setenv("PATH", "")
    fetch(monkeypatch, folder)


def test_a_missing_runtime_is_reported_before_the_export(folder, tmp_path, monkeypatch):
    (folder / runtime.WASM).unlink()
    monkeypatch.delattr("centernet.export.export_weights.write_onnx")
    torch.save(checkpoint(), tmp_path / "w.ckpt")
    with pytest.raises(InputError, match="make runtime"):
        export_weights(tmp_path / "w.ckpt", tmp_path / "w.html")
    assert not (tmp_path / "w.html").exists()


@pytest.mark.guard
def test_a_checkpoint_is_exported_as_a_page(folder, tmp_path, capsys):
    weights = tmp_path / "cells" / "best.ckpt"
    weights.parent.mkdir()
    torch.save(checkpoint(), weights)
    status, _, _ = run_centernet(["export", weights, tmp_path / "cells.html", "--half"], capsys)
    assert status in (0, None)
    html = (tmp_path / "cells.html").read_text()
    assert "<h1><bdi>cells</bdi></h1>" in html
    model = onnx.load_from_string(data(html, "network"))
    assert [output.name for output in model.graph.output][-1] == "heatmap"


@pytest.mark.skipif(not shutil.which("node"), reason="needs node")
def test_points_inside_the_image_are_kept():
    source = (Path(page.__file__).parent / "web" / "letterbox.js").read_text()
    boxes = [10, 10, 10, 10, 2, 10, 2, 10, 4, 10, 12, 14, 10, 10, 10, 14]
    call = f"""{source}
    const place = {{ x: {{ scale: 2, shift: 4 }}, y: {{ scale: 2, shift: 4 }} }};
    const outputs = {{ boxes: {boxes}, scores: [1, 1, 1, 1], labels: [0, 1, 2, 3] }};
    console.log(JSON.stringify(toImage(outputs, place, {{ width: 4, height: 5 }})));"""
    result = subprocess.run(["node", "-e", call], capture_output=True, text=True, check=True)
    found = {one["label"]: one["box"] for one in json.loads(result.stdout)}
    # a point, one in the padding, a box that is clipped, and an empty box
    assert found == {0: [3, 3, 3, 3], 2: [0, 3, 4, 5]}
