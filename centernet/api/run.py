"""A training run: its folder, metrics and weights."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from centernet.errors import InputError

if TYPE_CHECKING:
    from centernet.inference.detector import Detector

# As in centernet.evaluation.metrics, which imports PyTorch; a test compares the two.
MAIN_METRICS = ("AP", "AP_points")
_COUNTERS = ("epoch", "step")


@dataclass(frozen=True)
class Run:
    """A training run of :func:`centernet.train` or of ``centernet fit``.

    >>> run = Run.open("runs/custom")                                   # doctest: +SKIP
    >>> run.metrics["AP"], run.best                                     # doctest: +SKIP
    >>> [row["loss"] for row in run.history]                            # doctest: +SKIP

    Attributes:
        folder: folder of the run.
    """

    folder: Path

    @classmethod
    def open(cls, folder: str | Path) -> "Run":
        """Open the folder of a run, also of one that is not finished.

        Args:
            folder: as ``runs/custom``.

        Raises:
            InputError: it is not the folder of a run or of a cross-validation.
        """
        run = cls(Path(folder))
        files = ("last.ckpt", "best.ckpt", "metrics.csv", "config.yaml", "folds.json")
        if not any((run.folder / name).is_file() for name in files):
            reason = "is not a training run" if run.folder.is_dir() else "does not exist"
            raise InputError(f"{run.folder} {reason}: give a folder that fit has made")
        return run

    @property
    def best(self) -> Path:
        """Path of ``best.ckpt``, the weights of the epoch with the highest AP.

        Raises:
            InputError: there is none, because no epoch was validated.
        """
        return self._checkpoint("best.ckpt")

    @property
    def last(self) -> Path:
        """Path of ``last.ckpt``, the state to resume from.

        Raises:
            InputError: there is none.
        """
        return self._checkpoint("last.ckpt")

    @property
    def config(self) -> Path:
        """Path of ``config.yaml``, all options of the run."""
        return self.folder / "config.yaml"

    @property
    def report(self) -> Path | None:
        """Path of ``report.html``; None if it was not written."""
        path = self.folder / "report.html"
        return path if path.is_file() else None

    @property
    def folds(self) -> list["Run"]:
        """The runs of a cross-validation; empty for a single run."""
        if not self._is_cross_validation:
            return []
        count = json.loads((self.folder / "folds.json").read_text())["folds"]
        return [Run(self.folder / f"fold-{fold}") for fold in range(1, count + 1)]

    @property
    def history(self) -> list[dict[str, Any]]:
        """The rows of ``metrics.csv``, one per epoch.

        Each has ``epoch`` and ``step`` as integers, ``learning_rate`` and losses, and after a
        validation the metrics. Values that an epoch lacks are left out.
        """
        path = self.folder / "metrics.csv"
        if not path.is_file():
            return []
        with path.open(newline="") as file:
            return [_numbers(row) for row in csv.DictReader(file)]

    @property
    def metrics(self) -> dict[str, Any]:
        """The row of :attr:`history` of the best epoch, whose weights ``best.ckpt`` has.

        Empty if no epoch was validated. Of a cross-validation, the mean over the folds.
        """
        if self._is_cross_validation:
            return dict(json.loads((self.folder / "folds.json").read_text()).get("mean", {}))
        rows = [row for row in self.history if self.metric in row]
        # Of equal epochs the latest, as in training.
        return max(reversed(rows), key=lambda row: row[self.metric], default={})

    @property
    def metric(self) -> str:
        """The metric that chooses the best epoch: ``AP``, or ``AP_points`` for points."""
        found = (name for name in MAIN_METRICS if any(name in row for row in self.history))
        return next(found, MAIN_METRICS[0])

    def detector(self, **options: Any) -> "Detector":
        """Load ``best.ckpt``.

        Args:
            **options: those of :meth:`centernet.Detector.load`.

        Raises:
            InputError: there is no ``best.ckpt``, or an option is wrong.
        """
        from centernet.inference.detector import Detector

        return Detector.load(self.best, **options)

    def __repr__(self) -> str:
        best = self.metrics.get(self.metric)
        value = "" if best is None else f", best {self.metric} {best:.3f}"
        return f"Run({str(self.folder)!r}, {len(self.history)} epochs{value})"

    def _repr_html_(self) -> str:
        """The metrics and their curves, for a notebook."""
        from centernet.api.pages import run_html

        return run_html(self)

    @property
    def _is_cross_validation(self) -> bool:
        return (self.folder / "folds.json").is_file()

    def _checkpoint(self, name: str) -> Path:
        path = self.folder / name
        if path.is_file():
            return path
        remedy = "no epoch was validated" if name == "best.ckpt" else "no epoch was trained"
        if self._is_cross_validation:
            remedy = "a cross-validation has one per fold, in run.folds"
        raise InputError(f"{self.folder} has no {name}: {remedy}")


def _numbers(row: dict[str, str]) -> dict[str, Any]:
    known = {name: value for name, value in row.items() if value}
    return {n: int(value) if n in _COUNTERS else float(value) for n, value in known.items()}
