"""Executes the notebooks of examples/notebooks, and checks the values that their cells compute."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "examples" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))

OWN_DATA = """
assert len(run.history) == 20 and run.report.is_file()
assert run.metrics["AP"] > 0.1, run.metrics
assert abs(result.metrics["AP"] - run.metrics["AP"]) < 0.01
assert sum(row["objects"] for row in result.per_class) == result.confusion().counts[:-1].sum()
missed, false = zip(*counts.values())
assert list(missed) == sorted(missed) and list(false) == sorted(false, reverse=True)
assert len(found) == len(prediction.detections)
assert [len(set(one.split())) for one in detector.class_names] == [1] * 4
"""
HOW_IT_WORKS = """
assert peaks == len(boxes) == 4 and largest_error < 1e-4
assert at_half[1.0] == at_half[0.0] == round(0.25 * np.log(2), 3)
assert at_half[0.5] == round(0.25 * np.log(2) / 16, 3)
assert losses[-1] < 0.1 * losses[0]
assert len(detected) == 4 and sorted(order) == [0, 1, 2, 3] and box_error < 2
assert float(scores.min()) > 0.6
"""


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_no_outputs_and_is_small(path):
    cells = json.loads(path.read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(code) <= 10 and path.stat().st_size < 15_000
    assert not any(cell["outputs"] or cell["execution_count"] for cell in code)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "checks"), [("own_data", OWN_DATA), ("how_it_works", HOW_IT_WORKS)]
)
def test_a_notebook_computes_what_it_tells(name, checks, tmp_path, monkeypatch):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    # The command ``centernet`` of the notebook is that of this checkout.
    command = tmp_path / "bin" / "centernet"
    command.parent.mkdir()
    command.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from centernet.cli import main\nmain()\n"
    )
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(checks))
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    pictures = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.get("data", {}).keys() & {"image/png", "text/html"}
    ]
    assert len(pictures) >= 5
    shutil.rmtree(tmp_path / "runs", ignore_errors=True)
