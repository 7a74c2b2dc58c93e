"""benchmarks/compare.py with tiny networks and training runs."""

import csv
import json
import runpy
from pathlib import Path

import pytest
from fakes import TINY_CONFIG

from centernet.data.shapes import make_shapes
from centernet.errors import InputError
from centernet.losses import HEATMAP_LOSSES

ROOT = Path(__file__).parents[1]
SCRIPT = runpy.run_path(str(ROOT / "benchmarks" / "compare.py"))
ROWS = """\
rows:
  plain: {config: tiny.yaml}
  focal: {config: tiny.yaml, options: [--model.heatmap_loss=focal], epochs: 2}
  retinanet: {config: retina.yaml}
"""


def test_the_rows_name_losses():
    rows = SCRIPT["read_rows"](ROOT / "benchmarks" / "bccd_losses.yaml")
    assert {row.name for row in rows} - {"retinanet_focal"} <= set(HEATMAP_LOSSES)


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.yaml")), ids=lambda p: p.stem)
def test_the_rows_name_configurations_that_are_there(path):
    rows = SCRIPT["read_rows"](path)
    assert len(rows) > 3 and all((ROOT / row.config).is_file() for row in rows)


@pytest.mark.parametrize(
    "text",
    [
        "a: 1",
        "rows: [a]",
        "rows: {a: {config: a, options: --b=1}}",
        "rows: {a: {options: []}}",
        "{",
        "",
    ],
)
def test_a_wrong_rows_file_is_named(text, tmp_path):
    (tmp_path / "rows.yaml").write_text(text)
    with pytest.raises(InputError, match=r"rows\.yaml.*`rows`"):
        SCRIPT["read_rows"](tmp_path / "rows.yaml")


@pytest.mark.parametrize(
    ("seconds", "epochs"),
    # A start of 5, epochs of 10, a validation of 3 after every second one and the last one.
    [(17, 0), (18, 1), (27, 1), (28, 2), (40, 2), (41, 3), (51, 4)],
)
def test_as_many_epochs_as_the_time_allows(seconds, epochs):
    found = SCRIPT["most_epochs"](seconds, start=5.0, epoch=10.0, validation=3.0, every=2)
    assert found == epochs


def test_the_table(tmp_path):
    lines = [
        {"row": "focal", "epochs": 3, "minutes": 12.34, "AP": 0.25, "AP50 cat": 0.5},
        {"row": "ghm", "epochs": 3.0, "minutes": 12.0, "AP": 0.5, "AP50 cat": None},
    ]
    table = SCRIPT["write_table"](lines, tmp_path)
    assert table.splitlines() == [
        "| row | epochs | minutes | AP | AP50 cat |",
        "| --- | --- | --- | --- | --- |",
        "| focal | 3 | 12.3 | 0.250 | 0.500 |",
        "| ghm | 3 | 12.0 | 0.500 |  |",
    ]
    assert (tmp_path / "table.md").read_text() == table
    with (tmp_path / "table.csv").open() as file:
        assert [row["minutes"] for row in csv.DictReader(file)] == ["12.34", "12.0"]


def test_rows_of_other_classes_share_a_table(tmp_path):
    lines = [{"row": "a", "AP": 0.5, "AP50 cat": 0.75}, {"row": "b", "AP": 0.25, "AP50 dog": 0.5}]
    table = SCRIPT["write_table"](lines, tmp_path).splitlines()
    assert table[0] == "| row | AP | AP50 cat | AP50 dog |"
    assert table[3] == "| b | 0.250 |  | 0.500 |"


def test_the_validation_that_the_checkpoint_was_chosen_by(tmp_path):
    lines = "epoch,loss,AP,AP50\n0,3.0,,\n1,2.0,0.5,0.5\n2,1.5,0.5,0.75\n3,1.0,0.25,0.875\n"
    (tmp_path / "metrics.csv").write_text(lines)
    assert SCRIPT["read_validation"](tmp_path) == {"validation AP": 0.5, "validation AP50": 0.75}


