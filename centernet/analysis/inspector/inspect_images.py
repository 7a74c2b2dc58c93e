"""Write the inspector page for images, a dataset, or the validation images of a config."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from centernet.analysis.inspector.analyze import Example, analyze_image, dataset_examples
from centernet.analysis.inspector.inspector_page import InspectorPage
from centernet.data.annotations import DatasetSplit
from centernet.data.dataset import DetectionDataset
from centernet.data.formats.detect import detect_format, read_dataset
from centernet.errors import InputError, require_at_least
from centernet.inference.detector import Detector
from centernet.inference.inputs import find_images
from centernet.inference.thresholds import DEFAULT_SCORE_THRESHOLD


@dataclass(frozen=True)
class InspectionSummary:
    """Summary of a written page.

    Attributes:
        shown: number of images in the page.
        seen: number of images that were analyzed.
        failed: number of images that could not be read.
    """

    shown: int
    seen: int
    failed: int


def inspect_images(
    source: str | None = None,
    *,
    weights: str | Path,
    output: Path,
    images: Path | None = None,
    annotations: Path | None = None,
    config: str | Path | None = None,
    root: str | Path | None = None,
    threshold: float | str = DEFAULT_SCORE_THRESHOLD,
    iou: float = 0.5,
    limit: int = 100,
    device: str = "auto",
    resolution: str = "auto",
) -> InspectionSummary:
    """Analyze images and write the inspector page.

    The images come from one of ``source``, ``images`` with ``annotations``, and ``config``.

    Args:
        source: an image, a folder of images, a glob, or a dataset.
        weights: a checkpoint of ``fit`` or of the original release.
        output: the HTML file.
        images: folder of annotated images.
        annotations: COCO JSON file of ``images``.
        config: a config file of ``fit``; its validation images are used.
        root: folder of the data; by default the one in ``config``.
        threshold: initial score threshold of the page, or ``best``.
        iou: minimum IoU of a correct detection.
        limit: maximum number of images in the page, 0 for all: the worst annotated images, or the
            first images by name without annotations.
        device: as for :class:`centernet.Detector`.
        resolution: as for :class:`centernet.Detector`.

    Raises:
        InputError: an option, the images or the weights are wrong, or no image could be read.
    """
    require_at_least(0, limit=limit)
    if not 0 < iou <= 1:
        raise InputError(f"iou must be above 0 and at most 1, got {iou}")
    if output.is_dir():
        raise InputError(f"output {output} is a folder: give a file")
    detector = Detector.load(weights, device=device, resolution=resolution)
    _ = detector.network  # raises InputError for an exported model
    detector.engine.info.require_heatmaps("inspect")
    dataset = _dataset(detector.class_names, source, images, annotations, config, root)
    examples = list(dataset_examples(dataset)) if dataset else _unannotated(source, limit)
    page = InspectorPage(
        detector.class_names,
        title=f"{Path(weights).parent.name}/{Path(weights).name}".lstrip("/"),
        threshold=threshold,
        best=detector.network.thresholds,
        iou=iou,
        limit=limit or None,
    )
    failed = _add_images(page, detector, examples, iou)
    if not len(page):
        raise InputError("none of the images could be read")
    page.save(output)
    return InspectionSummary(len(page), page.seen, failed)


def _add_images(
    page: InspectorPage, detector: Detector, examples: Sequence[Example], iou: float
) -> int:
    """Add the images to the page; returns the number of images that could not be read."""
    failed = 0
    for example in _with_progress(examples):
        try:
            analyzed = analyze_image(detector, example, iou=iou)
        except InputError as error:
            failed += 1
            tqdm.write(f"skipped: {error}", file=sys.stderr)
        else:
            page.add(*analyzed)
    return failed


def _with_progress(examples: Sequence[Example]) -> Iterable[Example]:
    return tqdm(examples, unit="image", disable=len(examples) == 1)


def _unannotated(source: str | None, limit: int) -> list[Example]:
    """Images without annotations: all are equally good, so only the first ones are analyzed."""
    if source is None:
        raise InputError("no images: give SOURCE, --annotations with --images, or --config")
    paths = find_images(source)
    if paths is None:
        raise InputError(f"{source} is not an image; inspect does not read videos")
    return [Example(path, path.name) for path in paths[: limit or None]]


def _dataset(
    class_names: Sequence[str],
    source: str | None,
    images: Path | None,
    annotations: Path | None,
    config: str | Path | None,
    root: str | Path | None,
) -> DetectionDataset | None:
    """The annotated images that the options select; None for images without annotations."""
    given = [source, annotations or images, config]
    if sum(value is not None for value in given) > 1:
        raise InputError("give one of SOURCE, --annotations with --images, and --config")
    if root and not config:
        raise InputError("--data.root requires --config")
    if config:
        from centernet.training.config_data import validation_set

        return validation_set(config, class_names, root=root)
    if images and annotations:
        return DetectionDataset(images, annotations, class_names=class_names)
    if images or annotations:
        missing = "annotations" if images else "images"
        raise InputError(
            f"--images and --annotations must be given together: --{missing} is missing"
        )
    split = _validation_split(source) if source else None
    return DetectionDataset(split.images, split, class_names=class_names) if split else None


def _validation_split(source: str) -> DatasetSplit | None:
    """The validation split of a dataset in any known format; None if it is not a dataset."""
    if not Path(source).exists() or not detect_format(source):
        return None
    splits = read_dataset(source)
    named = [splits[name] for name in ("val", "test") if name in splits]
    return [*named, *splits.values()][0]
