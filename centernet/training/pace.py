"""How long the steps and validations of a training run take, and how much time is left."""

import logging
import math
from time import monotonic
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from centernet.training.durations import format_duration

log = logging.getLogger(__name__)

# The first estimate is logged after this many timed steps and seconds, or after the second number
# of steps.
_FIRST_STEPS, _FIRST_SECONDS, _ENOUGH_STEPS = 3, 2.0, 20
# Time of a validation batch before a validation is measured, as a fraction of a training step's.
_VALIDATION_BATCH = 0.6


class Pace(Callback):
    """Measures steps and validations, and estimates the time that is left.

    Everything between two steps counts as part of the steps, except validations. The first step
    waits for loaders and compilation and is not timed.

    Attributes:
        time_limit: limit of the run in seconds, for the first estimate; None without one.
        epoch_start: time of the start of the epoch.
    """

    def __init__(self) -> None:
        """Start without a measurement."""
        self.time_limit: float | None = None
        self.epoch_start = monotonic()
        self._mark: float | None = None
        self._validation_start = 0.0
        self._seconds, self._steps = 0.0, 0
        self._validation: float | None = None
        self._logged = False
        self._every = 1

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start measuring."""
        self._mark = None
        self._every = trainer.check_val_every_n_epoch or 1
        self.epoch_start = monotonic()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember the start of the epoch."""
        self.epoch_start = monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure the step; log the first estimate as soon as there is one."""
        now = monotonic()
        if self._mark is not None:
            self._seconds += now - self._mark
            self._steps += 1
        self._mark = now
        if not self._logged and self._is_known():
            self._logged = True
            if trainer.is_global_zero:
                log.info("%s", self._first_line(trainer, batch_idx))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The line of the epoch replaces the first estimate."""
        self._logged = self._logged or self._steps > 0

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start measuring a validation."""
        self._validation_start = monotonic()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure the validation."""
        now = monotonic()
        self._validation = now - self._validation_start
        if self._mark is not None:
            self._mark += self._validation

    def _is_known(self) -> bool:
        enough = self._steps >= _FIRST_STEPS and self._seconds >= _FIRST_SECONDS
        return enough or self._steps >= _ENOUGH_STEPS

    def _first_line(self, trainer: Trainer, batch_idx: int) -> str:
        epoch, left = self.epoch_seconds(trainer), self.seconds_left(trainer, batch_idx)
        line = f"about {format_duration(epoch)} per epoch"
        if self.time_limit is not None and (left is None or self.time_limit < left):
            epochs = max(1, round(self.time_limit / epoch))
            return f"{line}, about {_epochs(epochs)} in {format_duration(self.time_limit)}"
        if left is None:
            return line
        if trainer.max_epochs is not None and trainer.max_epochs > 0:
            more = "more " if trainer.current_epoch else ""
            number = _epochs(trainer.max_epochs - trainer.current_epoch, more)
            return f"{line}, about {format_duration(left)} for {number}"
        return f"{line}, about {format_duration(left)} left"

    @property
    def step_seconds(self) -> float:
        """Mean seconds of a step; 0 before the second step."""
        return self._seconds / self._steps if self._steps else 0.0

    def validation_seconds(self, trainer: Trainer) -> float:
        """Seconds of the latest validation; before the first one, an estimate from the steps."""
        if not trainer.enable_validation:
            return 0.0
        if self._validation is not None:
            return self._validation
        return _VALIDATION_BATCH * self.step_seconds * _validation_batches(trainer)

    def epoch_seconds(self, trainer: Trainer) -> float:
        """Mean seconds of an epoch, with its share of the validations."""
        steps = self.step_seconds * trainer.num_training_batches
        return steps + self.validation_seconds(trainer) / self._every

    def epoch_left(self, trainer: Trainer, batch_idx: int) -> float:
        """Seconds left in the epoch after a batch, with its validation."""
        validates = self._validations(trainer, trainer.current_epoch, trainer.current_epoch + 1)
        steps = self.step_seconds * (trainer.num_training_batches - batch_idx - 1)
        return steps + validates * self.validation_seconds(trainer)

    def seconds_left(self, trainer: Trainer, batch_idx: int = -1) -> float | None:
        """Seconds left after a batch of the current epoch; None without a limit.

        Args:
            trainer: the trainer, with its limits.
            batch_idx: index of the batch; -1 before the first one.
        """
        batches = _batches_left(trainer, batch_idx)
        if batches is None:
            return None
        done = trainer.current_epoch + (batch_idx + 1) / trainer.num_training_batches
        end = math.ceil(done + batches / trainer.num_training_batches - 1e-6)
        validations = self._validations(trainer, math.floor(done), end)
        return batches * self.step_seconds + validations * self.validation_seconds(trainer)

    def _validations(self, trainer: Trainer, first: int, end: int) -> int:
        """Number of validations in the epochs from ``first`` to before ``end``."""
        is_last = trainer.max_epochs == end and end % self._every > 0 and end > first
        return end // self._every - first // self._every + is_last


def _epochs(number: int, more: str = "") -> str:
    return f"{number} {more}epoch{'' if number == 1 else 's'}"


def _batches_left(trainer: Trainer, batch_idx: int) -> int | None:
    """Batches until the limit of epochs or steps; None without a limit."""
    limits = []
    if trainer.max_epochs is not None and trainer.max_epochs > 0:
        epochs = trainer.max_epochs - trainer.current_epoch
        limits.append(epochs * int(trainer.num_training_batches) - batch_idx - 1)
    if trainer.max_steps > 0:
        steps = trainer.max_steps - trainer.global_step
        limits.append(steps * trainer.accumulate_grad_batches)
    return max(0, min(limits)) if limits else None


def _validation_batches(trainer: Trainer) -> int:
    """Batches of a validation. The trainer counts them at the start of the first one."""
    if batches := sum(trainer.num_val_batches):
        return int(batches)
    data: Any = trainer.datamodule  # type: ignore[attr-defined] # set by the trainer's methods
    batches = math.ceil(len(data.val_set) / data.val_batch_size(trainer.world_size))
    limit = trainer.limit_val_batches
    return int(batches * limit if isinstance(limit, float) else min(batches, limit))
