"""The ``inspect`` command."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from centernet.analysis.inspector.look import Example, examples, look
from centernet.analysis.inspector.page import Page
from centernet.data.annotations import DatasetSplit
from centernet.data.dataset import DetectionDataset
from centernet.data.formats.detect import detect_format, read_dataset
from centernet.errors import InputError, require_at_least
from centernet.inference.detector import Detector
from centernet.inference.inputs import find_images


def run(options: argparse.Namespace) -> int:
    """Do what the options of the command line say.

    Returns:
        The exit status: 0, or 1 if an image could not be read.

    Raises:
        InputError: an option, the source or the weights are wrong, or nothing could be read.
    """
    require_at_least(0, limit=options.limit)
    if not 0 < options.iou <= 1:
        raise InputError(f"iou must be above 0 and at most 1, got {options.iou}")
    if options.output.is_dir():
        raise InputError(f"output {options.output} is a folder: give a file")
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
            seen = look(detector, example, iou=iou)
        except InputError as error:
            failed += 1
            tqdm.write(f"skipped: {error}", file=sys.stderr)
        else:
            page.add(*seen)
    return failed


def _examples(options: argparse.Namespace, class_names: Sequence[str]) -> list[Example]:
    """What the options name: a dataset, or images without annotations."""
    dataset = _dataset(options, class_names)
    if dataset:
        return list(examples(dataset))
    if options.source is None:
        raise InputError("nothing to look at: give images, --annotations and --images, or --config")
    paths = find_images(options.source)
    if paths is None:
        raise InputError(f"{options.source} is no image: inspect looks at images, not at videos")
    # Without annotations no image is worse than another, so only so many are looked at.
    return [Example(path, path.name) for path in paths[: options.limit or None]]


def _dataset(options: argparse.Namespace, class_names: Sequence[str]) -> DetectionDataset | None:
    given = [options.source, options.annotations or options.images, options.config]
    if sum(value is not None for value in given) > 1:
        raise InputError("give one of SOURCE, --annotations with --images, and --config")
    if options.root and not options.config:
        raise InputError("--data.root says where a configuration's data is: give --config, too")
    if options.config:
        from centernet.training.datamodule import validation_set

        return validation_set(options.config, class_names, root=options.root)
    if bool(options.images) != bool(options.annotations):
        missing = "annotations" if options.images else "images"
        raise InputError(f"images and their annotations go together: give --{missing}, too")
    if options.images:
        return DetectionDataset(options.images, options.annotations, class_names=class_names)
    split = options.source and _validation_split(options.source)
    return DetectionDataset(split.images, split, class_names=class_names) if split else None


def _validation_split(source: str) -> DatasetSplit | None:
    """Of a dataset in any known format the images it is validated on; None if it is none."""
    if not Path(source).exists() or not detect_format(source):
        return None
    splits = read_dataset(source)
    named = [splits[name] for name in ("val", "test") if name in splits]
    return [*named, *splits.values()][0]
