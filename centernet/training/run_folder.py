"""Callback of the run folder: checkpoints, metrics, and stopping so that a run can be resumed.

Lightning has no public access to some states of its loops: each use of a private attribute has a
comment, and tests/training/test_private_api.py fails when one changes.
"""

import logging
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.call import _call_callback_hooks
from torch import Tensor

from centernet.errors import InputError
from centernet.evaluation.metrics import MAIN_METRICS
from centernet.files import atomic_write
from centernet.models.checkpoints import save_file
from centernet.training.early_stop import EarlyStop
from centernet.training.epoch_sums import collect_sums, restore_sums
from centernet.training.loaders import ResumableLoader
from centernet.training.metrics_file import add_epoch
from centernet.training.pace import Pace
from centernet.training.processes import agree
from centernet.training.progress import RunTime, epoch_name
from centernet.training.rng import collect_rng_states, restore_rng_state
from centernet.training.stopping import Stopped, StopSignals

if TYPE_CHECKING:
    from centernet.training.task import DetectionTask

log = logging.getLogger(__name__)

# Entries of a checkpoint that only resuming needs: four times the size of the network.
_TRAINING_STATE = (
    "optimizer_states",
    "lr_schedulers",
    "loops",
    "current_model_state",
    "averaging_state",
    "rng_states",
)
# Entry of a checkpoint with the states of torch's random numbers (processes, n).
_RNG = "rng_states"
# Entry of a checkpoint within an epoch: "batches" of the epoch, and "sums" of its means.
_EPOCH = "unfinished_epoch"
# Before a validation, a checkpoint older than this many seconds is renewed: resuming repeats the
# validation.
_BEFORE_VALIDATION = 60.0


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints atomically."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Save ``checkpoint`` at ``path`` without the keys in ``storage_options``."""
        left_out = storage_options or ()
        save_file({k: v for k, v in checkpoint.items() if k not in left_out}, path)


