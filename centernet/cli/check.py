"""``centernet check``."""

import argparse
from pathlib import Path

HELP = "know before training whether a dataset will work"
DESCRIPTION = """\
Know before training whether it will work. Reads a dataset as training would, every image of it, and
says what would break training, what would cost accuracy, and which average precision a perfect
network could reach at this resolution (the ceiling), and which resolution would be better.

  centernet check data/mine
  centernet check data/mine --image-size 768
  centernet check data/mine/annotations/instances_train.json --no-images --json
"""
EPILOG = """\
DATASET is a folder or annotation file in COCO's, Pascal VOC's or YOLO's format, as for convert.
The page with pictures is one file that needs nothing else: mail it, or open it in any browser.

exit status: 0, 1 when something was found that would break training, 2 for a wrong option
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    add = parser.add_argument
    add("dataset", metavar="DATASET", help="folder or annotation file")
    add(
        "--image-size",
        metavar="PIXELS",
        help="of the canvas, as data.image_size in training: 512, or height and width 288x384; by "
        "default what training chooses for this dataset",
    )
    add("--top-k", type=int, help="most detections per image; by default as in training")
    add(
        "--sample",
        type=int,
        default=500,
        metavar="N",
        help="images of each split on which the ceiling is measured, 0 for all (%(default)s)",
    )
    add("--no-images", action="store_true", help="leave the image files unread: much faster")
    add(
        "--output",
        type=Path,
        metavar="FILE.html",
        help="the page with pictures (runs/check/DATASET.html)",
    )
    add("--json", action="store_true", help="also write all findings and numbers beside the page")


def run(options: argparse.Namespace) -> int | None:
    """Print the findings, write the page with pictures."""
    from centernet.cli.check_command import run

    return run(options)
