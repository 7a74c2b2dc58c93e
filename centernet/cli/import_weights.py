"""``centernet import-weights``."""

import argparse

from centernet.cli.paths import Existing

HELP = "convert a checkpoint of the original release"
DESCRIPTION = """\
Convert a detection checkpoint of the original release to a checkpoint of this project. The network
is recognized from the tensors; no code in the file is executed.

  centernet import-weights ctdet_coco_dla_2x.pth coco_dla34.ckpt
  centernet import-weights ctdet_pascal_dla_512.pth voc_dla34.ckpt \\
      --mean 0.485 0.456 0.406 --std 0.229 0.224 0.225

detect, and fit with --model.weights, also read released files directly.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    add = parser.add_argument
    add(
        "source",
        action=Existing,
        metavar="SOURCE",
        help="a released detection checkpoint, ctdet_*.pth",
    )
    add("target", metavar="TARGET", help="the checkpoint to write, as coco_dla34.ckpt")
    for name, values in (("mean", "0.485 0.456 0.406"), ("std", "0.229 0.224 0.225")):
        add(
            f"--{name}",
            type=float,
            nargs=3,
            help=f"{name} of the colors in training, in [0, 1], blue first; by default that of "
            f"the COCO models; the VOC models have {values}",
        )
    add(
        "--class-names",
        nargs="+",
        help="class names by label; by default COCO's for 80 classes, VOC's for 20, else 0, 1, ...",
    )


def run(options: argparse.Namespace) -> None:
    """Write the checkpoint, and print its network."""
    from centernet.models.pretrained import import_weights

    network = import_weights(**vars(options))
    architecture = {k: v for k, v in network.architecture.items() if k != "num_classes"}
    print(f"{options.target}: {network.num_classes} classes, {architecture}")
