"""The run folder's callback: checkpoints, metrics, and stopping in a state that can be resumed."""

import csv
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.call import _call_callback_hooks
from torch import Tensor

from centernet.errors import InputError
from centernet.files import atomic_write
from centernet.models.checkpoints import save_file
from centernet.training.epoch_sums import add_logged_sums, collect_sums, restore_callback_sums
from centernet.training.stopping import Stopped, StopSignals

# What a checkpoint holds only to go on training: four times the size of the network.
_TRAINING_STATE = (
    "optimizer_states",
    "lr_schedulers",
    "loops",
    "current_model_state",
    "averaging_state",
)
# The entry of a checkpoint within an epoch: "batches" of the epoch, and the "sums" of its means.
_EPOCH = "unfinished_epoch"
# A checkpoint older than this is renewed before a validation, which is not resumed but repeated.
_BEFORE_VALIDATION = 60.0


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place and moves it there: whole or not at all."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Save ``checkpoint`` at ``path``; the keys in ``storage_options`` are left out."""
        left_out = storage_options or ()
        save_file({k: v for k, v in checkpoint.items() if k not in left_out}, path)


class RunFolder(Checkpoint):
    """Keeps a run's folder: its configuration, metrics, last checkpoint, and best one by AP.

    ``last.ckpt`` is written at the end of every epoch, within an epoch every few minutes, and when
    the process is told to stop.
    """

    def __init__(
        self,
        folder: Path,
        config: str,
        *,
        new: bool,
        minutes: float | None = None,
        signals: StopSignals | None = None,
    ) -> None:
        """Keep a folder.

        Args:
            folder: exists; empty if ``new``.
            config: the YAML to repeat the run.
            new: whether the run begins, and is not resumed.
            minutes: between checkpoints within an epoch; 0 or None for none.
            signals: what tells the process to stop.
        """
        self.folder, self.config, self.new, self.best = folder, config, new, -1.0
        self.minutes, self.signals = minutes, signals or StopSignals()
        self._saved_at = monotonic()
        self._epoch: dict[str, Any] = {}
        self._sums: dict[str, Tensor] = {}

    def state_dict(self) -> dict[str, Any]:
        """The best AP so far."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best AP so far."""
        self.best = state_dict["best"]

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the state of an unfinished epoch."""
        epoch = trainer.fit_loop.epoch_progress.current
        if epoch.processed < epoch.ready:
            checkpoint[_EPOCH] = {
                "batches": trainer.num_training_batches,
                "sums": collect_sums(trainer),
            }

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Remember the state of an unfinished epoch."""
        self._epoch = checkpoint.get(_EPOCH, {})

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """See that a finished epoch is not resumed, with ``max_steps`` too."""
        # Else the trainer ends the last epoch once more, without a step or with a few that are not
        # its own, and counts it twice.
        trainer.fit_loop._iteration_based_training = lambda: False

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the configuration of a new run."""
        if self.new and trainer.is_global_zero:
            with atomic_write(self.folder / "config.yaml") as unfinished:
                unfinished.write_text(self.config)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go to where an unfinished epoch was left; from now on, stop between steps."""
        self._saved_at = monotonic()
        if trainer.fit_loop.restarted_mid_epoch:
            self._resume_epoch(trainer)
        self.signals.deferred = True

    def _resume_epoch(self, trainer: Trainer) -> None:
        batches, now = self._epoch.get("batches"), trainer.num_training_batches
        if batches != now:
            raise InputError(
                f"the checkpoint was saved within an epoch of {batches} batches, but with these "
                f"options an epoch has {now}: resume with the data and batch size of the run"
            )
        done = trainer.fit_loop.epoch_loop.batch_progress.current.processed
        trainer.train_dataloader.start(trainer.current_epoch, done)
        self._sums = self._epoch["sums"]
        restore_callback_sums(trainer, self._sums)
        # The trainer leaves this out when it resumes an epoch.
        _call_callback_hooks(trainer, "on_train_epoch_start")

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """See that the last of ``max_epochs`` is validated, whatever the interval."""
        if trainer.current_epoch + 1 == trainer.max_epochs:
            trainer.check_val_every_n_epoch = 1

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save when it is time; stop if told to."""
        if self._sums:
            add_logged_sums(trainer, self._sums)
            self._sums = {}
        loop = trainer.fit_loop.epoch_loop
        # Accumulated gradients are not kept, and the end of the epoch saves by itself.
        if loop._should_accumulate() or loop._is_training_done:
            return
        requested, due = self._agree(trainer, self.signals.requested, self._is_due(trainer))
        if requested or due:
            pl_module.check_finite()
            self._save_last(trainer)
        if requested:
            raise Stopped(requested)

    def _is_due(self, trainer: Trainer) -> bool:
        loop, age = trainer.fit_loop.epoch_loop, monotonic() - self._saved_at
        left = trainer.num_training_batches - loop.batch_progress.current.ready
        ends = left <= trainer.accumulate_grad_batches and loop._should_check_val_epoch()
        limit = 60 * self.minutes if self.minutes else float("inf")
        return age >= (min(limit, _BEFORE_VALIDATION) if ends and self.minutes else limit)

    @staticmethod
    def _agree(trainer: Trainer, *values: int | bool) -> list[int]:
        """The largest of each value over all processes, which must act alike."""
        if trainer.world_size == 1:
            return [int(value) for value in values]
        device = trainer.strategy.root_device
        agreed = trainer.strategy.reduce(torch.tensor(values, device=device), reduce_op="max")
        return [int(value) for value in agreed]

    def _save_last(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(self.folder / "last.ckpt")
        self._saved_at = monotonic()

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any
    ) -> None:
        """Stop a validation if told to; several processes finish it, for they take other steps."""
        if self.signals.requested and trainer.world_size == 1:
            raise Stopped(self.signals.requested)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write metrics, then checkpoints: resuming from anywhere in between repeats the epoch."""
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        validated = pl_module.validated_epoch == trainer.current_epoch
        if trainer.is_global_zero:
            earlier = [row for row in self._rows() if int(row["epoch"]) < trainer.current_epoch]
            self._write([*earlier, _row(trainer, metrics, validated)])
        # Of equal ones the last: without an object to find, all are 0.
        if validated and metrics["AP"] >= self.best:
            self.best = metrics["AP"]
            trainer.save_checkpoint(self.folder / "best.ckpt", storage_options=_TRAINING_STATE)
        self._save_last(trainer)
        (requested,) = self._agree(trainer, self.signals.requested)
        if requested:
            raise Stopped(requested)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Everything is saved: from now on, stop at once."""
        self.signals.deferred = False

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Tell a person who stopped the run how to resume it."""
        self.signals.deferred = False
        if not isinstance(exception, Stopped):
            return
        launcher = trainer.strategy.launcher
        if not self.signals.requested and hasattr(launcher, "kill"):
            # The processes that this one started, which wait for it.
            launcher.kill(exception.signal)
        last = self.folder / "last.ckpt"
        if last.exists():
            exception.outcome = f"{last} is saved, resume with --ckpt_path last"

    def _rows(self) -> list[dict[str, Any]]:
        path = self.folder / "metrics.csv"
        if not path.exists():
            return []
        with path.open(newline="") as file:
            return list(csv.DictReader(file))

    def _write(self, rows: list[dict[str, Any]]) -> None:
        columns = list(dict.fromkeys(name for row in rows for name in row))
        place = atomic_write(self.folder / "metrics.csv")
        with place as unfinished, unfinished.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)


def _row(trainer: Trainer, metrics: dict[str, float], validated: bool) -> dict[str, Any]:
    trained = {n: value for n, value in metrics.items() if n.split("/")[0] in ("loss", "gradient")}
    scores = {n: value for n, value in metrics.items() if n[:2] in ("AP", "AR", "AU")}
    rate = trainer.optimizers[0].param_groups[0]["lr"]
    row = {"epoch": trainer.current_epoch, "step": trainer.global_step, "learning_rate": rate}
    return row | trained | (scores if validated else {})
