"""``centernet report``."""

import argparse
from pathlib import Path

HELP = "write the report of a training once more"
DESCRIPTION = """\
Write the report of a training, as fit does at its end: report.html in the run's folder, with
curves, classes, the best thresholds, and the worst mistakes, and inspect.html beside it. The
thresholds are written into best.ckpt, for --threshold best.

  centernet report runs/custom
"""
PACKAGE = ".[train]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    add = parser.add_argument
    add("run", metavar="RUN", type=Path, help="folder of a training, as runs/custom")
    add("--data.root", dest="root", help="where the data is, if not where it was in training")
    add(
        "--limit",
        type=int,
        default=100,
        help="most images in inspect.html, 0 for all (%(default)s)",
    )
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (%(default)s)")


def run(options: argparse.Namespace) -> None:
    """Write it, and say where it is."""
    from centernet.analysis.report import write_report

    print(write_report(**vars(options)))
