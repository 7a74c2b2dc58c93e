"""The file ``metrics.csv`` of a run: one row for each epoch."""

import csv
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer

from centernet.files import atomic_write


def add_epoch(path: Path, trainer: Trainer, metrics: dict[str, float], *, validated: bool) -> None:
    """Add the row of the current epoch; the rows of it and of later epochs are replaced.

    Args:
        path: the file, which may not exist.
        trainer: the trainer, at the end of the epoch.
        metrics: losses and scores by name.
        validated: whether the epoch was validated; else the scores are those of an earlier one.
    """
    earlier = [row for row in _rows(path) if int(row["epoch"]) < trainer.current_epoch]
    rows = [*earlier, _row(trainer, metrics, validated)]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with atomic_write(path) as unfinished, unfinished.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def _rows(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _row(trainer: Trainer, metrics: dict[str, float], validated: bool) -> dict[str, Any]:
    trained = {n: value for n, value in metrics.items() if n.split("/")[0] in ("loss", "gradient")}
    scores = {
        n: value
        for n, value in metrics.items()
        if n[:2] in ("AP", "AR", "AU") or n.endswith("_points")
    }
    rate = trainer.optimizers[0].param_groups[0]["lr"]
    row = {"epoch": trainer.current_epoch, "step": trainer.global_step, "learning_rate": rate}
    return row | trained | (scores if validated else {})
