"""``centernet convert``."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from centernet.cli.options import add_renamed, print_text
from centernet.cli.paths import Existing

if TYPE_CHECKING:
    from centernet.data.formats.convert import Conversion

HELP = "convert a dataset to COCO, Pascal VOC, YOLO or the format of an annotation tool"
DESCRIPTION = """\
Convert a dataset to COCO JSON, Pascal VOC (which labelImg opens), YOLO, or the format of an
annotation tool. SOURCE is in one of these, or in that of VIA, Datumaro or the OIDv4 ToolKit. Its
format is detected automatically: a folder as downloaded, a data.yaml, or an annotation file.

  centernet convert VOCdevkit/VOC2007 data/voc07
  centernet convert my_yolo/data.yaml data/mine --val-fraction 0.2
  centernet convert data/coco cars --format yolo --classes auto --rename car=auto truck=auto
  centernet convert data/mine tasks --format labelstudio

Everything that cannot be represented is reported, and written to OUT/conversion.txt. Training needs
no conversion: fit --data.root reads SOURCE directly.
"""

_PRINTED = 20  # number of printed messages; the report contains all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    from centernet.data.formats.detect import WRITERS
    from centernet.data.formats.image_files import IMAGES

    add = parser.add_argument
    kinds = "a dataset: a folder, a data.yaml, or an annotation file"
    add("source", action=Existing, metavar="SOURCE", help=kinds)
    add("output", metavar="OUT", type=Path, help="folder to write; must be new or empty")
    add("--format", choices=WRITERS, default="coco", help="format of OUT (%(default)s)")
    add(
        "--classes",
        nargs="+",
        metavar="CLASS",
        help="classes to keep, by old or new name; images without them stay",
    )
    add_renamed(parser, "--only", "--classes")
    add(
        "--rename",
        nargs="+",
        type=_renaming,
        default=[],
        metavar="OLD=NEW",
        help="new names of classes; classes with the same new name are merged",
    )
    add(
        "--images",
        choices=IMAGES,
        default="copy",
        help="image files of OUT: copies (which share disk blocks if the file system can), hard "
        "links to the files of SOURCE, or none (%(default)s)",
    )
    add(
        "--follow-links",
        action="store_true",
        help="include images outside of SOURCE, such as targets of links",
    )
    add(
        "--repair",
        action="store_true",
        help="repair what is likely, but not certainly, a fault of the export: everything marked "
        "iscrowd, corners instead of width and height, fractions instead of pixels, boxes of "
        "images that were scaled or rotated later",
    )
    add(
        "--val-fraction",
        type=float,
        metavar="F",
        help="split this fraction of the training images off for validation, as 0.2; "
        "deterministic; copies of one photograph stay together",
    )
    add(
        "--group-by",
        metavar="REGEX",
        help="with --val-fraction: images with the same match in their file names stay together, "
        r"as '(video\d+)_frame'",
    )


def run(options: argparse.Namespace) -> None:
    """Convert; print what was written, what was lost, and what to do next."""
    from centernet.data.formats.convert import REPORT, convert_dataset

    conversion = convert_dataset(**vars(options) | {"rename": dict(options.rename)})
    print_text(str(conversion))
    for message in conversion.messages[:_PRINTED]:
        print_text(f"  {message}")
    if len(conversion.messages) > _PRINTED:
        more = len(conversion.messages) - _PRINTED
        print(f"  ... and {more} more in {conversion.output / REPORT}")
    print(_next_step(conversion, with_images=options.images != "none"))


def _next_step(conversion: "Conversion", *, with_images: bool) -> str:
    import shlex

    from centernet.data.entries import is_ignore_region
    from centernet.data.formats.detect import FORMATS

    if FORMATS[conversion.format].is_tool:
        return f"next: open {conversion.output} in the tool, see docs/data.md, Converting"
    folders = {split.name: split.images for split in conversion.splits}
    train = next((s for s in conversion.splits if s.name == "train"), None)
    if train and all(map(is_ignore_region, train.coco["annotations"])):
        return "the training split has no boxes: the messages above tell why"
    if "train" not in folders:
        return f"there is no training split, which training needs, only {', '.join(folders)}"
    if "val" not in folders:
        return "there is no validation split, which training needs: add --val-fraction 0.2"
    words = ["centernet", "fit", "--config", "configs/custom.yaml", "--data.root"]
    words.append(str(conversion.output))
    if conversion.format == "coco" and not with_images:
        for part in ("train", "val"):
            words += [f"--data.{part}_images", str(folders[part].resolve())]
    return f"next: {shlex.join(words)}"


def _renaming(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not (old and equals and new):
        raise argparse.ArgumentTypeError(f"OLD=NEW, got {text!r}")
    return old, new
