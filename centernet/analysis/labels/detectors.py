"""Choose for each image a detector that has not been trained on it."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from centernet.errors import InputError
from centernet.inference.detector import Detector
from centernet.training.config_data import data_of_config
from centernet.training.folds import fold_name, is_cross_validation


def detectors_of(
    weights: Path, paths: Sequence[Path], **options: Any
) -> Iterator[tuple[Detector, list[int]]]:
    """Each detector with the images that it has to judge; one detector is in memory at a time.

    Args:
        weights: a checkpoint, which judges all images; or the folder of a cross-validation, of
            which the model of each fold judges the images of that fold. Images in no fold, such as
            those of the split ``test``, are unknown to all models; the first one judges them.
        paths: image files.
        **options: those of :meth:`.Detector.load`.

    Yields:
        A detector, and indices of ``paths``.

    Raises:
        InputError: the weights are wrong, or a fold is not trained.
    """
    if not weights.is_dir():
        yield Detector.load(weights, **options), list(range(len(paths)))
        return
    folds = _fold_of_files(weights.absolute())
    chosen = [folds.get(path.resolve(), 1) for path in paths]
    for fold in sorted(set(chosen)):
        detector = Detector.load(fold_checkpoint(weights, fold), **options)
        yield detector, [index for index, own in enumerate(chosen) if own == fold]


def fold_checkpoint(folder: Path, fold: int) -> Path:
    """The checkpoint of a fold of a cross-validation."""
    return folder / fold_name(fold) / "best.ckpt"


def require_own_folds(weights: Path, paths: Sequence[Path]) -> None:
    """Check that a cross-validation belongs to a dataset; a checkpoint can belong to any.

    Args:
        weights: a checkpoint, or the folder of a cross-validation.
        paths: all image files of the dataset.

    Raises:
        InputError: a folder is no trained cross-validation, or no fold has one of the images.
    """
    if not weights.is_dir():
        return
    folds = _fold_of_files(weights.absolute())
    if not any(path.resolve() in folds for path in paths):
        raise InputError(f"{weights} was trained on other images, not on {paths[0]}")


def trained_images(weights: Path, paths: Sequence[Path]) -> bool:
    """Whether the run of a checkpoint was trained on most of these images, if that is known."""
    config = weights.with_name("config.yaml")
    if weights.is_dir() or not config.is_file() or not paths:
        return False
    try:
        folder, split = data_of_config(config).source.find("train")
    except InputError:
        return False
    known = {(folder / image["file_name"]).resolve() for image in split.coco["images"]}
    return sum(path.resolve() in known for path in paths) > len(paths) / 2


@lru_cache(maxsize=1)
def _fold_of_files(folder: Path) -> Mapping[Path, int]:
    """The fold of each image file of a cross-validation."""
    if not is_cross_validation(folder):
        raise InputError(
            f"{folder} is not the folder of a cross-validation: give one, or a checkpoint"
        )
    config = folder / fold_name(1) / "config.yaml"
    if not config.is_file():
        raise InputError(f"{folder} is not trained: {config} is missing")
    splits = data_of_config(config).source.fold_splits()
    return {
        (split.images / image["file_name"]).resolve(): fold
        for fold, split in enumerate(splits, 1)
        for image in split.coco["images"]
    }
