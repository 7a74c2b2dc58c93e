"""``centernet fit``."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from centernet.training.lightning_cli import TrainCLI

HELP = "train a detector; fit --help lists all options"
PACKAGE = ".[train]"


def run(arguments: list[str]) -> None:
    """Train a detector, then write the report of the run."""
    from centernet.training.early_checks import check_arguments

    check_arguments(arguments)
    from centernet.training.train_cli import main

    main(["fit", *arguments], after_fit=_write_report)


def _write_report(training: "TrainCLI") -> None:
    """Write the report if ``--report`` is set. Its errors are logged: the run is complete."""
    import logging

    if not training.options.report:
        return
    try:
        from centernet.analysis.report.write_report import write_report

        path = write_report(
            training.folder,
            dataset=training.datamodule.val_set,
            device=training.trainer.strategy.root_device,
            progress=training.options.trainer.enable_progress_bar is not False,
        )
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        logging.getLogger(__name__).warning(
            "no report (%s); write it with: centernet report %s", reason, training.folder
        )
    else:
        print(f"report of classes and errors: {path}")
