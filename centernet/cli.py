"""The ``centernet`` command. Imports wait until a subcommand needs them: help answers at once."""

import argparse
import sys

from centernet import __version__
from centernet.errors import InputError

_DESCRIPTION = """\
Train a CenterNet on your own images, use it, and look at its heatmaps.

  centernet fit --config configs/custom.yaml --data.root DIR
  centernet validate --config configs/custom.yaml --data.root DIR --ckpt_path runs/custom/best.ckpt
  centernet detect photo.jpg --weights runs/custom/best.ckpt --heatmaps
"""


def main(arguments: list[str] | None = None) -> None:
    """Run a subcommand; a mistake in what was given ends in one line and status 1."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] in (["fit"], ["validate"]):
        return _train(arguments)
    parser = argparse.ArgumentParser(
        "centernet", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"centernet {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    commands.add_parser("fit", help="train; fit --help lists all options")
    commands.add_parser("validate", help="COCO's average precision of a trained model")
    detect_parser = commands.add_parser(
        "detect", help="find objects in images, videos and camera pictures"
    )
    if arguments[:1] == ["detect"]:
        from centernet import detect

        detect.add_arguments(detect_parser)
        run_and_exit(lambda: detect.run(parser.parse_args(arguments)))
    parser.parse_args(arguments)


def _train(arguments: list[str]) -> None:
    try:
        from centernet.training import main as train
    except ImportError as error:
        sys.exit(f"error: {error.name} is missing: pip install 'centernet[train]'")
    train(arguments)


def run_and_exit(command) -> None:
    """Run a command and exit with its status."""
    try:
        sys.exit(command())
    except InputError as error:
        sys.exit(f"error: {error}")
