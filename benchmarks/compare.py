r"""Train several configurations for the same time and tabulate their accuracy.

python benchmarks/compare.py benchmarks/bccd_recipes.yaml --data.root data/bccd \
    --test-annotations annotations/instances_test.json --budget-minutes 30

The rows file lists the training runs: a configuration, options that change it, and optionally the
number of epochs (default: that of the command).

    rows:
      plain: {config: configs/bccd_resnet18.yaml}
      deconv: {config: configs/bccd_resnet18.yaml, options: [--model.neck=deconv]}

Available files: bccd_recipes.yaml adds the changes that speed up learning one after another,
bccd_levers.yaml applies each of them alone, bccd_losses.yaml trains one detector with each loss,
and a RetinaNet.

Each row is one `train.py fit` with the same data, seed and number of epochs (or minutes, see
below), and one `train.py validate` of its best checkpoint, selected by AP on the validation set.
The table reports accuracy on --test-annotations, with AP and AP50 of the validation set beside it.
Without --test-annotations it reports the validation set, which is slightly optimistic. Options
after "--" are passed to both commands, as in `-- --data.workers 2`. With several --seeds, every row
is trained once per seed; the table reports the mean and the range (largest minus smallest).

--epochs N trains every row for N epochs. --budget-minutes M gives every row the same time instead:
three short runs (one step, one epoch, one step and one validation) measure how many epochs fit, and
the learning rate schedule has that length. The time excludes the final validation. Keep the machine
otherwise idle.

The output folder keeps the runs, logs and result.json of each row, and the table as table.md and
table.csv. A second call trains only what is missing.
"""

import argparse
import csv
import json
import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from time import perf_counter
from typing import Any

import numpy as np
import yaml
from commands import run_logged

from centernet.analysis.report.plots import read_metrics
from centernet.cli import run_and_exit
from centernet.errors import InputError
from centernet.files import atomic_write
from centernet.training.runs import newest_run

TRAIN = Path(__file__).parents[1] / "train.py"

ONE_STEP = ("--trainer.limit_train_batches=1", "--trainer.limit_val_batches=0")
ONE_EPOCH = ("--trainer.limit_val_batches=0",)
ONE_VALIDATION = ("--trainer.limit_train_batches=1",)


@dataclass(frozen=True)
class Row:
    """One training run: its name in the table, its configuration and the options changed."""

    name: str
    config: Path
    options: tuple[str, ...] = ()
    epochs: int | None = None


def read_rows(path: Path) -> list[Row]:
    """The rows of a file; configurations are relative to the current folder."""
    try:
        rows = yaml.safe_load(path.read_text())["rows"]
        return [
            Row(name, Path(row["config"]), _options(row), row.get("epochs"))
            for name, row in rows.items()
        ]
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except (yaml.YAMLError, TypeError, KeyError, AttributeError):
        raise InputError(
            f"{path} is not a rows file: it needs `rows`, each a name with a `config` and a list "
            "of `options`"
        ) from None


def _options(row: dict[str, Any]) -> tuple[str, ...]:
    options = row.get("options", [])
    if not isinstance(options, list):
        raise TypeError
    return tuple(map(str, options))


def call(command: str, row: Row, options: Sequence[str], log: Path) -> float:
    """Run a command of train.py with its output in ``log``; return its duration in seconds."""
    arguments = [sys.executable, str(TRAIN), command, f"--config={row.config}", *options]
    start = perf_counter()
    run_logged(f"{command} of {row.name}", arguments, log)
    return perf_counter() - start


def fit(row: Row, folder: Path, options: Sequence[str]) -> tuple[Path, float]:
    """Train; return the run folder and the duration in seconds."""
    where = (f"--trainer.default_root_dir={folder}", "--trainer.enable_progress_bar=false")
    where += ("--report=false",)
    seconds = call("fit", row, (*row.options, *where, *options), folder / "fit.log")
    return newest_run(folder, row.config.stem), seconds


def epochs_in(minutes: float, row: Row, options: Sequence[str]) -> int:
    """Number of epochs of a row, including validations, that fit into a time."""
    seconds = []
    for part in (ONE_STEP, ONE_EPOCH, ONE_VALIDATION):
        with tempfile.TemporaryDirectory() as folder:
            run, taken = fit(row, Path(folder), (*options, "--trainer.max_epochs=1", *part))
            seconds.append(taken)
            trainer = yaml.safe_load((run / "config.yaml").read_text())["trainer"]
    start = seconds[0]
    # Start-up time varies; do not let a shorter epoch or validation count as free.
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
    """The largest number of epochs that fits; the last one is always validated."""
    epochs = 0
    while True:
        validations = math.ceil((epochs + 1) / every)
        if start + (epochs + 1) * epoch + validations * validation > seconds:
            return epochs
        epochs += 1


