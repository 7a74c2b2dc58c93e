"""Find the suspected label errors of a dataset."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from centernet.analysis.inspector.analyze import (
    Example,
    ImageMaps,
    analyze_image,
    dataset_examples,
)
from centernet.analysis.labels.agreement import agree
from centernet.analysis.labels.detectors import (
    detectors_of,
    fold_checkpoint,
    require_own_folds,
    trained_images,
)
from centernet.analysis.labels.evidence import Evidence, collect_evidence
from centernet.analysis.labels.find import find_suspicions
from centernet.analysis.labels.population import estimate
from centernet.analysis.labels.suspicions import LabeledImage, SuspectImage
from centernet.data.annotations import DatasetSplit, check_coco
from centernet.data.dataset import DetectionDataset
from centernet.data.formats.detect import read_dataset
from centernet.data.points import count_points
from centernet.errors import InputError
from centernet.inference.detector import Detector


@dataclass(frozen=True)
class LabelErrors:
    """The suspected label errors of a dataset.

    Attributes:
        class_names: class names by label.
        images: images with suspicions, the one with the most probable error first.
        seen: number of images that were analyzed.
        failed: number of images that could not be read.
        biased: splits that the model was trained on, so that it repeats some of their errors.
    """

    class_names: Sequence[str]
    images: Sequence[SuspectImage]
    seen: int
    failed: int
    biased: Sequence[str]

    @property
    def total(self) -> int:
        """Number of suspicions."""
        return sum(len(image.suspicions) for image in self.images)


def find_label_errors(
    dataset: str | Path,
    weights: str | Path,
    *,
    splits: Sequence[str] = (),
    progress: bool = False,
    **options: Any,
) -> LabelErrors:
    """Find the suspected label errors of a dataset in any known format.

    Args:
        dataset: folder or annotation file.
        weights: a checkpoint, or the folder of a cross-validation of ``fit --data.folds``, whose
            models judge only images that they have not seen.
        splits: names of the splits to analyze; by default all.
        progress: whether to show the progress.
        **options: those of :meth:`.Detector.load`.

    Raises:
        InputError: dataset, split or weights are wrong, or no image can be read.
    """
    weights = Path(weights)
    found = read_dataset(dataset, outlines=False)
    chosen = _choose(dataset, found, splits)
    require_own_folds(
        weights, [s.images / image["file_name"] for s in found.values() for image in _images(s)]
    )
    class_names = _class_names(weights, options)
    pairs = [pair for split in chosen for pair in _labeled_images(split, class_names)]
    images = [image for _, image in pairs]
    evidence = _collect(weights, pairs, progress, options)
    if not evidence:
        raise InputError(f"none of the {len(images)} images of {dataset} could be read")
    suspects = _judge(evidence, class_names)
    biased = [
        split.name
        for split in chosen
        if trained_images(weights, [image.path for image in images if image.split == split.name])
    ]
    return LabelErrors(class_names, suspects, len(images), len(images) - len(evidence), biased)


def _labeled_images(
    split: DatasetSplit, class_names: Sequence[str]
) -> Iterator[tuple[Example, LabeledImage]]:
    """The images of a split, for the detector and for the corrections."""
    data = DetectionDataset(split.images, split, class_names=class_names)
    if count_points(split.coco):
        raise InputError(f"{split.source} has points: label errors are found in boxes only")
    names = [image["file_name"] for image in _images(split)]
    for name, example in zip(names, dataset_examples(data), strict=True):
        assert example.boxes is not None and example.labels is not None
        image = LabeledImage(split.name, name, example.path, example.boxes, example.labels)
        yield example, image


def _judge(evidence: Sequence[Evidence], class_names: Sequence[str]) -> list[SuspectImage]:
    """The images with suspicions, the one with the most probable error first."""
    agreements = [agree(one) for one in evidence]
    populations, real = estimate(evidence, agreements, len(class_names))
    judged = [
        SuspectImage(one.image, find_suspicions(one, how, chances, populations, class_names))
        for one, how, chances in zip(evidence, agreements, real, strict=True)
    ]
    suspects = [image for image in judged if image.suspicions]
    return sorted(suspects, key=lambda image: -image.suspicions[0].score)


def maps_of(
    images: Sequence[SuspectImage], weights: Path, **options: Any
) -> Iterable[tuple[SuspectImage, ImageMaps]]:
    """The pixels and heatmaps of images, by the detectors that judged them, in another order."""
    for detector, indices in detectors_of(weights, [i.image.path for i in images], **options):
        for index in indices:
            example = Example(images[index].image.path, images[index].image.file_name)
            yield images[index], analyze_image(detector, example)[1]


def _images(split: DatasetSplit) -> list[dict[str, Any]]:
    return check_coco(split.source, split.coco)["images"]


def _choose(
    dataset: str | Path, found: dict[str, DatasetSplit], names: Sequence[str]
) -> list[DatasetSplit]:
    for name in names:
        if name not in found:
            raise InputError(f"{dataset} has no split {name!r}, only {', '.join(found)}")
    return [found[name] for name in names or found]


def _class_names(weights: Path, options: dict[str, Any]) -> Sequence[str]:
    checkpoint = fold_checkpoint(weights, 1) if weights.is_dir() else weights
    detector = Detector.load(checkpoint, **options)
    _ = detector.network  # raises InputError for an exported model
    return detector.class_names


def _collect(
    weights: Path,
    pairs: Sequence[tuple[Example, LabeledImage]],
    progress: bool,
    options: dict[str, Any],
) -> list[Evidence]:
    """The evidence of each image that can be read."""
    collected = []
    paths = [image.path for _, image in pairs]
    with tqdm(total=len(pairs), unit="image", disable=not progress) as bar:
        for detector, indices in detectors_of(weights, paths, **options):
            for index in indices:
                try:
                    collected.append(collect_evidence(detector, *pairs[index]))
                except InputError as error:
                    tqdm.write(f"skipped: {error}", file=sys.stderr)
                bar.update()
    return collected
