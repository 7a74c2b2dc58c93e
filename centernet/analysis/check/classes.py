"""Findings about splits and classes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from centernet.analysis.check.findings import Finding
from centernet.analysis.check.split_arrays import SplitArrays

_RARE = 20  # training objects; a class with fewer is learned poorly


def objects_by_class(arrays: SplitArrays) -> NDArray[np.int64]:
    """Number of objects by label."""
    return np.bincount(arrays.label[arrays.objects], minlength=len(arrays.names))


def check_splits(splits: Sequence[SplitArrays], *, needed: Sequence[str] = ()) -> None:
    """Add findings about missing splits, and about splits, classes and images without objects.

    Args:
        splits: all splits of the dataset.
        needed: names of the splits that must exist.
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
    existing = [arrays.split.name for arrays in splits]
    for name in needed:
        if name not in existing:
            splits[0].add("split-absent", f"no split {name!r}, only {', '.join(existing)}")


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
