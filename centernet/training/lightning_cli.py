"""``fit`` and ``validate``: trainer, run folder and results."""

import logging
import math
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_only

from centernet.errors import InputError
from centernet.training.auto_config import epochs_for
from centernet.training.callbacks import HeatmapPictures, StopOnSignal
from centernet.training.commands import resume_command
from centernet.training.durations import format_duration, parse_duration
from centernet.training.early_stop import EarlyStop
from centernet.training.folds import is_cross_validation
from centernet.training.memory import keep_freed_memory
from centernet.training.monitors import CenterAUROC, GradientByDifficulty  # noqa: F401 - options name them
from centernet.training.options import changed_options, with_sizes
from centernet.training.options_cli import OptionsCLI
from centernet.training.pace import Pace
from centernet.training.progress import ProgressLines, RunTime, TrainingBar
from centernet.training.run_folder import AtomicCheckpointIO, RunFolder
from centernet.training.runs import claim, new_run
from centernet.training.stopping import Stopped, StopSignals
from centernet.training.time_limit import TimeLimit
from centernet.training.trackers import TrackedRun, finish, make_loggers
from centernet.training.validation import make_results_folder, report_results, validate_classes

log = logging.getLogger(__name__)

# The processes that a trainer starts find the run folder of the first process in this variable.
RUN_VARIABLE = "CENTERNET_RUN"

# Options that differ when a run is resumed, because they describe its start.
_START_OPTIONS = {"ckpt_path", "model.weights", "model.pretrained"}

# After Ctrl-C, a run gets its report if that takes less than this number of seconds. A report takes
# some three times as long as a validation.
_SHORT_REPORT, _REPORT_PER_VALIDATION = 60.0, 3.0


class Finished(Exception):
    """The run to resume has no epochs or steps left."""