def train_row(
    row: Row, folder: Path, seed: int, options: argparse.Namespace
) -> dict[str, float | None]:
    """Train and validate one row, unless its result exists; return its numbers."""
    common = [f"--data.root={options.data_root}"] if options.data_root else []
    common += [f"--seed_everything={seed}", *options.options]
    settings = {
        "config": str(row.config),
        "options": [*row.options, *common],
        "epochs": row.epochs or options.epochs,
        "budget_minutes": None if row.epochs else options.budget_minutes,
        "test_annotations": options.test_annotations,
    }
    result = folder / "result.json"
    if result.exists():
        known = json.loads(result.read_text())
        if known["settings"] != settings:
            raise InputError(f"{result} has other settings: choose another --output")
        return known["numbers"]
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{row.name}, seed {seed}: training ...", flush=True)
    epochs = settings["epochs"] or epochs_in(options.budget_minutes, row, common)
    run, seconds = fit(row, folder, (*common, f"--trainer.max_epochs={epochs}"))
    test = options.test_annotations
    chosen = [f"--data.val_annotations={test}"] if test else []
    call(
        "validate",
        row,
        (*row.options, *common, f"--ckpt_path={run / 'best.ckpt'}", *chosen),
        folder / "validate.log",
    )
    (measured,) = run.glob("validate-*")
    numbers = {"epochs": epochs, "minutes": seconds / 60} | read_result(measured)
    if test:
        numbers |= read_validation(run)
    with atomic_write(result) as unfinished:
        content = {"settings": settings, "numbers": numbers}
        unfinished.write_text(json.dumps(content, indent=2) + "\n")
    return numbers


def read_result(folder: Path) -> dict[str, float | None]:
    """AP and AP50 over all classes and AP50 of each class, from the files of validate."""
    metrics = json.loads((folder / "metrics.json").read_text())
    with (folder / "per_class.csv").open(newline="") as file:
        classes = {f"AP50 {row['class']}": float(row["AP50"]) for row in csv.DictReader(file)}
    # The AP of a class without objects is undefined.
    classes = {name: None if math.isnan(value) else value for name, value in classes.items()}
    return {"AP": metrics["AP"], "AP50": metrics["AP50"]} | classes


def read_validation(run: Path) -> dict[str, float | None]:
    """AP and AP50 of the validation that selected a run's best checkpoint."""
    columns = read_metrics(run / "metrics.csv")
    precision = np.nan_to_num(columns["AP"], nan=-1)
    # The last one of equal AP, as RunFolder keeps it.
    best = len(precision) - 1 - int(np.argmax(precision[::-1]))
    # AP50 is undefined without objects.
    return {
        f"validation {name}": float(columns[name][best]) if name in columns else None
        for name in ("AP", "AP50")
    }


def over_seeds(found: Sequence[dict[str, float | None]]) -> dict[str, float | None]:
    """Means of a row's numbers; with several seeds also the range of AP and AP50."""
    means = {
        name: None if None in (values := [numbers[name] for numbers in found]) else mean(values)
        for name in found[0]
    }
    if len(found) > 1:
        for name in ("AP", "AP50"):
            values = [numbers[name] for numbers in found]
            known = None not in values
            means[f"spread of {name}"] = max(values) - min(values) if known else None
    return means


def write_table(lines: Sequence[dict[str, Any]], output: Path) -> str:
    """Save table.csv and table.md; return the content of table.md."""
    columns = list(dict.fromkeys(name for line in lines for name in line))
    with (output / "table.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(lines)
    rows = [columns, ["---"] * len(columns)]
    rows += [[as_text(name, line.get(name)) for name in columns] for line in lines]
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    (output / "table.md").write_text(table)
    return table


def as_text(column: str, value: Any) -> str:
    if isinstance(value, float):
        return f"{value:{ {'minutes': '.1f', 'epochs': '.3g'}.get(column, '.3f') }}"
    return "" if value is None else str(value)


def main(arguments: list[str] | None = None) -> None:
    summary, *_ = __doc__.splitlines()
    parser = argparse.ArgumentParser(description=summary)
    add = parser.add_argument
    add("rows", type=Path, metavar="ROWS", help="YAML file of the training runs, see benchmarks/")
    add("--only", nargs="+", metavar="NAME", help="train only these rows")
    add("--data.root", dest="data_root", help="dataset folder; default: the configuration's")
    add("--test-annotations", help="COCO JSON of the test images, relative to data.root")
    add(
        "--seeds",
        type=int,
        nargs="+",
        default=[0],
        help="train every row with each seed (default: 0)",
    )
    add("--output", type=Path, help="output folder (default: runs/ROWS)")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--epochs", type=int, help="number of epochs of rows without their own")
    length.add_argument(
        "--budget-minutes", type=float, help="training time of rows without their own epochs"
    )
    given = sys.argv[1:] if arguments is None else list(arguments)
    # argparse would give the words after "--" to --seeds or --only.
    split = given.index("--") if "--" in given else len(given)
    options = parser.parse_args(given[:split])
    options.options = given[split + 1 :]
    for name in ("epochs", "budget_minutes"):
        value = getattr(options, name)
        if value is not None and value <= 0:
            raise InputError(f"{name} must be positive, got {value:g}")
    rows = read_rows(options.rows)
    unknown = set(options.only or ()) - {row.name for row in rows}
    if unknown:
        names = ", ".join(row.name for row in rows)
        raise InputError(f"{options.rows} has no row {', '.join(unknown)}: choose from {names}")
    output = options.output or Path("runs") / options.rows.stem
    lines: list[dict[str, Any]] = []
    table = ""
    for row in rows:
        if options.only and row.name not in options.only:
            continue
        folder = output / row.name
        found = [train_row(row, folder / f"seed-{s}", s, options) for s in options.seeds]
        lines.append({"row": row.name} | over_seeds(found))
        table = write_table(lines, output)
    print(f"{table}saved in {output}")


if __name__ == "__main__":
    run_and_exit(main)
