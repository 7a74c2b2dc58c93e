"""``centernet inspect``: heatmaps, peaks and errors of a detector in an HTML page."""

import argparse
from functools import partial
from pathlib import Path

from centernet.cli.options import add_threshold
from centernet.cli.paths import Configuration, Existing

HELP = "show heatmaps, peaks and errors of a detector in an HTML page"
DESCRIPTION = """\
Show heatmaps, peaks and boxes in an HTML page. With annotations, the page also explains every
missed object and false positive. It is a single self-contained file and needs no server.

  centernet inspect photos/ --weights runs/custom/best.ckpt
  centernet inspect data/mine --weights runs/custom/best.ckpt
  centernet inspect --weights runs/custom/best.ckpt --config runs/custom/config.yaml
  centernet inspect --weights best.ckpt --images mine/test --annotations mine/test.json
"""
EPILOG = """\
exit status: 0, 1 if an image could not be read or the input is wrong, 2 for a wrong option
"""
EXTRA = "train"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    add = parser.add_argument
    add(
        "source",
        action=Existing,
        metavar="SOURCE",
        nargs="?",
        help="an image, a folder, a glob in quotes, or a dataset",
    )
    path = partial(add, action=Existing)
    path("--weights", required=True, help="a checkpoint of fit or of the original release")
    path("--annotations", type=Path, help="COCO JSON file of --images")
    path("--images", type=Path, help="folder of annotated images")
    add(
        "--config",
        action=Configuration,
        help="use the validation images of this config: a YAML file, or a name",
    )
    path("--data.root", dest="root", help="folder of the data; default: that of the config")
    add("--output", type=Path, default="runs/inspect.html", help="HTML file (%(default)s)")
    add_threshold(parser, "initial score threshold of the page")
    add("--iou", type=float, default=0.5, help="minimum IoU of a correct detection (%(default)s)")
    add(
        "--limit",
        type=int,
        default=100,
        help="maximum number of images, 0 for all: the worst annotated images, or the first by "
        "name without annotations (%(default)s)",
    )
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (%(default)s)")
    add("--resolution", default="auto", help="as for detect (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """Write the page.

    Returns:
        The exit status: 0, or 1 if an image could not be read.
    """
    from centernet.analysis.inspector.inspect_images import inspect_images

    summary = inspect_images(**vars(options))
    size = options.output.stat().st_size / 1e6
    shown = f"{summary.shown} images" if summary.shown != 1 else "1 image"
    worst = f", the worst of {summary.seen}" if summary.seen > summary.shown else ""
    print(f"{options.output}: {shown}{worst}, {size:.1f} MB; open it in a browser")
    return int(summary.failed > 0)
