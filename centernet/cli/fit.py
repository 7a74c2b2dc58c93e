"""``centernet fit``."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from centernet.training.lightning_cli import TrainCLI

HELP = "train a detector; fit --help lists all options"
EXTRA = "train"


def run(arguments: list[str], on_folder: Callable[[Path], None] | None = None) -> None:
    """Train a detector, then write the report of the run.

    Args:
        arguments: arguments of the command.
        on_folder: called with the run folder when it is known.
    """
    from centernet.training.early_checks import check_arguments
    from centernet.training.stopping import stop_with_message

    with stop_with_message() as signals:
        check_arguments(arguments)
        from centernet.training.train_cli import main

        signals.check()
        main(["fit", *arguments], after_fit=_finish, on_folder=on_folder)


def _finish(training: "TrainCLI") -> None:
    """Write the report, add it to the trackers, and print the next commands."""
    from centernet.training.commands import next_commands
    from centernet.training.folds import is_cross_validation
    from centernet.training.trackers import finish, log_report

    path, loggers = _write_report(training), training.trainer.loggers
    if path is not None:
        pages = (path, path.with_name("inspect.html"))
        log_report(loggers, [page for page in pages if page.is_file()])
    finish(loggers, stopped=training.stopped is not None)
    if not training.stopped and not is_cross_validation(training.folder.parent):
        source, longer = training.datamodule.source, training.longer_options
        print("next:", *next_commands(training.folder, source, longer), sep="\n")


def _write_report(training: "TrainCLI") -> Path | None:
    """Write the report if ``--report`` is set. Its errors are logged: the run is complete."""
    import logging
    import sys

    log = logging.getLogger(__name__)
    if not training.options.report:
        return None
    command = f"write it with: centernet report {training.folder}"
    if training.stopped and (why := training.too_long_for_report()):
        log.info("no report (%s); %s", why, command)
        return None
    try:
        from centernet.analysis.report.write_report import write_report

        path = write_report(
            training.folder,
            dataset=training.datamodule.val_set,
            device=training.trainer.strategy.root_device,
            progress=training.options.trainer.enable_progress_bar is not False
            and sys.stderr.isatty(),
        )
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        log.warning("no report (%s); %s", reason, command)
        return None
    print(f"report of classes and errors: {path}")
    return path
