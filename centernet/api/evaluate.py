"""Evaluate any detector on any dataset, as ``centernet validate`` does."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from centernet.api.evaluation_result import EvaluatedImage, EvaluationResult
from centernet.errors import InputError, require_at_least

if TYPE_CHECKING:
    from centernet.data.dataset import DetectionDataset
    from centernet.inference.detector import Detector

_SPLITS = ("train", "val", "test")


def evaluate(
    detector: "Detector | str | Path",
    data: str | Path,
    *,
    split: str | Path = "val",
    images: str | Path | None = None,
    batch_size: int = 8,
    progress: bool = True,
    **options: Any,
) -> EvaluationResult:
    """Evaluate a detector on the images of a dataset; the metrics are those of ``validate``.

    >>> result = evaluate("runs/custom/best.ckpt", "data/mine")         # doctest: +SKIP
    >>> result.metrics["AP"], result.per_class                          # doctest: +SKIP
    >>> result.confusion(threshold=0.5).counts                          # doctest: +SKIP
    >>> evaluate("model.onnx", "data/mine", split="test")               # doctest: +SKIP

    Args:
        detector: a detector with any engine, or weights for :meth:`centernet.Detector.load`.
        data: dataset in any format that ``fit`` reads.
        split: ``val``, ``test``, ``train`` or another split of the dataset; or the path of an
            annotation file, absolute or relative to ``data``. A dataset without ``val`` has the
            validation images that ``fit`` holds out.
        images: folder of the images of an annotation file, relative to ``data``; by default they
            are searched in ``data``.
        batch_size: maximum number of images per forward pass.
        progress: show a progress bar.
        **options: those of :meth:`centernet.Detector.load`, for weights.

    Raises:
        InputError: the weights, the dataset or an image cannot be read, the dataset lacks the
            split, or it has classes that the detector lacks.
    """
    from centernet.inference.detector import Detector

    require_at_least(1, batch_size=batch_size)
    if not isinstance(detector, Detector):
        detector = Detector.load(detector, **options)
    elif options:
        raise InputError(f"{', '.join(options)}: give options together with weights")
    dataset = _dataset(detector, Path(data), split, images)
    return _result(
        detector, dataset, list(_evaluate_images(detector, dataset, batch_size, progress))
    )


def _dataset(
    detector: "Detector", root: Path, split: str | Path, images: str | Path | None
) -> "DetectionDataset":
    """The annotated images, with the classes of the detector."""
    from centernet.data.dataset import DetectionDataset
    from centernet.training.sources import DataSource

    is_file = Path(split).suffix.lower() == ".json"
    annotations = str(split) if is_file else f"annotations/instances_{split}.json"
    folder = images or ("." if is_file else split)
    paths = {
        "train": ("train", "annotations/instances_train.json"),
        "val": (str(folder), annotations),
    }
    place, found = DataSource(root, paths).find("val")
    sizes = [size for size in detector.engine.info.point_sizes or () if size]
    names = detector.class_names
    is_numbered = names == tuple(map(str, range(len(names))))  # the weights have no names
    dataset = DetectionDataset(
        place,
        found,
        class_names=None if is_numbered else names,
        point_size=sizes[0] if sizes else None,
    )
    if len(dataset.class_names) != len(names):
        raise InputError(
            f"the detector has {len(names)} classes, {dataset.source} has "
            f"{len(dataset.class_names)}: use weights trained on these classes"
        )
    return dataset


def _evaluate_images(
    detector: "Detector", dataset: "DetectionDataset", batch_size: int, progress: bool
) -> Iterator[EvaluatedImage]:
    """The detections and annotations of each image."""
    with tqdm(total=dataset.num_images, unit="image", disable=not progress) as bar:
        paths = dataset.paths
        for start in range(0, len(paths), batch_size):
            group = paths[start : start + batch_size]
            found = detector.batch(group, batch_size=batch_size, threshold=0)
            for index, (path, detections) in enumerate(zip(group, found, strict=True), start):
                yield EvaluatedImage(path, detections, dataset.annotation(index))
            bar.update(len(group))


def _result(
    detector: "Detector", dataset: "DetectionDataset", images: list[EvaluatedImage]
) -> EvaluationResult:
    from centernet.evaluation.results import CocoResults

    collected = CocoResults()
    for image_id, image in zip(dataset.image_ids, images, strict=True):
        collected.add(image_id, image.arrays, dataset.category_ids)
    assert dataset.annotations is not None  # a dataset without augmentation keeps them
    info = detector.engine.info
    evaluation = collected.evaluate(
        dataset.annotations, top_k=int(detector.top_k), has_box_sizes=info.has_box_sizes
    )
    return EvaluationResult(
        source=f"{dataset.source} ({dataset.name})",
        class_names=dataset.class_names,
        evaluation=evaluation,
        results=collected.results,
        images=images,
        best_thresholds=info.thresholds,
    )
