"""``centernet convert`` on the command line."""

import argparse
import shlex
from pathlib import Path

from centernet.formats.convert import IMAGES, REPORT, Conversion, convert
from centernet.formats.writers import WRITERS

_DESCRIPTION = """\
Write a dataset in another format: COCO JSON, Pascal VOC or YOLO, any to any. Which one SOURCE is
in, is seen by looking: a folder as it was downloaded, a data.yaml, or a COCO JSON file.

  centernet convert VOCdevkit/VOC2007 data/voc07
  centernet convert my_yolo/data.yaml data/mine --val-fraction 0.2
  centernet convert data/coco cars --format yolo --only vehicle --rename car=vehicle truck=vehicle

What is lost or left out on the way is said, and stands in OUT/conversion.txt. For training alone no
conversion is needed: fit --data.root takes SOURCE as it is.
"""
_SHOWN = 20  # messages that are printed; all are in the report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the options of ``convert``."""
    parser.description = _DESCRIPTION
    add = parser.add_argument
    add("source", metavar="SOURCE", help="a dataset: a folder, a data.yaml, or a COCO JSON file")
    add("output", metavar="OUT", type=Path, help="folder to write; new or empty")
    add("--format", choices=WRITERS, default="coco", help="of OUT (%(default)s)")
    add("--only", nargs="+", metavar="CLASS", help="classes to keep; images without them stay")
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
        default="link",
        help="hard links, which take no space (copies where they cannot be made); copies; or the "
        "annotations alone (%(default)s)",
    )
    add(
        "--val-fraction",
        type=float,
        metavar="F",
        help="hold out this part of the training images for validation, as 0.2; always the same",
    )


def run(options: argparse.Namespace) -> None:
    """Convert as the options say; print what was written, what was lost, and what to do next."""
    conversion = convert(**vars(options) | {"rename": dict(options.rename)})
    print(conversion)
    for message in conversion.messages[:_SHOWN]:
        print(" ", message)
    if len(conversion.messages) > _SHOWN:
        more = len(conversion.messages) - _SHOWN
        print(f"  ... and {more} more in {conversion.output / REPORT}")
    print(_advice(conversion, with_images=options.images != "none"))


def _advice(conversion: Conversion, *, with_images: bool) -> str:
    folders = {split.name: split.images for split in conversion.splits}
    if "val" not in folders:
        return "no validation split is there, which training needs: --val-fraction 0.2 makes one"
    words = ["python", "train.py", "fit", "--config", "configs/custom.yaml", "--data.root"]
    words.append(str(conversion.output))
    if conversion.format == "coco" and not with_images:
        for part in ("train", "val"):
            words += [f"--data.{part}_images", str(folders.get(part, "").resolve())]
    return f"next: {shlex.join(words)}"


def _renaming(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not (old and equals and new):
        raise argparse.ArgumentTypeError(f"OLD=NEW, got {text!r}")
    return old, new
