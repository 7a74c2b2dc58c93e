"""Train a detector from Python, as ``centernet fit`` does."""

import logging
import re
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from centernet.api.arguments import command_arguments
from centernet.api.run import Run
from centernet.errors import InputError

# How the command reports an unknown option, and the one that was probably meant.
_UNKNOWN = re.compile(
    r"unrecognized (?:arguments:|option) --([\w.]+)(?:=.*?)?(?: \(did you mean --([\w.]+)\?\))?"
)


def train(
    data: str | Path,
    *,
    config: str | Path = "custom",
    epochs: int | None = None,
    image_size: int | str | None = None,
    batch_size: int | None = None,
    weights: str | Path | None = None,
    backbone: str | None = None,
    pretrained: bool | str | None = None,
    learning_rate: float | None = None,
    device: str | None = None,
    seed: int | None = None,
    output: str | Path | None = None,
    resume: bool | str | Path = False,
    report: bool | None = None,
    progress: bool | None = None,
    **options: Any,
) -> Run:
    """Train a detector on a dataset in any format: the run of ``centernet fit``, with its messages.

    The run is in ``runs/custom``, the next one in ``runs/custom-2``. Ctrl-C, or the interrupt of a
    notebook, stops it after the current step and saves it; ``resume=True`` continues it.

    >>> run = train("data/mine", epochs=50)                             # doctest: +SKIP
    >>> run = train("data/mine", **{"model.ema_decay": 0.99})           # doctest: +SKIP

    Args:
        data: folder of the dataset (``--data.root``).
        config: YAML file, or name of a configuration of ``configs/`` (``--config``).
        epochs: by default chosen by the number of images (``--trainer.max_epochs``).
        image_size: pixels, as 512 or "320x256" (``--data.image_size``).
        batch_size: images per step (``--data.batch_size``).
        weights: trained weights to fine-tune (``--model.weights``).
        backbone: name of the backbone (``--model.backbone``).
        pretrained: start the backbone from ImageNet weights (``--model.pretrained``).
        learning_rate: highest learning rate (``--model.learning_rate``).
        device: auto, cpu, cuda, cuda:1 or mps (``--trainer.accelerator``, ``--trainer.devices``).
        seed: seed of the random numbers (``--seed_everything``).
        output: folder of the runs (``--trainer.default_root_dir``).
        resume: continue the latest run, or that of a ``last.ckpt`` (``--ckpt_path``).
        report: write ``report.html`` and ``inspect.html`` (``--report``).
        progress: show the progress (``--trainer.enable_progress_bar``).
        **options: other options by their full names, see ``centernet fit --help``.

    Returns:
        The finished run. With the option ``data.folds``, that of the cross-validation.

    Raises:
        InputError: an option, the dataset or the weights are wrong.
        KeyboardInterrupt: the run was interrupted; the message tells what is saved.
    """
    named = {name: value for name, value in locals().items() if name not in ("config", "options")}
    return Run.open(_fit(command_arguments(config, named, options)))


def _fit(arguments: list[str]) -> Path:
    """Run ``fit`` in this process; returns the run folder."""
    from centernet.cli import fit
    from centernet.training.option_errors import RAISE_ERRORS
    from centernet.training.stopping import Stopped

    folders: list[Path] = []
    token = RAISE_ERRORS.set(True)
    try:
        with _messages(), warnings.catch_warnings():
            # Notebooks: lines of text replace a progress bar that lacks its widgets.
            warnings.filterwarnings("ignore", "(?s).*(ipywidgets|IProgress)")
            fit.run(arguments, on_folder=folders.append)
    except InputError as error:
        raise InputError(_in_python(str(error))) from None
    except Stopped as stopped:
        if stopped.signal != signal.SIGINT:
            raise  # SIGTERM ends the process
        outcome, _, _ = stopped.outcome.partition("\n")  # further lines are for the command
        more = "; resume=True continues the run" if stopped.is_saved else ""
        raise KeyboardInterrupt(outcome + more) from None
    finally:
        RAISE_ERRORS.reset(token)
    return folders[-1]


def _in_python(message: str) -> str:
    """An error message of the command with the names of options as in Python."""
    if not (match := _UNKNOWN.fullmatch(message)):
        return message
    option, meant = match.groups()
    hint = f" (did you mean **{{{meant!r}: ...}}?)" if meant else ""
    return f"unknown option {option}{hint}"


@contextmanager
def _messages() -> Iterator[None]:
    """Print the messages of the package, unless the program has set up logging."""
    root, own = logging.getLogger(), logging.getLogger("centernet")
    level = own.level
    added: list[tuple[logging.Logger, logging.Handler]] = []
    if not root.handlers:
        # With a handler, the command leaves the root logger and other libraries alone.
        added = [(root, logging.NullHandler()), (own, _Printer())]
    for logger, handler in added:
        logger.addHandler(handler)
    if level == logging.NOTSET:
        own.setLevel(logging.INFO)
    try:
        yield
    finally:
        own.setLevel(level)
        for logger, handler in added:
            logger.removeHandler(handler)


class _Printer(logging.Handler):
    """Prints messages; a progress bar that redirects ``sys.stdout`` shows them above it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message."""
        print(self.format(record))
