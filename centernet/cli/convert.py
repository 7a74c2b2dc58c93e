"""``centernet convert``."""

import argparse
from pathlib import Path

HELP = "a dataset in COCO's, Pascal VOC's or YOLO's format into another"
DESCRIPTION = """\
Write a dataset in another format: COCO JSON, Pascal VOC or YOLO, any to any. Which one SOURCE is
in, is seen by looking: a folder as it was downloaded, a data.yaml, or a COCO JSON file.

  centernet convert VOCdevkit/VOC2007 data/voc07
  centernet convert my_yolo/data.yaml data/mine --val-fraction 0.2
  centernet convert data/coco cars --format yolo --only vehicle --rename car=vehicle truck=vehicle

What is lost or left out on the way is said, and stands in OUT/conversion.txt. For training alone no
conversion is needed: fit --data.root takes SOURCE as it is.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    from centernet.data.formats.detect import FORMATS
    from centernet.data.formats.image_files import IMAGES

    add = parser.add_argument
    add("source", metavar="SOURCE", help="a dataset: a folder, a data.yaml, or a COCO JSON file")
    add("output", metavar="OUT", type=Path, help="folder to write; new or empty")
    add("--format", choices=FORMATS, default="coco", help="of OUT (%(default)s)")
    add(
        "--only",
        dest="classes",
        nargs="+",
        metavar="CLASS",
        help="classes to keep; images without them stay",
    )
    add(
        "--rename",
        nargs="+",
        type=_renaming,
        default=[],
        metavar="OLD=NEW",
        help="new names of classes; several of one new name become one class",
    )
    add(
        "--images",
        choices=IMAGES,
        default="copy",
        help="copies, which take no space where the file system can share blocks; hard links, "
        "which are the source's own files; or the annotations alone (%(default)s)",
    )
    add(
        "--follow-links",
        action="store_true",
        help="also take images outside of SOURCE, such as those that links lead to",
    )
    add(
        "--val-fraction",
        type=float,
        metavar="F",
        help="hold out this part of the training images for validation, as 0.2; always the same; "
        "copies of one photograph stay together",
    )
    add(
        "--group-by",
        metavar="REGEX",
        help="with --val-fraction: images in whose file names it finds the same stay together, as "
        r"'(video\d+)_frame'",
    )


def run(options: argparse.Namespace) -> None:
    """Convert, and say what was written and what was lost."""
    from centernet.cli.convert_command import run

    run(options)


def _renaming(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not (old and equals and new):
        raise argparse.ArgumentTypeError(f"OLD=NEW, got {text!r}")
    return old, new