class RunFolder(Checkpoint):
    """Writes the run folder: configuration, metrics, last checkpoint, and best checkpoint by AP.

    ``last.ckpt`` is written after every epoch, every few minutes within an epoch, and when a signal
    stops the process.
    """

    def __init__(
        self,
        folder: Path,
        config: str,
        *,
        new: bool,
        minutes: float | None = None,
        signals: StopSignals | None = None,
        time: RunTime | None = None,
        early_stop: EarlyStop | None = None,
    ) -> None:
        """Write into a folder.

        Args:
            folder: an existing folder, empty if ``new``.
            config: YAML that reproduces the run.
            new: whether the run is new and not resumed.
            minutes: minutes between checkpoints within an epoch; 0 or None for none.
            signals: signals that stop the process.
            time: the time left, for the line of each epoch.
            early_stop: when to stop because AP no longer improves; never by default.
        """
        self.folder, self.config, self.new, self.best = folder, config, new, -1.0
        self.metric = MAIN_METRICS[0]
        self.minutes, self.signals = minutes, signals or StopSignals()
        self.time, self.early_stop = time or RunTime(Pace()), early_stop or EarlyStop()
        self._saved_at = monotonic()
        self._epoch: dict[str, Any] = {}
        self._rng: Tensor | None = None

    def state_dict(self) -> dict[str, Any]:
        """The best AP so far, and the state of early stopping."""
        return {"best": self.best} | self.early_stop.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best AP so far, and the state of early stopping."""
        self.best = state_dict["best"]
        self.early_stop.load_state_dict(state_dict)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the state of random numbers and of an unfinished epoch."""
        checkpoint[_RNG] = collect_rng_states(trainer)
        # Typed as a tracker without ``processed``, which it always has.
        epoch: Any = trainer.fit_loop.epoch_progress.current
        if epoch.processed < epoch.ready:
            checkpoint[_EPOCH] = {
                "batches": trainer.num_training_batches,
                "sums": collect_sums(trainer),
            }

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the state of random numbers and of an unfinished epoch until training starts."""
        self._epoch, self._rng = checkpoint.get(_EPOCH, {}), checkpoint.get(_RNG)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Make runs with ``max_steps`` resume after a finished epoch, like those with epochs."""
        # Private: otherwise the trainer ends the last epoch again, without a step or with a few of
        # the next one, and counts it twice. No option turns this off.
        trainer.fit_loop._iteration_based_training = lambda: False  # type: ignore[method-assign]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the configuration of a new run."""
        if trainer.world_size == 1:
            self.signals.check()
        if self.new and trainer.is_global_zero:
            with atomic_write(self.folder / "config.yaml") as unfinished:
                unfinished.write_text(self.config)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Continue an unfinished epoch; from now on, signals stop the run between steps."""
        self._saved_at = monotonic()
        if trainer.fit_loop.restarted_mid_epoch:
            self._resume_epoch(trainer)
        if self._rng is not None:
            restore_rng_state(trainer, self._rng)
        self.signals.deferred = True

    def _resume_epoch(self, trainer: Trainer) -> None:
        batches, now = self._epoch.get("batches"), trainer.num_training_batches
        if batches != now:
            raise InputError(
                f"the checkpoint was saved within an epoch of {batches} batches, but with these "
                f"options an epoch has {now}: resume with the data and batch size of the run"
            )
        progress: Any = trainer.fit_loop.epoch_loop.batch_progress.current
        loader = trainer.train_dataloader
        assert isinstance(loader, ResumableLoader)
        loader.start(trainer.current_epoch, progress.processed)
        restore_sums(trainer, self._epoch["sums"])
        # Private: the trainer skips this hook when it resumes an epoch, and callbacks need it.
        _call_callback_hooks(trainer, "on_train_epoch_start")

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validate the last of ``max_epochs`` at any validation interval."""
        if trainer.current_epoch + 1 == trainer.max_epochs:
            trainer.check_val_every_n_epoch = 1

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save a checkpoint if one is due; stop if a signal was received."""
        loop = trainer.fit_loop.epoch_loop
        # Private: no public method tells these two. Checkpoints have no accumulated gradients, and
        # the end of the epoch saves its own.
        if loop._should_accumulate() or loop._is_training_done:
            return
        requested, due = agree(trainer, self.signals.requested, self._is_due(trainer))
        if requested or due:
            cast("DetectionTask", pl_module).check_finite()
            self._save_last(trainer)
        if requested:
            raise Stopped(int(requested))

    def _is_due(self, trainer: Trainer) -> bool:
        loop, age = trainer.fit_loop.epoch_loop, monotonic() - self._saved_at
        left = trainer.num_training_batches - loop.batch_progress.current.ready
        # Private: whether this epoch ends with a validation.
        ends = left <= trainer.accumulate_grad_batches and loop._should_check_val_epoch()
        limit = 60 * self.minutes if self.minutes else float("inf")
        return age >= (min(limit, _BEFORE_VALIDATION) if ends and self.minutes else limit)

    def _save_last(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(self.folder / "last.ckpt")
        self._saved_at = monotonic()

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any
    ) -> None:
        """Stop a validation after a signal; several processes finish it, as their steps differ."""
        if trainer.world_size == 1:
            self.signals.check()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write metrics, then checkpoints; a run that stops in between repeats the epoch."""
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        task = cast("DetectionTask", pl_module)
        validated = task.validated_epoch == trainer.current_epoch
        if trainer.is_global_zero:
            add_epoch(self.folder / "metrics.csv", trainer, metrics, validated=validated)
        is_best = validated and self._is_best(metrics)
        if is_best:
            trainer.save_checkpoint(self.folder / "best.ckpt", storage_options=_TRAINING_STATE)
        if validated and self.early_stop.is_due(metrics[self.metric], trainer.current_epoch):
            trainer.should_stop = True
        self._save_last(trainer)
        if trainer.is_global_zero:
            names = task.evaluation.headline if task.evaluation else (self.metric,)
            scores = {name: metrics[name] for name in names if validated and name in metrics}
            line = self.time.epoch_line(trainer, metrics["loss"], scores, is_best=is_best)
            log.info("%s", line)
            if self.early_stop.message and trainer.should_stop:
                log.info("%s", self.early_stop.message)
        (requested,) = agree(trainer, self.signals.requested)
        if requested:
            raise Stopped(int(requested))

    def _is_best(self, metrics: dict[str, float]) -> bool:
        """Whether a validation is the best one; the latest of equal ones.

        Without objects, every AP is 0.
        """
        self.metric = next(name for name in MAIN_METRICS if name in metrics)
        if metrics[self.metric] < self.best:
            return False
        self.best = metrics[self.metric]
        return True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Everything is saved: from now on, signals stop the process at once."""
        self.signals.deferred = False

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """End the loader workers; add to the message of a stopped run what is saved."""
        self.signals.deferred = False
        # After an exception in a validation, the trainer forgets the workers that load training
        # images. They ignore the signal that ends them, so the process would wait forever.
        trainer.fit_loop.teardown()
        if not isinstance(exception, Stopped):
            return
        launcher = trainer.strategy.launcher
        if launcher and not self.signals.requested and hasattr(launcher, "kill"):
            # The processes that this one started wait for it.
            launcher.kill(exception.signal)
        last = self.folder / "last.ckpt"
        if last.exists():
            # The epoch counter is one less in a validation, which resuming repeats.
            exception.is_saved = True
            exception.outcome = f"{epoch_name(trainer)}, {last} is saved"
