"""``centernet oracle``."""

import argparse
from pathlib import Path

HELP = "what limits a trained network"
DESCRIPTION = """\
What limits a trained network? Its heatmap, size and offset (or sides) are replaced by the ground
truth, one at a time and together, and the average precision of each is printed: what rises most is
what to work on. It is the error analysis of the paper, on your images.

  centernet oracle data/mine --weights runs/custom/best.ckpt
  centernet oracle data/mine --weights runs/custom/best.ckpt --split test
  centernet oracle --weights runs/bccd_resnet18/best.ckpt --config configs/bccd_resnet18.yaml
"""
EPILOG = """\
With nothing replaced it is what validate prints; with all replaced, the ceiling that check prints.
The truth is known at the centres of objects; every other cell goes by the nearest: its size, the
point of the cell nearest to it as the offset, and the distances to its box as the sides.

DATASET is a folder or annotation file of any format that check and convert know.
"""
PACKAGE = ".[train]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    add = parser.add_argument
    add("dataset", metavar="DATASET", nargs="?", help="a dataset, unless --config names one")
    add("--weights", required=True, help="a checkpoint of fit, as runs/custom/best.ckpt")
    add("--split", help="of DATASET (val)")
    add("--config", type=Path, help="a YAML of fit: its validation images, at its image_size")
    for name in ("root", "val_images", "val_annotations"):
        add(f"--data.{name}", help="instead of the config's", metavar=name.upper())
    add(
        "--image-size",
        metavar="PIXELS",
        help="of the canvas, 512, or height and width 288x384; by default the config's, or what "
        "the network was trained for",
    )
    add("--batch-size", type=int, help="images at a time; by default the config's, or 16")
    add("--top-k", type=int, help="most detections per image; by default as in training")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (%(default)s)")
    add("--json", type=Path, metavar="FILE", help="also write the numbers, per class too")


def run(options: argparse.Namespace) -> int | None:
    """Print the table."""
    from centernet.cli.oracle_command import run

    return run(options)
