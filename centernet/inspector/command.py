"""The ``inspect`` command."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml
from tqdm import tqdm

from centernet.data import CocoDetection
from centernet.detector import Detector
from centernet.errors import InputError
from centernet.inspector.look import Example, examples, look
from centernet.inspector.page import Page
from centernet.sources import find_images
from centernet.thresholds import BEST


def run(options: argparse.Namespace) -> int:
    """Do what the options of the command line say.

    Returns:
        The exit status: 0, or 1 if an image could not be read.

    Raises:
        InputError: an option, the source or the weights are wrong, or nothing could be read.
    """
    if options.threshold != BEST and not 0 <= options.threshold <= 1:
        raise InputError(f"threshold must be between 0 and 1, got {options.threshold}")
    if not 0 < options.iou <= 1:
        raise InputError(f"iou must be above 0 and at most 1, got {options.iou}")
    detector = Detector.load(options.weights, device=options.device, resolution=options.resolution)
    detector.require_heatmaps("inspect")
    chosen = _examples(options, detector.class_names)
    page = Page(
        detector.class_names,
        title=f"{Path(options.weights).parent.name}/{Path(options.weights).name}".lstrip("/"),
        threshold=options.threshold,
        best=detector.network.thresholds,
        iou=options.iou,
        limit=options.limit or None,
    )
    failed = inspect(detector, chosen, page, iou=options.iou)
    if not len(page):
        raise InputError("none of the images could be read")
    page.save(options.output)
    size = options.output.stat().st_size / 1e6
    shown = f"{len(page)} images" if len(page) != 1 else "1 image"
    of = f", the worst of {page.seen}" if page.seen > len(page) else ""
    print(f"{options.output}: {shown}{of}, {size:.1f} MB; open it in a browser")
    return int(failed > 0)


def inspect(detector: Detector, chosen: Sequence[Example], page: Page, *, iou: float = 0.5) -> int:
    """Look at images and add them to a page; return how many could not be read."""
    failed = 0
    for example in tqdm(chosen, unit="image", disable=len(chosen) == 1):
        try:
            page.add(*look(detector, example, iou=iou))
        except InputError as error:
            failed += 1
            tqdm.write(f"skipped: {error}", file=sys.stderr)
    return failed


def _examples(options: argparse.Namespace, class_names: Sequence[str]) -> list[Example]:
    """What the options name: a dataset, or images without annotations."""
    dataset = find_dataset(options)
    if dataset:
        found = list(examples(CocoDetection(*dataset, class_names=class_names)))
    elif options.source is None:
        raise InputError("nothing to look at: give images, --annotations and --images, or --config")
    else:
        paths = find_images(options.source)
        if paths is None:
            raise InputError(f"{options.source} is no image: inspect looks at images, not videos")
        found = [Example(path, path.name) for path in paths]
        # Without annotations no image is worse than another, so only so many are looked at.
        found = found[: options.limit or None]
    return found


def find_dataset(options: argparse.Namespace) -> tuple[Path, Path] | None:
    """The folder of images and the annotation file that options name; None for no dataset.

    What is given by itself goes before the configuration's validation data.
    """
    data: dict[str, str] = {}
    if options.config:
        try:
            data = yaml.safe_load(Path(options.config).read_text())["data"]
        except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
            raise InputError(f"config {options.config} cannot be read: {error}") from None
    root = Path(options.root or data.get("root", "."))
    images = options.images or (options.config and root / data.get("val_images", "val2017"))
    annotations = options.annotations or (
        options.config and root / data.get("val_annotations", "annotations/instances_val2017.json")
    )
    if bool(images) != bool(annotations):
        given, missing = ("images", "annotations") if images else ("annotations", "images")
        raise InputError(f"--{given} alone is no dataset: give --{missing}, too")
    return (Path(images), Path(annotations)) if images else None