def test_several_seeds_become_means_and_a_spread():
    found = [
        {"epochs": 3, "AP": 0.25, "AP50": 0.5, "AP50 cat": None},
        {"epochs": 3, "AP": 0.5, "AP50": 0.75, "AP50 cat": 0.5},
    ]
    assert SCRIPT["over_seeds"](found) == {
        "epochs": 3,
        "AP": 0.375,
        "AP50": 0.625,
        "AP50 cat": None,
        "spread of AP": 0.25,
        "spread of AP50": 0.25,
    }
    assert SCRIPT["over_seeds"](found[:1]) == found[0]


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """The arguments of a benchmark in an empty folder."""
    monkeypatch.chdir(tmp_path)
    make_shapes(tmp_path / "shapes", train=8, val=2, size=64)
    (tmp_path / "tiny.yaml").write_text(TINY_CONFIG)
    (tmp_path / "retina.yaml").write_text(
        TINY_CONFIG.replace("model:", "model:\n  detector: retinanet")
    )
    (tmp_path / "rows.yaml").write_text(ROWS)
    return ["rows.yaml", "--data.root=shapes", "--output=out"]


@pytest.mark.slow
def test_rows_are_trained_once(tiny, tmp_path, capsys):
    test = "--test-annotations=annotations/instances_train.json"
    arguments = [*tiny, "--epochs=1", test, "--seeds", "0", "1"]
    more = ["--", "--data.val_images=train", "--model.learning_rate=1e-4"]
    SCRIPT["main"]([*arguments, *more])
    said = capsys.readouterr().out
    assert (
        said.count("training ...") == 6 and "| retinanet | 1 |" in said and "| focal | 2 |" in said
    )
    with (tmp_path / "out" / "table.csv").open() as file:
        header, *rows = csv.reader(file)
    assert header[:5] == ["row", "epochs", "minutes", "AP", "AP50"]
    assert header[5:9] == [f"AP50 {name}" for name in ("circle", "rectangle", "triangle", "star")]
    assert header[9:11] == ["validation AP", "validation AP50"]
    assert header[11:] == ["spread of AP", "spread of AP50"]
    assert len(rows) == 3 and all(0 <= float(row[3]) <= 1 for row in rows)
    config = (tmp_path / "out" / "focal" / "seed-1" / "tiny" / "config.yaml").read_text()
    assert "heatmap_loss: focal" in config and "learning_rate: 0.0001" in config
    assert "seed_everything: 1" in config
    # A missing row is trained, the others are kept.
    (tmp_path / "out" / "focal" / "seed-0" / "result.json").unlink()
    SCRIPT["main"]([*arguments, *more])
    assert capsys.readouterr().out.count("training ...") == 1
    with pytest.raises(InputError, match=r"result\.json.*--output"):
        SCRIPT["main"]([*arguments])


def test_a_budget_is_measured_out(tmp_path, monkeypatch):
    """One step takes 20 s with its start, an epoch 80 s more, a validation 10 s more."""
    (tmp_path / "config.yaml").write_text("trainer: {check_val_every_n_epoch: 2}")
    given = []

    def fit(row, folder, options):
        given.append(options)
        short, unvalidated = ("--trainer.limit_train_batches=1", "--trainer.limit_val_batches=0")
        return tmp_path, 20.0 + 80 * (short not in options) + 10 * (unvalidated not in options)

    monkeypatch.setitem(SCRIPT["main"].__globals__, "fit", fit)
    row = SCRIPT["Row"]("plain", Path("a.yaml"))
    # 20 + 3 * 80 + 2 * 10 seconds are 4 minutes and 40 seconds.
    assert SCRIPT["epochs_in"](4.7, row, ["--x=1"]) == 3
    assert all({"--x=1", "--trainer.max_epochs=1"} <= set(options) for options in given)
    with pytest.raises(InputError, match=r"1\.5 minutes.*plain"):
        SCRIPT["epochs_in"](1.5, row, [])


@pytest.mark.slow
def test_a_budget_of_minutes(tiny, tmp_path):
    options = ["--only", "plain", "--budget-minutes=0.5"]
    SCRIPT["main"]([*tiny, *options, "--", "--trainer.check_val_every_n_epoch=1000"])
    result = json.loads((tmp_path / "out" / "plain" / "seed-0" / "result.json").read_text())
    assert result["numbers"]["epochs"] > 1 and result["numbers"]["minutes"] < 2


@pytest.mark.slow
def test_a_failing_row_says_why(tiny):
    with pytest.raises(InputError, match=r"plain.*resnet19"):
        SCRIPT["main"]([*tiny, "--epochs=1", "--", "--model.backbone=resnet19"])


def test_an_unknown_row_is_named(tiny):
    with pytest.raises(InputError, match=r"ghm.*plain, focal, retinanet"):
        SCRIPT["main"]([*tiny, "--epochs=1", "--only", "ghm"])
