"""Findings about splits and classes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from centernet.analysis.check.files import ImageFile
from centernet.analysis.check.findings import Finding
from centernet.analysis.check.split_arrays import SplitArrays
from centernet.data.formats.split_validation import split_validation
from centernet.errors import InputError
from centernet.training.sources import HELD_OUT

_RARE = 20  # training objects; a class with fewer is learned poorly


def objects_by_class(arrays: SplitArrays) -> NDArray[np.int64]:
    """Number of objects by label."""
    return np.bincount(arrays.label[arrays.objects], minlength=len(arrays.names))


def check_splits(
    splits: Sequence[SplitArrays], files: Mapping[Path, ImageFile], *, is_complete: bool = True
) -> None:
    """Add findings about missing splits, and about splits, classes and images without objects.

    Args:
        splits: all splits of the dataset.
        files: the images that were read.
        is_complete: whether the dataset should have all splits that training needs.
    """
    for arrays in splits:
        if not arrays.objects.any():
            what = f"{len(arrays.files)} images, {len(arrays.ids)} annotations, no usable box"
            arrays.add("split-without-objects", what)
            continue
        _check_classes(arrays)
        used = np.bincount(arrays.image[arrays.usable], minlength=len(arrays.files))
        for image in np.flatnonzero(used == 0):
            arrays.add("image-without-objects", "", image=int(image))
    if is_complete:
        _check_absent(splits, files)


def _check_absent(splits: Sequence[SplitArrays], files: Mapping[Path, ImageFile]) -> None:
    """Add findings about missing splits: ``fit`` holds out validation images if it can."""
    arrays_of = {arrays.split.name: arrays for arrays in splits}
    only = f"only {', '.join(arrays_of)}"
    train = arrays_of.get("train")
    if train is None:
        splits[0].add("split-absent", f"no split 'train', {only}")
    if "val" in arrays_of:
        return
    if train is None:
        splits[0].add("split-absent", f"no split 'val', {only}")
        return
    images = [{"id": i, "file_name": file} for i, file in enumerate(train.files)]
    content = {"images": images, "annotations": [], "categories": []}
    pictures = {path: file.fingerprint for path, file in files.items()}
    try:
        parts, _ = split_validation(
            [replace(train.split, coco=content)], HELD_OUT, fingerprints=pictures
        )
    except InputError as error:
        train.add("split-absent", f"no split 'val', {only}, and {error}")
        return
    # Without pictures, copies of a photograph are not kept together.
    count = f"{'' if files else 'about '}{len(parts[1].coco['images'])} of {len(images)}"
    test = "; --data.val_annotations test uses test instead" if "test" in arrays_of else ""
    what = f"no split 'val', {only}: fit holds out {count} training images{test}"
    train.add("split-held-out", what)


def _check_classes(arrays: SplitArrays) -> None:
    split = arrays.split.name
    for name, count in zip(arrays.names, objects_by_class(arrays), strict=True):
        if not count and split in ("train", "val"):
            arrays.add("class-absent", f"{name} has no object in {split}")
        elif 0 < count < _RARE and split == "train":
            arrays.add("class-rare", f"{name} has {count} objects")


def all_findings(splits: Sequence[SplitArrays]) -> list[Finding]:
    """The findings of all splits."""
    return [finding for arrays in splits for finding in arrays.findings]
