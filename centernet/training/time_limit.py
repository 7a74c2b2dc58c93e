"""Train for a given time: ``--max-time 30m``."""

import logging
import sys
from collections.abc import Callable
from time import monotonic
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from centernet.training.durations import format_duration
from centernet.training.pace import Pace
from centernet.training.processes import agree

log = logging.getLogger(__name__)

# The last validation is budgeted with the time of the latest one, multiplied by this.
_MARGIN = 1.1
# The last validation gets at most this fraction of the limit, so that some training remains.
_MOST_FOR_VALIDATION = 0.5
_NEVER = sys.maxsize


class TimeLimit(Callback):
    """Ends training early enough that the last validation ends with the time limit.

    The time counts from the first step of the run; the time before an interruption counts, the
    interruption does not. No other validation starts when there is only time left for the last one.

    Attributes:
        limit: the limit in seconds.
        fraction: fraction of the time for training that is used, 0 to 1; equal in all processes.
            The learning rate follows it.
    """

    def __init__(self, limit: float, pace: Pace) -> None:
        """Limit a run to ``limit`` seconds; ``pace`` measures validations."""
        self.limit, self.fraction = limit, 0.0
        self._pace, self._elapsed, self._left = pace, 0.0, limit
        pace.time_limit = limit
        self._started_at: float | None = None
        self._finished, self._validated = False, -1

    def state_dict(self) -> dict[str, Any]:
        """The seconds used so far, and the limit if it ended the run."""
        return {"elapsed": self._now(), "finished": self.limit if self._finished else 0.0}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the seconds used so far."""
        self._elapsed = state_dict["elapsed"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._started_at = monotonic() - self._elapsed
        self._update(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop if the time for training is used up; do not start a validation shortly before."""
        reserve = self._update(trainer)
        is_last = trainer.current_epoch + 1 == trainer.max_epochs
        if self._left <= self._pace.step_seconds / 2:
            trainer.check_val_every_n_epoch = 1
            self._finish(trainer)
        elif self._left < reserve and not is_last:
            trainer.check_val_every_n_epoch = _NEVER

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember the epoch that was validated."""
        self._validated = trainer.current_epoch

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop if a validation has just run and there is no time for another step."""
        self._update(trainer)
        validated = self._validated == trainer.current_epoch
        if validated and self._left <= self._pace.step_seconds and not trainer.should_stop:
            self._finish(trainer)

    def _finish(self, trainer: Trainer) -> None:
        """End training, and log it once: with trainer.min_epochs it goes on."""
        if trainer.is_global_zero and not self._finished:
            log.info("time limit %s: training ends", format_duration(self.limit))
        self._finished = trainer.should_stop = True

    def seconds_left(self, seconds: float | None) -> float:
        """Seconds until the run ends.

        Args:
            seconds: seconds until its limit of epochs or steps; None without one.
        """
        left = max(0.0, self.limit - self._now())
        return left if seconds is None else min(left, seconds)

    def _now(self) -> float:
        return self._elapsed if self._started_at is None else monotonic() - self._started_at

    def _update(self, trainer: Trainer) -> float:
        """Update the time in all processes alike; return the seconds of the last validation."""
        reserve = _MARGIN * self._pace.validation_seconds(trainer)
        self._elapsed, reserve = agree(trainer, self._now(), reserve)
        reserve = min(reserve, _MOST_FOR_VALIDATION * self.limit)
        self._left = self.limit - reserve - self._elapsed
        self.fraction = min(1.0, self._elapsed / (self.limit - reserve))
        return reserve


def elapsed_fraction(trainer: Trainer) -> Callable[[], float] | None:
    """The fraction of the time limit that is used, as a function; None without a limit."""
    callbacks = trainer.callbacks  # type: ignore[attr-defined] # set by a connector
    limit = next((callback for callback in callbacks if isinstance(callback, TimeLimit)), None)
    return None if limit is None else lambda: limit.fraction