class TrainCLI(OptionsCLI):
    """Training and validation from YAML files and options, in run folders."""

    def __init__(
        self,
        args: list[str] | None,
        signals: StopSignals,
        after_training: Callable[["TrainCLI"], None] | None = None,
        on_folder: Callable[[Path], None] | None = None,
    ) -> None:
        """Parse the arguments and run the subcommand.

        Args:
            args: arguments, by default those of the process.
            signals: signals that stop the process.
            after_training: called on the first process after a fit that wrote a ``best.ckpt``, and
                after one that Ctrl-C stopped, with ``stopped`` set.
            on_folder: called with the run folder of a fit when it is known.
        """
        self._signals, self._after_training = signals, after_training
        self._on_folder, self.results = on_folder or (lambda _: None), Path()
        self.stopped: Stopped | None = None
        self.time = RunTime(Pace())
        try:
            super().__init__(args)
        except Stopped as stopped:
            self._after_stop(stopped)
            raise

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Create the trainer; fit gets a run folder."""
        given = self.config_init[self.subcommand].trainer
        kwargs |= {"plugins": [*_as_list(given.plugins), AtomicCheckpointIO()], "logger": False}
        if self.subcommand != "fit":
            kwargs["callbacks"] = [*_as_list(given.callbacks), StopOnSignal(self._signals)]
            return self._make_trainer(**kwargs)
        data = self.config_init[self.subcommand].data
        data.setup("fit")
        self.given = with_sizes(self.given, data.input_size, data.tile)
        if self.options.max_time is not None:
            limit = TimeLimit(parse_duration(self.options.max_time), self.time.pace)
            self.time = RunTime(self.time.pace, limit)
            text = format_duration(limit.limit)
            log.info("%s for training and the last validation (--max-time)", text)
        no_limit = self.options.trainer.max_epochs is None and self.options.trainer.max_steps == -1
        if no_limit and self.time.limit:
            kwargs["max_epochs"] = -1
        elif no_limit:
            batch_size = data.batch_size * (self.options.trainer.accumulate_grad_batches or 1)
            kwargs["max_epochs"], reason = epochs_for(len(data.train_set), batch_size)
            log.info("%d epochs: %s", kwargs["max_epochs"], reason)
        new = self.run is None
        folder = self._open_run(kwargs.get("max_epochs", self.options.trainer.max_epochs))
        kwargs["callbacks"] = [*_as_list(given.callbacks), *self._callbacks(folder, new=new)]
        if not sys.stdout.isatty():
            kwargs["enable_progress_bar"] = False  # lines replace it in a file or a pipe
        if given.logger is not False:
            done = None if new else self.done["steps"]
            loggers = make_loggers(self.options.log, folder, done)
            kwargs["logger"] = [*loggers, *_as_list(given.logger)]
        return self._make_trainer(**kwargs)

    def _open_run(self, max_epochs: int | None) -> Path:
        """Make the folder of a new run, or claim the folder of the run to resume."""
        new = self.run is None
        if self.run:
            self._on_folder(self.run)  # also of a finished run
            self._require_something_left(self.run, max_epochs)
            self._claim_run(self.run)
        else:
            self.run = self._new_run()
            self._on_folder(self.run)
        log.info("run folder %s%s", self.run, "" if new else " (resumed)")
        if not new:
            self._warn_of_changes(self.run)
        return self.run

    def _callbacks(self, folder: Path, *, new: bool) -> list[Any]:
        minutes = self.options.checkpoint_minutes
        run = RunFolder(
            folder,
            self.given,
            new=new,
            minutes=minutes,
            signals=self._signals,
            time=self.time,
            early_stop=EarlyStop(self.options.early_stop),
        )
        callbacks = [
            self.time.pace,
            run,
            TrackedRun(folder, self.given, new=new),
            HeatmapPictures(),
        ]
        callbacks += [self.time.limit] if self.time.limit else []
        if self.options.trainer.enable_progress_bar is not False:
            bar = TrainingBar(self.time) if sys.stdout.isatty() else ProgressLines(self.time)
            callbacks.append(bar)
        return callbacks

    @property
    def folder(self) -> Path:
        """The run folder, once it is known."""
        assert self.run is not None
        return self.run

    def _require_something_left(self, run: Path, max_epochs: int | None) -> None:
        """Raise Finished if the run to resume has no epochs or steps left."""
        limits = {"epochs": max_epochs, "steps": self.options.trainer.max_steps}
        for unit, limit in limits.items():
            done = self.done[unit]
            if limit is not None and 0 <= limit <= done:
                raise Finished(
                    f"{run} is finished: {done} of {limit} {unit} are done; "
                    f"to train longer, raise --trainer.max_{unit}"
                )
        if self.time.limit and self.time.limit.limit <= self.done_time:
            raise Finished(
                f"{run} is finished: its time of {format_duration(self.done_time)} is used; to "
                "train longer, raise --max-time"
            )

    def _claim_run(self, run: Path) -> None:
        if is_first_process() and not claim(run):
            raise InputError(
                f"another process is training in {run}: stop it first, or start a new run "
                "without --ckpt_path"
            )

    def _make_trainer(self, **kwargs: Any) -> Trainer:
        # Not before annotations are read, which takes more memory than training.
        keep_freed_memory()
        try:
            trainer = super().instantiate_trainer(**kwargs)
        except (ValueError, TypeError, ImportError) as error:
            raise InputError(" ".join(str(error).split())) from None
        # Lightning's handlers exit with status 0 or wait for other processes in the middle of a
        # step, and no option turns them off.
        connector = trainer._signal_connector
        connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
        return trainer

    def _warn_of_changes(self, run: Path) -> None:
        """Log the options of a resumed run that differ from those in its config.yaml."""
        path = run / "config.yaml"
        if not path.exists():
            return
        earlier, now = (yaml.safe_load(text) for text in (path.read_text(), self.given))
        for name, was, value in changed_options(earlier, now):
            if name not in _START_OPTIONS:
                log.warning("%s is %s now, %s before the run stopped", name, value, was)

    def before_validate(self) -> None:
        """Check the classes of the weights, and make the folder of the results."""
        validate_classes(self.model, self.options.model.weights)
        self.results = make_results_folder(self.folder, self.datamodule)

    def after_validate(self) -> None:
        """Print and save the results."""
        if self.trainer.is_global_zero:
            report_results(self.model, self.results)

    def after_fit(self) -> None:
        """Print the best AP and the path of the weights, then do what follows training."""
        try:
            self._end_run()
        except Stopped as stopped:
            stopped.outcome = f"the run is complete: {self.folder}; without its report"
            raise

    def _end_run(self) -> None:
        best, last = self.folder / "best.ckpt", self.folder / "last.ckpt"
        if not last.exists():
            raise InputError("no step was trained: raise --trainer.max_time")
        if not self.trainer.is_global_zero:
            return
        if not best.exists():
            remedy = (
                "lower --trainer.check_val_every_n_epoch"
                if self.trainer.limit_val_batches
                else "raise --trainer.limit_val_batches"
            )
            finish(self.trainer.loggers)
            print(f"never validated, so there is no best.ckpt; the weights are in {last}: {remedy}")
            return
        print(f"{self._best_result()}, saved in {best}")
        if self._after_training:
            self._after_training(self)
        else:
            finish(self.trainer.loggers)

    def _best_result(self) -> str:
        folder = next(c for c in self.trainer.checkpoint_callbacks if isinstance(c, RunFolder))
        return f"best {folder.metric} {folder.best:.3f}"

    def _after_stop(self, stopped: Stopped) -> None:
        """Tell how to resume; after Ctrl-C, do what follows a complete run."""
        if not stopped.is_saved or not is_first_process():
            return
        best = self.folder / "best.ckpt"
        if best.exists():
            stopped.outcome += f"; {self._best_result()}: {best}"
        if not is_cross_validation(self.folder.parent):
            command = resume_command(self._arguments[1:], self.folder / "last.ckpt")
            stopped.outcome += f"\n  resume: {command}"
        stopped.print_once()
        finish(self.trainer.loggers, stopped=True)
        if stopped.signal == signal.SIGINT and best.exists() and self._after_training:
            self.stopped = stopped
            try:
                self._after_training(self)
            except Stopped as second:
                second.outcome = "no report"
                raise

    @property
    def longer_options(self) -> list[str]:
        """Options that make the run twice as long."""
        limit, steps, epochs = self.time.limit, self.trainer.max_steps, self.trainer.max_epochs or 0
        options = ["--max-time", f"{math.ceil(2 * limit.limit)}s"] if limit else []
        options += ["--trainer.max_steps", str(2 * steps)] if steps > 0 else []
        return options + (["--trainer.max_epochs", str(2 * epochs)] if epochs > 0 else [])

    def too_long_for_report(self) -> str:
        """Why a stopped run gets no report; empty if it takes less than a minute."""
        seconds = _REPORT_PER_VALIDATION * self.time.pace.validation_seconds(self.trainer)
        return f"it takes about {format_duration(seconds)}" if seconds > _SHORT_REPORT else ""

    def _new_run(self) -> Path:
        root, name = Path(self.options.trainer.default_root_dir), self.run_name()
        if RUN_VARIABLE not in os.environ:
            # Only the first process writes files, also if another launcher started the processes.
            folder = new_run(root, name) if is_first_process() else root / name
            os.environ[RUN_VARIABLE] = str(folder)
        return Path(os.environ[RUN_VARIABLE])


def is_first_process() -> bool:
    """Whether this is the first of the processes of a run."""
    return rank_zero_only.rank == 0  # type: ignore[attr-defined] # Lightning sets it on the function


def _as_list(given: Any) -> list[Any]:
    """The value of an option as a list; the value may be one object or several."""
    if given is None or isinstance(given, bool):
        return []
    return list(given) if isinstance(given, list | tuple) else [given]
