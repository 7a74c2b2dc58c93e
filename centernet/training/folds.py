"""Cross-validation: one training run for each fold, and the mean and spread of their results."""

import csv
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import mean, stdev
from time import monotonic
from typing import Any

import torch.distributed
from rich.console import Console
from rich.table import Table

from centernet.errors import InputError
from centernet.files import atomic_write
from centernet.training.commands import resume_command
from centernet.training.config_data import data_of_config
from centernet.training.durations import format_duration
from centernet.training.runs import new_run
from centernet.training.stopping import Stopped

log = logging.getLogger(__name__)

# The file that marks the folder of a cross-validation, and holds its results.
SUMMARY = "folds.json"
_METRICS = ("AP", "AP50", "AP_points", "F1_points")  # of boxes, or of points


class FoldsRequested(Exception):
    """``fit`` has ``--data.folds`` without ``--data.fold``: a run for each fold is wanted.

    Attributes:
        root: folder of the runs.
        name: name of a new run.
        folds: number of folds.
        checkpoint: the option ``--ckpt_path``.
    """

    def __init__(self, root: Path, name: str, folds: int, checkpoint: str | None) -> None:
        """Describe the request."""
        super().__init__(name)
        self.root, self.name, self.folds, self.checkpoint = root, name, folds, checkpoint


def fold_name(fold: int) -> str:
    """The name of a fold's run folder, and of its validation split."""
    return f"fold-{fold}"


def is_cross_validation(folder: Path) -> bool:
    """Whether a folder holds the runs of a cross-validation."""
    return (folder / SUMMARY).is_file()


def cross_validate(
    request: FoldsRequested, arguments: Sequence[str], run: Callable[[list[str]], None]
) -> Path:
    """Train and validate one model for each fold, then print and save the results.

    Args:
        request: what ``fit`` was asked for.
        arguments: arguments of ``fit``, without the subcommand.
        run: runs ``fit`` or ``validate`` with arguments.

    Returns:
        The folder of the runs.

    Raises:
        InputError: an option is wrong, or a fold cannot be trained.
    """
    folder, folds = _open(request), request.folds
    log.info("cross-validation with %d folds in %s", folds, folder)
    try:
        _train_all(folder, folds, arguments, run)
    except Stopped as stopped:
        resume = f"  resume: {resume_command(arguments, 'last')}"
        if stopped.is_printed:
            log.info("%s", resume)
        else:
            stopped.outcome = f"finished folds are kept in {folder}\n{resume}"
        raise
    rows, summary = _summarize(folder, folds)
    _save(folder, folds, rows, summary)
    Console().print(_table(rows, summary))
    print(f"saved in {folder / SUMMARY}; detections of all images: {folder / 'detections.json'}")
    return folder


def _train_all(
    folder: Path, folds: int, arguments: Sequence[str], run: Callable[[list[str]], None]
) -> None:
    """Train and validate the folds that are not finished."""
    start, trained = monotonic(), 0
    for fold in range(1, folds + 1):
        if _metrics_file(folder, fold).exists():
            log.info("fold %d of %d is finished", fold, folds)
            continue
        left = (monotonic() - start) / trained * (folds - fold + 1) if trained else None
        remaining = "" if left is None else f", about {format_duration(left)} left"
        log.info("fold %d of %d%s", fold, folds, remaining)
        _train(folder / fold_name(fold), fold, arguments, run)
        trained += 1


def _open(request: FoldsRequested) -> Path:
    """The folder of a new cross-validation, or of the one to resume."""
    if request.checkpoint is None:
        folder = new_run(request.root, request.name)
        _write_json(folder / SUMMARY, {"folds": request.folds})
        return folder
    if request.checkpoint != "last":
        raise InputError(
            f"--ckpt_path {request.checkpoint} is one run, and --data.folds {request.folds} are "
            "several: give --ckpt_path last, or --data.fold to resume one of them"
        )
    pattern = re.compile(re.escape(request.name) + r"(?:-(\d+))?")
    found = {
        int(match[1] or 1): path.parent
        for path in request.root.glob(f"*/{SUMMARY}")
        if (match := pattern.fullmatch(path.parent.name))
    }
    if not found:
        raise InputError(
            f"no cross-validation to resume: there is no {SUMMARY} in {request.root / request.name}"
            "; omit --ckpt_path"
        )
    folder = found[max(found)]
    folds = json.loads((folder / SUMMARY).read_text())["folds"]
    if folds != request.folds:
        raise InputError(
            f"{folder} has {folds} folds, not {request.folds}: resume it with --data.folds {folds}"
        )
    return folder


