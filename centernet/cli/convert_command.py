"""``centernet convert``: convert, and print what became of what."""

import argparse
import shlex

from centernet.cli.console import print_text
from centernet.data.formats.convert import REPORT, Conversion, convert_dataset

_SHOWN = 20  # messages that are printed; all are in the report


def run(options: argparse.Namespace) -> None:
    """Convert as the options say; print what was written, what was lost, and what to do next."""
    conversion = convert_dataset(**vars(options) | {"rename": dict(options.rename)})
    print_text(str(conversion))
    for message in conversion.messages[:_SHOWN]:
        print_text(f"  {message}")
    if len(conversion.messages) > _SHOWN:
        more = len(conversion.messages) - _SHOWN
        print(f"  ... and {more} more in {conversion.output / REPORT}")
    print(_advice(conversion, with_images=options.images != "none"))


def _advice(conversion: Conversion, *, with_images: bool) -> str:
    folders = {split.name: split.images for split in conversion.splits}
    if "train" not in folders:
        return f"no training split is there, which training needs, only {', '.join(folders)}"
    if "val" not in folders:
        return "no validation split is there, which training needs: --val-fraction 0.2 makes one"
    words = ["python", "train.py", "fit", "--config", "configs/custom.yaml", "--data.root"]
    words.append(str(conversion.output))
    if conversion.format == "coco" and not with_images:
        for part in ("train", "val"):
            words += [f"--data.{part}_images", str(folders[part].resolve())]
    return f"next: {shlex.join(words)}"
