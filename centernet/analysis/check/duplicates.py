"""Findings about images of the same photograph: in two splits (a leak), or twice in one split."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from centernet.analysis.check.files import ImageFile, image_paths
from centernet.analysis.check.split_arrays import SplitArrays
from centernet.data.similar_images import (
    Fingerprint,
    Groups,
    group_similar,
    original_name,
)


def check_duplicates(splits: Sequence[SplitArrays], files: Mapping[Path, ImageFile]) -> None:
    """Add findings about copies of a photograph in two splits, and equal images in one split.

    Args:
        splits: all splits of the dataset.
        files: the images that were read; others are compared by file name only.
    """
    entries = [(arrays, i) for arrays in splits for i in range(len(arrays.files))]
    paths = [path for arrays in splits for path in image_paths(arrays)]
    fingerprints = [files[path].fingerprint if path in files else None for path in paths]
    upright = group_similar(fingerprints, turned=False)
    turned = group_similar(fingerprints, turned=True)
    related = Groups(len(entries))
    related.join(range(len(entries)), turned.label)
    related.join_equal(original_name(arrays.files[i]) for arrays, i in entries)
    leaks: set[int] = set()
    for groups, description in (
        (upright, "also in {}, as {}"),
        (turned, "mirrored or rotated, also in {}, as {}"),
        (related, "another copy of the photograph is in {}, as {}"),
    ):
        for origin, *others in groups.several():
            first, first_image = entries[origin]
            for other in others:
                arrays, image = entries[other]
                if arrays is not first and other not in leaks:
                    leaks.add(other)
                    what = description.format(first.split.name, first.files[first_image])
                    arrays.add("image-leak", what, image=image)
    _check_similar_images(entries, fingerprints, upright)


def _check_similar_images(
    entries: Sequence[tuple[SplitArrays, int]],
    fingerprints: Sequence[Fingerprint | None],
    upright: Groups,
) -> None:
    for origin, *others in upright.several():
        (first, first_image), known = entries[origin], fingerprints[origin]
        name = first.files[first_image]
        for other in others:
            (arrays, image), own = entries[other], fingerprints[other]
            if arrays is first and arrays.files[image] != name:
                almost = "" if known and own and known.digest == own.digest else "almost "
                arrays.add("image-duplicate", f"{almost}the same picture as {name}", image=image)
