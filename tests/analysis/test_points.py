"""Check, report, inspector and oracle for objects that are annotated by points."""

import json
import shutil

import numpy as np
import pytest
from fakes import run_centernet, tiny_config

from centernet.analysis.check.check_dataset import check_dataset
from centernet.analysis.check.check_report import as_dict
from centernet.analysis.check.check_text import format_text
from centernet.analysis.inspector.overlaps import overlaps_with_points
from centernet.cli import fit


def reduce(path):
    """Replace the boxes in a COCO file by points."""
    coco = json.loads(path.read_text())
    for annotation in coco["annotations"]:
        if not annotation["iscrowd"]:
            x, y, width, height = annotation["bbox"]
            annotation |= {"bbox": [x + width / 2, y + height / 2, 0, 0], "point": True}
            annotation.pop("segmentation", None)
    path.write_text(json.dumps(coco))


@pytest.fixture(scope="module")
def root(tmp_path_factory, shapes):
    root = shutil.copytree(shapes, tmp_path_factory.mktemp("points") / "shapes")
    for part in ("train", "val"):
        reduce(root / "annotations" / f"instances_{part}.json")
    return root


@pytest.fixture(scope="module")
def run(root):
    """The folder of a run that learned points for an epoch."""
    (root.parent / "tiny.yaml").write_text(tiny_config())
    config = [f"--config={root.parent / 'tiny.yaml'}", f"--data.root={root}"]
    fit.run([*config, f"--trainer.default_root_dir={root.parent / 'runs'}"])
    return root.parent / "runs" / "tiny"


def test_agreement_of_centers_replaces_the_iou_of_points():
    boxes = np.array([[2.0, 2, 6, 6], [0, 0, 10, 10]])
    objects = np.array([[3.0, 0, 13, 10], [0, 0, 10, 10]])
    points = np.array([True, False])
    found = overlaps_with_points(boxes, np.array([0, 1]), objects, points, None)
    # centers (4, 4) and (5, 5); objects of 10 x 10 pixels around (8, 5) and (5, 5)
    away = 1 - np.hypot(4, 1) / 10
    assert found == pytest.approx(np.array([[away, 16 / 100], [0.7, 1]]))
    learned = overlaps_with_points(boxes, np.array([0, 1]), objects, points, (4.0, None))
    assert learned[0, 1] == pytest.approx(1 - np.hypot(1, 1) / 10) and learned[1, 1] == 1


def test_check_counts_points(root):
    report = check_dataset(root, input_size=(64, 64))
    numbers = as_dict(report)
    kinds = {finding.kind for finding in report.findings}
    assert report.is_trainable and "points" in kinds and "box-zero" not in kinds
    train = numbers["splits"]["train"]
    assert train["points"] == sum(train["objects"].values()) == 35
    assert all(best.exact["AP"] == 1 for best in report.ceilings)
    assert "35 of 35 objects are points" in " ".join(format_text(report).split())


def test_report_and_inspector(root, run, capsys):
    status, _, errors = run_centernet(["report", run, "--device=cpu"], capsys)
    assert not status, errors
    page = (run / "report.html").read_text()
    assert "AP_points" in page and "center distance" in page and "only centers" in page
    arguments = ["inspect", root, "--weights", run / "best.ckpt", "--output", run / "i.html"]
    status, text, errors = run_centernet([*arguments, "--device=cpu"], capsys)
    assert not status and "3 images" in text, errors


def test_oracle_measures_centers(root, run, capsys):
    arguments = ["oracle", root, "--weights", run / "best.ckpt", "--json", run / "oracle.json"]
    status, text, errors = run_centernet([*arguments, "--device=cpu"], capsys)
    assert not status, errors
    assert "AP_points" in text and "only centers" in text
    rows = {tuple(row["replaced"]): row for row in json.loads((run / "oracle.json").read_text())}
    assert rows["heatmap",]["metrics"]["F1_points"] == 1
    assert rows["sides",]["metrics"] == rows[()]["metrics"]
