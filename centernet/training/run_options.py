"""Options of a run beside those of trainer, model and data: its report, time limit and trackers."""

from typing import Any

from jsonargparse.typing import NonNegativeFloat, PositiveInt
from lightning.pytorch.cli import LightningArgumentParser

from centernet.training.durations import parse_duration
from centernet.training.trackers import TRACKERS, validate_trackers


def add_run_options(parser: LightningArgumentParser) -> None:
    """Add the options to the parser of a command."""
    parser.add_argument(
        "--report",
        type=bool,
        default=True,
        help="write report.html and inspect.html into the run folder after fit",
    )
    parser.add_argument(
        "--checkpoint_minutes",
        type=NonNegativeFloat | None,
        default=10.0,
        help="minutes between checkpoints within an epoch; 0 for checkpoints after epochs only",
    )
    parser.add_argument(
        "--max_time",
        "--max-time",
        type=str | None,
        default=None,
        help="train for a given time, as 30m, 90s, 1h30m or 00:30:00, last validation included; "
        "the learning rate follows the time. --trainer.max_epochs may end the run earlier",
    )
    parser.add_argument(
        "--early_stop",
        "--early-stop",
        type=PositiveInt | None,
        default=None,
        help="stop after this number of validations without a better AP",
    )
    parser.add_argument(
        "--log",
        nargs="+",
        type=str,
        default=["tensorboard"],
        help=f"experiment trackers: {', '.join(TRACKERS)}. In YAML a list: [wandb, tensorboard]; "
        "metrics.csv is always written",
    )


def validate_run_options(options: Any) -> None:
    """Raise InputError for a wrong time limit or tracker."""
    if options.max_time is not None:
        parse_duration(options.max_time)
    validate_trackers(options.log)
