"""``centernet inspect``."""

import argparse
from pathlib import Path

from centernet.cli.options import add_threshold

HELP = "see in a web page what the detector sees, and why it misses objects"
DESCRIPTION = """\
Look at heatmaps, peaks and boxes in one web page, and, where there are annotations, at why objects
are missed and boxes are false. The page is one file: no server, no network.

  centernet inspect photos/ --weights runs/custom/best.ckpt
  centernet inspect data/mine --weights runs/custom/best.ckpt
  centernet inspect --weights runs/custom/best.ckpt --config runs/custom/config.yaml
  centernet inspect --weights best.ckpt --images mine/test --annotations mine/test.json
"""
PACKAGE = ".[train]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    add = parser.add_argument
    add(
        "source",
        metavar="SOURCE",
        nargs="?",
        help="an image, a folder, a glob in quotes, or a dataset's folder",
    )
    add("--weights", required=True, help="a checkpoint of fit or of the original release")
    add("--annotations", type=Path, help="COCO JSON of the images to look at")
    add("--images", type=Path, help="their folder")
    add("--config", help="take a configuration's validation images, as of configs/ or of a run")
    add("--data.root", dest="root", help="where they are, if not where the configuration says")
    add("--output", type=Path, default="runs/inspect.html", help="the page (%(default)s)")
    add_threshold(parser, "score that the page opens with")
    add("--iou", type=float, default=0.5, help="overlap that counts as found (%(default)s)")
    add(
        "--limit",
        type=int,
        default=100,
        help="most images on the page, 0 for all: of annotated ones the worst, of others the first "
        "by name (%(default)s)",
    )
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (%(default)s)")
    add("--resolution", default="auto", help="as for detect (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """Write the page."""
    from centernet.cli.inspect_command import run

    return run(options)