def _train(
    folder: Path, fold: int, arguments: Sequence[str], run: Callable[[list[str]], None]
) -> None:
    """Train or resume one fold, and detect the objects of its validation images."""
    last, best = folder / "last.ckpt", folder / "best.ckpt"
    common = [*arguments, f"--data.fold={fold}", f"--trainer.default_root_dir={folder.parent}"]
    checkpoint = str(last) if last.exists() else "null"
    for words in (
        ["fit", *common, f"--ckpt_path={checkpoint}"],
        ["validate", *common, f"--ckpt_path={best}"],
    ):
        with _own_process(words):
            run(words)


@contextmanager
def _own_process(words: Sequence[str]) -> Iterator[None]:
    """Let a run start processes for further GPUs, as if this process had been started for it.

    They repeat the arguments of this process. A run leaves environment variables and a process
    group, with which the next one would wait for processes instead of starting them.
    """
    arguments, variables = sys.argv[1:], dict(os.environ)
    sys.argv[1:] = words
    try:
        yield
    finally:
        sys.argv[1:] = arguments
        os.environ.clear()
        os.environ.update(variables)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _metrics_file(folder: Path, fold: int) -> Path:
    name = fold_name(fold)
    return folder / name / f"validate-{name}" / "metrics.json"


def _summarize(folder: Path, folds: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The metrics of each fold, and their mean and standard deviation."""
    rows = []
    for fold in range(1, folds + 1):
        metrics = json.loads(_metrics_file(folder, fold).read_text())
        own = {name: metrics[name] for name in _METRICS if name in metrics}
        rows.append({"fold": fold} | own)
    names = [name for name in rows[0] if name != "fold"]
    known = {name: [row[name] for row in rows if row[name] is not None] for name in names}
    return rows, {
        "mean": {name: mean(values) if values else None for name, values in known.items()},
        "std": {name: stdev(v) if len(v) > 1 else None for name, v in known.items()},
    }


def _save(
    folder: Path, folds: int, rows: Sequence[dict[str, Any]], summary: dict[str, Any]
) -> None:
    """Write the results, and the detections and annotations of all images."""
    source = data_of_config(folder / fold_name(1) / "config.yaml").source
    parts = [split.coco for split in source.fold_splits()]
    numbered = list(enumerate(parts, 1))
    _write_json(
        folder / "annotations.json",
        {
            "images": [image | {"fold": fold} for fold, p in numbered for image in p["images"]],
            "annotations": [annotation for part in parts for annotation in part["annotations"]],
            "categories": parts[0]["categories"],
        },
    )
    files = (_metrics_file(folder, k).with_name("detections.json") for k in range(1, folds + 1))
    detections = [entry for file in files for entry in json.loads(file.read_text())]
    _write_json(folder / "detections.json", detections)
    place = atomic_write(folder / "folds.csv")
    with place as unfinished, unfinished.open("w", newline="") as table:
        writer = csv.DictWriter(table, rows[0])
        writer.writeheader()
        writer.writerows(rows)
        writer.writerows({"fold": name} | values for name, values in summary.items())
    _write_json(folder / SUMMARY, {"folds": folds, "results": list(rows)} | summary)


def _write_json(path: Path, content: Any) -> None:
    with atomic_write(path) as unfinished:
        unfinished.write_text(json.dumps(content))


def _table(rows: Sequence[dict[str, Any]], summary: dict[str, Any]) -> Table:
    names = [name for name in rows[0] if name != "fold"]
    table = Table("fold", *names)
    for row in [*rows, *({"fold": name} | values for name, values in summary.items())]:
        numbers = ("-" if row[name] is None else f"{row[name]:.3f}" for name in names)
        table.add_row(str(row["fold"]), *numbers, end_section=row is rows[-1])
    return table
