"""Progress of training: a bar on a terminal, and lines of the log."""

import logging
import sys
from time import monotonic
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.callbacks.progress.rich_progress import (
    CustomTimeColumn,
    ProcessingSpeedColumn,
)
from rich.progress import ProgressColumn, Task
from rich.text import Text

from centernet.training.durations import format_duration
from centernet.training.pace import Pace
from centernet.training.time_limit import TimeLimit

log = logging.getLogger(__name__)

PROGRESS_STEPS = 5  # steps between two updates of the progress bar; each waits for the device

# Seconds between lines: a tenth of the time since the start, within these limits.
_SHORTEST, _LONGEST, _FRACTION = 10.0, 300.0, 0.1


class RunTime:
    """The time that is left in a run, from its pace and its time limit.

    Attributes:
        pace: measures steps and validations.
        limit: the time limit; None without one.
    """

    def __init__(self, pace: Pace, limit: TimeLimit | None = None) -> None:
        """Combine a pace and a limit."""
        self.pace, self.limit = pace, limit

    def seconds_left(self, trainer: Trainer, batch_idx: int = -1) -> float | None:
        """Seconds left after a batch of the current epoch; None if unknown."""
        seconds = self.pace.seconds_left(trainer, batch_idx) if self.pace.step_seconds else None
        return self.limit.seconds_left(seconds) if self.limit else seconds

    def text_left(self, trainer: Trainer, batch_idx: int = -1) -> str:
        """The time left for a line, with a comma in front; empty if it is unknown."""
        left = self.seconds_left(trainer, batch_idx)
        return "" if left is None else f", about {format_duration(left)} left"

    def epoch_line(
        self, trainer: Trainer, loss: float, scores: dict[str, float], *, is_best: bool
    ) -> str:
        """The line of a finished epoch: loss, scores if validated, seconds, time left.

        Args:
            trainer: the trainer, at the end of the epoch.
            loss: mean loss of the epoch.
            scores: metrics of its validation by name, the main one first; empty without one.
            is_best: whether the validation is the best so far.
        """
        parts = [f"loss {loss:.3f}", *(f"{name} {value:.3f}" for name, value in scores.items())]
        if is_best:
            parts[1] += " (best)"
        parts.append(format_duration(monotonic() - self.pace.epoch_start))
        left = self.text_left(trainer, int(trainer.num_training_batches) - 1)
        if trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs:
            left = ""
        return f"{epoch_name(trainer)}: {', '.join(parts)}{left}"


def epoch_name(trainer: Trainer) -> str:
    """The current epoch, counted from 1: ``epoch 3 of 50``."""
    number, epochs = trainer.current_epoch + 1, trainer.max_epochs
    return f"epoch {number} of {epochs}" if epochs and epochs > 0 else f"epoch {number}"


class ProgressLines(Callback):
    """Logs the epoch, the mean loss since the last line, and the time left."""

    def __init__(self, time: RunTime) -> None:
        """Write lines with the time left according to ``time``."""
        self._time = time

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start counting."""
        self._start = self._last = monotonic()
        self._counted, self._loss = 0, 0.0

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start counting again: the epoch has a line of its own."""
        self._restart()

    def _restart(self) -> None:
        """Start the mean and the time of the next line."""
        self._last, self._counted, self._loss = monotonic(), 0, 0.0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log a line if one is due. The loss is read then only, because that waits for a GPU."""
        self._counted += 1
        self._loss = self._loss + outputs["loss"].detach()
        now = monotonic()
        if now - self._last < min(_LONGEST, max(_SHORTEST, _FRACTION * (now - self._start))):
            return
        if trainer.is_global_zero:
            log.info(
                "%s, step %d of %d: loss %.3f%s",
                epoch_name(trainer),
                batch_idx + 1,
                int(trainer.num_training_batches),
                float(self._loss) / self._counted,
                self._time.text_left(trainer, batch_idx),
            )
        self._restart()


class TrainingBar(RichProgressBar):
    """A progress bar with the time left in the epoch and in the run."""

    def __init__(self, time: RunTime) -> None:
        """Show the time left according to ``time``."""
        super().__init__(refresh_rate=PROGRESS_STEPS)
        self._time, self._left = time, ""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the bar and the time left."""
        pace, run = self._time.pace, self._time.seconds_left(trainer, batch_idx)
        if pace.step_seconds:
            self._left = f"epoch {format_duration(pace.epoch_left(trainer, batch_idx))} left"
            self._left += "" if run is None else f", run {format_duration(run)}"
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def configure_columns(self, trainer: Trainer) -> list[ProgressColumn]:
        """Replace elapsed time and speed by the time left."""
        columns = super().configure_columns(trainer)
        kept = [c for c in columns if not isinstance(c, CustomTimeColumn | ProcessingSpeedColumn)]
        return [*kept, _LeftColumn(self)]

    def _get_train_description(self, current_epoch: int) -> str:
        # Private: Lightning counts epochs from 0. A test fails when the method changes.
        return epoch_name(self.trainer).capitalize().replace(" of ", "/")


class TerminalHandler(logging.Handler):
    """Writes log lines to stderr; on a terminal above the progress bar, which replaces sys.stderr.

    The handlers of ``logging`` keep the stream of their start, and would write into the bar.
    """

    def __init__(self) -> None:
        """Write to the current stderr, or to the redirected stderr of the start."""
        super().__init__()
        self._redirected = None if sys.stderr.isatty() else sys.stderr

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        print(self.format(record), file=self._redirected or sys.stderr, flush=True)


class _LeftColumn(ProgressColumn):
    """The time left in the epoch and in the run."""

    def __init__(self, bar: TrainingBar) -> None:
        super().__init__()
        self._bar = bar

    def render(self, task: Task) -> Text:
        # Other bars, as that of the validation, have no such time.
        return Text(self._bar._left if task.id == self._bar.train_progress_bar_id else "")
