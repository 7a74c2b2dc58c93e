import json

import pytest

from centernet import InputError, Run
from centernet.api import run as run_module
from centernet.evaluation.metrics import MAIN_METRICS

ROWS = """\
epoch,step,learning_rate,loss,AP,AP50
0,5,0.001,3.5,0.25,0.5
1,10,0.001,2.5,,
2,15,0.0005,2.0,0.5,0.75
3,20,0.0001,1.5,0.5,0.7
4,25,0.0001,1.4,0.4,0.8
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "metrics.csv").write_text(ROWS)
    return tmp_path


def test_the_best_epoch_is_the_latest_of_the_highest_ap(folder):
    run = Run.open(folder)
    assert run.metrics == {
        "epoch": 3, "step": 20, "learning_rate": 0.0001, "loss": 1.5, "AP": 0.5, "AP50": 0.7,
    }  # fmt: skip
    assert run.history[1] == {"epoch": 1, "step": 10, "learning_rate": 0.001, "loss": 2.5}
    assert len(run.history) == 5 and "5 epochs" in repr(run) and "0.500" in repr(run)


def test_paths(folder):
    run = Run.open(str(folder))
    assert run.report is None and run.folds == []
    for name in ("best", "last"):
        with pytest.raises(InputError, match=rf"{name}\.ckpt"):
            getattr(run, name)
    for name in ("best.ckpt", "last.ckpt", "report.html"):
        (folder / name).touch()
    assert [run.best, run.last, run.report] == [
        folder / "best.ckpt", folder / "last.ckpt", folder / "report.html",
    ]  # fmt: skip


def test_a_run_that_was_not_validated(tmp_path):
    (tmp_path / "metrics.csv").write_text("epoch,step,learning_rate,loss\n0,5,0.001,3.5\n")
    run = Run.open(tmp_path)
    assert run.metrics == {} and "1 epochs)" in repr(run) and "<svg" in run._repr_html_()


def test_points_have_their_own_metric(tmp_path):
    (tmp_path / "metrics.csv").write_text("epoch,step,AP_points\n0,5,0.5\n1,6,0.25\n")
    assert Run.open(tmp_path).metrics["epoch"] == 0
    assert run_module.MAIN_METRICS == MAIN_METRICS


def test_a_cross_validation_that_is_not_finished(tmp_path):
    (tmp_path / "folds.json").write_text(json.dumps({"folds": 3}))
    run = Run.open(tmp_path)
    assert run.metrics == {} and len(run.folds) == 3


def test_other_folders_are_refused(tmp_path):
    for place in (tmp_path, tmp_path / "no"):
        with pytest.raises(InputError, match=str(place)):
            Run.open(place)
