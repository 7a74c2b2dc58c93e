"""Run ``fit`` and ``validate`` from command-line arguments."""

import logging
import os
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

from lightning.pytorch.utilities.exceptions import MisconfigurationException

from centernet.errors import InputError
from centernet.training.config_files import with_config_paths
from centernet.training.folds import FoldsRequested, cross_validate
from centernet.training.lightning_cli import RUN_VARIABLE, Finished, TrainCLI, is_first_process
from centernet.training.progress import TerminalHandler
from centernet.training.runs import release_all
from centernet.training.stopping import Stopped, StopSignals

log = logging.getLogger(__name__)

# Warnings about choices that are intended here (workers per core, epochs shorter than the logging
# interval, validation without the callbacks of training), and about Lightning's own use of torch.
_EXPECTED_WARNINGS = (
    "many workers",
    "number of training batches",
    "callbacks used to create",
    "treespec, LeafSpec",
    "args parameter is intended",
    "ended before the epoch ended",  # mid-epoch checkpoints can be resumed here
)


def main(
    args: list[str] | None = None,
    *,
    after_fit: Callable[[TrainCLI], None] | None = None,
    on_folder: Callable[[Path], None] | None = None,
) -> None:
    """Run ``fit`` or ``validate``; with ``--data.folds``, ``fit`` of every fold.

    Args:
        args: arguments of the command line, the subcommand first; by default those of the process.
        after_fit: called on the first process after a fit that wrote a ``best.ckpt``.
        on_folder: called with the folder of the run, or of the cross-validation, when it is known.

    Raises:
        InputError: an option or a file is wrong.
    """
    words = with_config_paths(sys.argv[1:] if args is None else args)
    try:
        _run(words, after_fit, on_folder)
    except FoldsRequested as request:
        folder = cross_validate(request, words[1:], partial(main, after_fit=after_fit))
        if on_folder:
            on_folder(folder)


def _run(
    args: list[str],
    after_fit: Callable[[TrainCLI], None] | None,
    on_folder: Callable[[Path], None] | None,
) -> None:
    """Run ``fit`` or ``validate`` once."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[TerminalHandler()])
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    # It logs ten lines of retries without an internet connection.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    for message in _EXPECTED_WARNINGS:
        warnings.filterwarnings("ignore", f".*{message}.*")
    try:
        with StopSignals() as signals:
            TrainCLI(args, signals, after_fit, on_folder)
    except Stopped as stopped:
        if is_first_process():
            stopped.print_once()
        stopped.is_printed = True
        raise
    except Finished as finished:
        if is_first_process():
            print(finished)
    except InputError as error:
        # An error of a worker process arrives with its traceback in front.
        *_, last = str(error).strip().splitlines()
        raise InputError(last.removeprefix(f"{InputError.__module__}.InputError: ")) from None
    except MisconfigurationException as error:
        raise InputError(" ".join(str(error).split())) from None
    except ValueError as error:
        # The parser wraps the error of an option's class.
        if isinstance(error.__cause__, InputError):
            raise error.__cause__ from None
        raise
    finally:
        release_all()
        os.environ.pop(RUN_VARIABLE, None)
