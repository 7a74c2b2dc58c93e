r"""The same detector trained once per loss, and RetinaNet: which loss is best on your data?

python benchmarks/losses.py --config configs/bccd_resnet18.yaml \
    --retinanet-config configs/bccd_retinanet.yaml --data.root data/bccd \
    --test-annotations annotations/instances_test.json --budget-minutes 30

Every row of the table is one `train.py fit`, with the same data, seed and number of epochs (or
minutes, see below), and one `train.py validate` of its best checkpoint, chosen by AP on the
configuration's validation set. The numbers are those of --test-annotations, or else of that
validation set, which flatters all rows a little. Further options for both commands follow after
"--", as `-- --data.workers 2`.

--epochs N trains every row for N epochs. --budget-minutes M gives every row the same time instead,
for the steps of a RetinaNet cost more: three short trainings (one step, one epoch, one step and one
validation) tell how many epochs fit into it, and the schedule is made for these. The final
validation is not counted. Give the machine nothing else to do meanwhile.

The output folder keeps each row: its runs, logs and result.json, and the table as losses.md and
losses.csv. Called again, only the rows that are missing are trained.

The terms of size and offset are the same in all rows, so the heatmap's is weighed (WEIGHTS) to have
about as large a part in the gradient as the default loss's. On 8 images, with the heatmaps of a
ResNet-18 that had been trained on BCCD with the default loss, the absolute gradients by the logits
sum to 1.28 for penalty_reduced_focal, 0.63 for focal, 1.40 for focal_star and 0.34 for ghm. (Of a
new network they are 4.7, 3.0, 6.4 and 0.2: easy background, which is learned in a few steps.)
A RetinaNet has its paper's weights.
"""

import argparse
import csv
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import yaml

from centernet.cli import run_and_exit
from centernet.errors import InputError
from centernet.runs import newest_run

TRAIN = Path(__file__).parents[1] / "train.py"
# Of the heatmap's term, by its loss.
WEIGHTS = {"penalty_reduced_focal": 1.0, "focal": 2.0, "focal_star": 1.0, "ghm": 4.0}

ONE_STEP = ("--trainer.limit_train_batches=1", "--trainer.limit_val_batches=0")
ONE_EPOCH = ("--trainer.limit_val_batches=0",)
ONE_VALIDATION = ("--trainer.limit_train_batches=1",)


@dataclass(frozen=True)
class Row:
    """One training: its name in the table, its configuration, and what it changes in that."""

    name: str
    config: Path
    options: tuple[str, ...]


def rows_of(config: Path, retinanet_config: Path | None) -> list[Row]:
    rows = [
        Row(
            name,
            config,
            (f"--model.heatmap_loss={name}", f"--model.loss_weights.heatmap={weight}"),
        )
        for name, weight in WEIGHTS.items()
    ]
    if retinanet_config:
        rows.append(Row("retinanet_focal", retinanet_config, ("--model.heatmap_loss=focal",)))
    return rows


def call(command: str, row: Row, options: Sequence[str], log: Path) -> float:
    """Run a command of train.py, its output in ``log``; returns the seconds it took."""
    arguments = [sys.executable, str(TRAIN), command, f"--config={row.config}", *options]
    start = perf_counter()
    with log.open("w") as file:
        status = subprocess.run(arguments, stdout=file, stderr=subprocess.STDOUT).returncode
    if status:
        lines = log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
        raise InputError(f"{command} of {row.name} failed, see {log}: {lines[-1]}")
    return perf_counter() - start


def fit(row: Row, folder: Path, options: Sequence[str]) -> tuple[Path, float]:
    """Train; returns the run and the seconds."""
    where = (f"--trainer.default_root_dir={folder}", "--trainer.enable_progress_bar=false")
    seconds = call("fit", row, (*row.options, *where, *options), folder / "fit.log")
    return newest_run(folder, row.config.stem), seconds


def epochs_in(minutes: float, row: Row, options: Sequence[str]) -> int:
    """How many epochs of a row, with the validations between them, fit into a time."""
    seconds = []
    for part in (ONE_STEP, ONE_EPOCH, ONE_VALIDATION):
        with tempfile.TemporaryDirectory() as folder:
            run, taken = fit(row, Path(folder), (*options, "--trainer.max_epochs=1", *part))
            seconds.append(taken)
            trainer = yaml.safe_load((run / "config.yaml").read_text())["trainer"]
    start = seconds[0]
    # Starts differ by a little; what takes less than that is not to be had for nothing.
    epoch, validation = (max(0.05 * start, more - start) for more in seconds[1:])
    epochs = most_epochs(
        60 * minutes,
        start=start,
        epoch=epoch,
        validation=validation,
        every=trainer["check_val_every_n_epoch"],
    )
    if not epochs:
        raise InputError(f"budget of {minutes:g} minutes: one epoch of {row.name} takes longer")
    return epochs


