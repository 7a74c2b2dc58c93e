"""Experiment trackers: TensorBoard, Weights & Biases and MLflow, by the option ``--log``.

The loggers are Lightning's. This module names runs, stores, pictures and reports for each of them.
Local runs of W&B and MLflow are in the folder of all runs, so that they can be compared.
"""

import importlib.util
import json
import logging
import os
import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from numpy.typing import NDArray

from centernet.errors import InputError
from centernet.files import atomic_write
from centernet.installation import install_command

# Name of the option: the library that it needs; csv is metrics.csv, which every run has.
TRACKERS = {"tensorboard": None, "csv": None, "wandb": "wandb", "mlflow": "mlflow"}
PROJECT = "centernet"  # project in W&B, experiment in MLflow
IDS_FILE = "trackers.json"  # ids of the run in W&B and MLflow, so that a resumed run continues them
_NOT_ALLOWED = re.compile(r"[^a-zA-Z0-9_./ -]")  # in names of MLflow


def validate_trackers(names: Sequence[str]) -> None:
    """Raise InputError if a tracker is unknown or its library is not installed."""
    for name in names:
        if name not in TRACKERS:
            raise InputError(f"--log {name} is unknown: choose from {', '.join(TRACKERS)}")
        library = TRACKERS[name]
        if library and importlib.util.find_spec(library) is None:
            raise InputError(f"--log {name} needs a library: {install_command(name)}")


class _Events(TensorBoardLogger):
    """Writes TensorBoard events only; config.yaml has what hparams.yaml would have."""

    def save(self) -> None:
        self.experiment.flush()


def make_loggers(names: Sequence[str], folder: Path, done: int | None) -> list[Logger]:
    """The loggers of a run.

    Args:
        names: names of trackers.
        folder: the run folder, whose name is the name of the run.
        done: steps of the run to resume; None for a new run.
    """
    loggers: list[Logger] = []
    if "tensorboard" in names:
        # TensorBoard hides the events that a resumed run repeats.
        loggers.append(_Events(folder, "", "", purge_step=None if done is None else done + 1))
    ids = read_ids(folder) if done is not None else {}
    if "wandb" in names:
        loggers.append(_wandb(folder, ids.get("wandb")))
    if "mlflow" in names:
        loggers.append(_mlflow(folder, ids.get("mlflow")))
    return loggers


def _wandb(folder: Path, run_id: str | None) -> WandbLogger:
    """A logger of W&B: online after ``wandb login``, else offline; WANDB_MODE overrides this."""
    import wandb

    mode = os.environ.get("WANDB_MODE")
    if not mode:
        mode = "online" if wandb.login(prompt=False) else "offline"
    return WandbLogger(
        name=folder.name,
        project=os.environ.get("WANDB_PROJECT", PROJECT),
        id=run_id or secrets.token_hex(4),
        save_dir=folder.parent,
        mode=mode,
    )


def _mlflow(folder: Path, run_id: str | None) -> MLFlowLogger:
    """A logger of MLflow, in SQLite without a server; MLFLOW_TRACKING_URI names a server."""
    import mlflow  # noqa: F401 - sets the level of its logger

    for name in ("mlflow", "alembic", MLFlowLogger.__module__):  # they log the creation of tables
        logging.getLogger(name).setLevel(logging.ERROR)
    root = folder.parent.resolve()
    server = os.environ.get("MLFLOW_TRACKING_URI")
    return MLFlowLogger(
        experiment_name=os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT),
        run_name=folder.name,
        tracking_uri=server or f"sqlite:///{root / 'mlflow.db'}",
        artifact_location=None if server else (root / "mlartifacts").as_uri(),
        run_id=run_id,
    )


class TrackedRun(Callback):
    """Logs the options of a run, and saves its ids so that a resumed run continues."""

    def __init__(self, folder: Path, config: str, *, new: bool) -> None:
        """Describe the run.

        Args:
            folder: the run folder.
            config: YAML that reproduces the run.
            new: whether the run is new and not resumed.
        """
        self._folder, self._config, self._new = folder, config, new

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the options of a new run; continue a resumed one."""
        if not trainer.is_global_zero:
            return
        ids = read_ids(self._folder)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger) and self._new:
                logger.experiment.add_text("config.yaml", f"```yaml\n{self._config}```")
            elif isinstance(logger, WandbLogger):
                logger.log_hyperparams(yaml.safe_load(self._config))
                ids["wandb"] = str(logger.version)
            elif isinstance(logger, MLFlowLogger):
                ids["mlflow"] = str(logger.run_id)
                if self._new:  # parameters of MLflow cannot change
                    logger.log_hyperparams(yaml.safe_load(self._config))
                logger.experiment.update_run(ids["mlflow"], status="RUNNING")
        if ids:
            with atomic_write(self._folder / IDS_FILE) as unfinished:
                unfinished.write_text(json.dumps(ids))


def read_ids(folder: Path) -> dict[str, str]:
    """The ids of a run in W&B and MLflow, by tracker; empty if it has none."""
    path = folder / IDS_FILE
    return json.loads(path.read_text()) if path.is_file() else {}


def log_picture(logger: Logger, name: str, picture: NDArray[np.uint8], step: int) -> None:
    """Log a picture (H, W, 3) uint8 RGB, if the logger takes pictures."""
    if isinstance(logger, TensorBoardLogger):
        logger.experiment.add_image(name, picture, step, dataformats="HWC")
    elif isinstance(logger, WandbLogger):
        logger.log_image(name, [picture], step)
    elif isinstance(logger, MLFlowLogger):
        key = _NOT_ALLOWED.sub("", name)
        logger.experiment.log_image(str(logger.run_id), picture, key=key, step=step)


def log_report(loggers: Sequence[Logger], pages: Sequence[Path]) -> None:
    """Add the pages of a report to the run, if the tracker stores files."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            import wandb

            artifact = wandb.Artifact(f"report-{logger.version}", type="report")
            for page in pages:
                artifact.add_file(str(page))
            logger.experiment.log_artifact(artifact)
        elif isinstance(logger, MLFlowLogger):
            for page in pages:
                logger.experiment.log_artifact(str(logger.run_id), str(page))


def finish(loggers: Sequence[Logger], *, stopped: bool = False) -> None:
    """Tell the trackers that the run is complete, or that a signal stopped it."""
    for logger in loggers:
        if isinstance(logger, WandbLogger) and not stopped:  # else W&B does it at the exit
            logger.experiment.finish()
        elif isinstance(logger, MLFlowLogger):
            status: Any = "KILLED" if stopped else "FINISHED"
            logger.experiment.set_terminated(str(logger.run_id), status)
