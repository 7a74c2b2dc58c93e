"""``centernet check``: check a dataset before training."""

import argparse
from pathlib import Path

from centernet.cli.options import add_image_size
from centernet.cli.paths import Existing

HELP = "check a dataset before training"
DESCRIPTION = """\
Check a dataset before training. Reads every image and annotation as training does, and reports what
would stop training, what would cost accuracy, the average precision that a perfect network could
reach at this image size (the ceiling), and the recommended image size.

  centernet check data/mine
  centernet check data/mine --image-size 640x480
  centernet check data/mine/annotations/instances_train.json --no-images --json
"""
EPILOG = """\
DATASET is a folder or annotation file in COCO, Pascal VOC or YOLO format, as for convert.
The HTML page is a single self-contained file, which any browser opens without a server.

exit status: 0, 1 if something would break training, 2 for a wrong option
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    add = parser.add_argument
    add("dataset", action=Existing, metavar="DATASET", help="folder or annotation file")
    add_image_size(parser, "the size that training chooses for this dataset")
    add("--top-k", type=int, help="maximum number of detections per image; default as in training")
    add(
        "--sample",
        type=int,
        default=500,
        metavar="N",
        help="images per split on which the ceiling is measured, 0 for all (%(default)s)",
    )
    add("--no-images", action="store_true", help="do not read the image files: much faster")
    add(
        "--output",
        type=Path,
        metavar="FILE.html",
        help="the HTML page; by default runs/check/ and the path of DATASET, with .html",
    )
    add("--json", action="store_true", help="also write all findings and numbers as FILE.json")


def run(options: argparse.Namespace) -> int:
    """Print the findings, and write the HTML page and the JSON file.

    Returns:
        The exit status: 0, or 1 if something would break training.
    """
    import json
    import sys

    from centernet.analysis.check.check_dataset import check_dataset
    from centernet.analysis.check.check_page import render_check_page
    from centernet.analysis.check.check_report import as_dict
    from centernet.analysis.check.check_text import format_text
    from centernet.analysis.html import write_html
    from centernet.cli.options import print_text
    from centernet.errors import require_at_least
    from centernet.files import atomic_write
    from centernet.models.base import DetectionModel
    from centernet.sizes import parse_size

    require_at_least(1, top_k=options.top_k)
    require_at_least(0, sample=options.sample)
    multiple = DetectionModel.size_multiple
    size = options.image_size
    report = check_dataset(
        options.dataset,
        input_size=parse_size(size, multiple=multiple, name="--image-size")
        if size is not None
        else None,
        top_k=options.top_k,
        sample=options.sample,
        read_images=not options.no_images,
        progress=sys.stderr.isatty(),
    )
    page = options.output or _default_page(report.dataset)
    write_html(page, [render_check_page(report)])
    written = f"page: {page}"
    if options.json:
        numbers = page.with_suffix(".json")
        content = json.dumps(as_dict(report), indent=1, allow_nan=False)
        with atomic_write(numbers) as unfinished:
            unfinished.write_text(content + "\n")
        written += f"\nnumbers: {numbers}"
    print_text(format_text(report))
    print_text(written)
    return 0 if report.is_trainable else 1


def _default_page(dataset: Path) -> Path:
    """A page for each path of a dataset: a check of another folder never overwrites it.

    The path is relative to the current folder for a dataset in it, and absolute for others.
    """
    path, here = dataset.resolve(), Path.cwd().resolve()
    inside = path.is_relative_to(here) and path != here
    parts = path.relative_to(here).parts if inside else ("outside", *path.parts[1:])
    *folders, name = parts
    return Path("runs/check", *folders, f"{name}.html")