def most_epochs(
    seconds: float, *, start: float, epoch: float, validation: float, every: int
) -> int:
    """The largest number of epochs that ends in time; the last one is always validated."""
    epochs = 0
    while True:
        validations = math.ceil((epochs + 1) / every)
        if start + (epochs + 1) * epoch + validations * validation > seconds:
            return epochs
        epochs += 1


def train_row(row: Row, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Train and validate one row, unless that was done; returns what the table says of it."""
    common = [f"--data.root={options.data_root}"] if options.data_root else []
    common += options.options
    settings = {
        "config": str(row.config),
        "options": [*row.options, *common],
        "epochs": options.epochs,
        "budget_minutes": options.budget_minutes,
        "test_annotations": options.test_annotations,
    }
    result = folder / "result.json"
    if result.exists():
        known = json.loads(result.read_text())
        if known["settings"] != settings:
            raise InputError(f"{result} is of other settings: choose another --output")
        return known["row"]
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{row.name}: training ...", flush=True)
    epochs = options.epochs or epochs_in(options.budget_minutes, row, common)
    run, seconds = fit(row, folder, (*common, f"--trainer.max_epochs={epochs}"))
    test = options.test_annotations
    chosen = [f"--data.val_annotations={test}"] if test else []
    call(
        "validate",
        row,
        (*common, f"--ckpt_path={run / 'best.ckpt'}", *chosen),
        folder / "validate.log",
    )
    (measured,) = run.glob(f"validate-{Path(test).stem if test else '*'}")
    line = {"loss": row.name, "epochs": epochs, "minutes": seconds / 60} | read_metrics(measured)
    result.write_text(json.dumps({"settings": settings, "row": line}, indent=2) + "\n")
    return line


def read_metrics(folder: Path) -> dict[str, float | None]:
    """AP and AP50 of all classes, and AP50 of each, from what validate saved."""
    metrics = json.loads((folder / "metrics.json").read_text())
    with (folder / "per_class.csv").open(newline="") as file:
        classes = {f"AP50 {row['class']}": float(row["AP50"]) for row in csv.DictReader(file)}
    # A class without objects has no AP.
    classes = {name: None if math.isnan(value) else value for name, value in classes.items()}
    return {"AP": metrics["AP"], "AP50": metrics["AP50"]} | classes


def write_table(lines: Sequence[dict[str, Any]], output: Path) -> str:
    """Save losses.csv and losses.md; returns the latter."""
    with (output / "losses.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, lines[0])
        writer.writeheader()
        writer.writerows(lines)
    rows = [list(lines[0]), ["---"] * len(lines[0])]
    rows += [[as_text(name, value) for name, value in line.items()] for line in lines]
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    (output / "losses.md").write_text(table)
    return table


def as_text(column: str, value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.1f}" if column == "minutes" else f"{value:.3f}"
    return "" if value is None else str(value)


def main(arguments: list[str] | None = None) -> None:
    summary, *_ = __doc__.splitlines()
    parser = argparse.ArgumentParser(description=summary)
    add = parser.add_argument
    add("--config", type=Path, required=True, help="of a CenterNet; its loss is what changes")
    add("--retinanet-config", type=Path, help="of a RetinaNet, which is then the last row")
    add("--data.root", dest="data_root", help="folder of the dataset, where not as configured")
    add("--test-annotations", help="COCO JSON that the table's numbers are of, as data.root has it")
    add("--output", type=Path, default="runs/losses", help="folder for all of it (%(default)s)")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--epochs", type=int, help="of every row")
    length.add_argument("--budget-minutes", type=float, help="of training, for every row")
    add("options", nargs="*", metavar="-- OPTION", help="further options of train.py")
    options = parser.parse_args(arguments)
    for name in ("epochs", "budget_minutes"):
        value = getattr(options, name)
        if value is not None and value <= 0:
            raise InputError(f"{name} must be positive, got {value:g}")
    lines: list[dict[str, Any]] = []
    for row in rows_of(options.config, options.retinanet_config):
        lines.append(train_row(row, options.output / row.name, options))
        table = write_table(lines, options.output)
    print(f"{table}saved in {options.output}")


if __name__ == "__main__":
    run_and_exit(main)
