"""``centernet report``: the report of a training run."""

import argparse
from functools import partial
from pathlib import Path

from centernet.cli.paths import Existing

HELP = "regenerate the report of a training run"
DESCRIPTION = """\
Write the report of a training run, as fit does at its end: report.html in the run's folder, with
loss curves, accuracy per class, best thresholds, counts and worst errors, and inspect.html. The
best thresholds and the calibration of counts are saved in best.ckpt, for --threshold best, --count
and detector.count().

  centernet report runs/custom
"""
EXTRA = "train"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    add = parser.add_argument
    path = partial(add, action=Existing)
    path("run", metavar="RUN", type=Path, help="folder of a training run, such as runs/custom")
    path("--data.root", dest="root", help="folder of the data, if it moved since training")
    add(
        "--limit",
        type=int,
        default=100,
        help="maximum number of images in inspect.html, 0 for all (%(default)s)",
    )
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (%(default)s)")


def run(options: argparse.Namespace) -> None:
    """Write the report, and print its path."""
    from centernet.analysis.report.write_report import write_report

    print(write_report(**vars(options)))
