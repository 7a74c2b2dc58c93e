"""Progress of training as lines of the log, for output to a file or a pipe."""

import logging
from datetime import timedelta
from time import monotonic
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

log = logging.getLogger(__name__)

PROGRESS_STEPS = 5  # steps between two updates of the progress bar; each waits for the device

# Seconds between lines: a tenth of the time since the start, within these limits.
_SHORTEST, _LONGEST, _FRACTION = 10.0, 300.0, 0.1


class ProgressLines(Callback):
    """Logs the epoch, the mean loss since the last line, and the time left."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start measuring; the first batch waits for loaders and compilation and is not timed."""
        self._last = monotonic()
        self._start: float | None = None
        self._batches = self._counted = 0
        self._loss: Any = 0.0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log a line if one is due. The loss is read then only, because that waits for a GPU."""
        self._counted += 1
        self._loss = self._loss + outputs["loss"].detach()
        now = monotonic()
        if self._start is None:
            self._start = now
            return
        self._batches += 1
        elapsed = now - self._start
        if now - self._last < min(_LONGEST, max(_SHORTEST, _FRACTION * elapsed)):
            return
        seconds = elapsed / self._batches
        number, epoch = int(trainer.num_training_batches), trainer.current_epoch
        left = _batches_left(trainer, batch_idx)
        if trainer.is_global_zero:
            log.info(
                "epoch %d, step %d of %d: loss %.3f, %.1f s per epoch%s",
                epoch,
                batch_idx + 1,
                number,
                float(self._loss) / self._counted,
                seconds * number,
                "" if left is None else f", about {timedelta(seconds=round(seconds * left))} left",
            )
        self._last, self._counted, self._loss = now, 0, 0.0


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
