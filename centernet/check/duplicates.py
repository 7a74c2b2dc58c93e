"""Images that are there twice, in one split or in two, also when saved or scaled anew."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from centernet.check.content import Content
from centernet.check.files import ImageFile, paths_of

# Thumbnails (16x16 grey values) of one picture differ by less, on average and in each place. Scaled
# to 0.7 and saved as JPEG again they differ by 1.1 at most, a blood smear photographed again at
# another focus by 2.2; different blood smears by 6.9 at least, photographs of COCO by 16.
_MEAN, _ANYWHERE = 3.0, 12.0
# Flat pictures all look alike: only of those with the same pixels can be said that they are.
_FLAT = 4.0
# Each is compared with at most so many of about its brightness.
_MOST_COMPARED = 2000


def check_duplicates(contents: Sequence[Content], files: Mapping[Path, ImageFile]) -> None:
    """Note pictures that are in the dataset more than once."""
    owners: dict[Path, list[tuple[Content, int]]] = defaultdict(list)
    for content in contents:
        for i, path in enumerate(paths_of(content)):
            owners[path].append((content, i))
    for group in same_pictures(files):
        (first, first_image), *others = [entry for path in group for entry in owners[path]]
        origin = first.files[first_image]
        for content, image in others:
            if content is not first:
                what = f"also in {first.split.name}, as {origin}"
                content.add("image-leak", what, image=image)
            elif content.files[image] != origin:
                content.add("image-duplicate", f"the same picture as {origin}", image=image)


def same_pictures(files: Mapping[Path, ImageFile]) -> list[list[Path]]:
    """Files in groups of one picture, also those that are alone; without those with a fault."""
    paths = [path for path, file in files.items() if not file.fault]
    group = np.arange(len(paths))
    first: dict[bytes, int] = {}
    for i, path in enumerate(paths):
        group[i] = first.setdefault(files[path].digest, i)
    distinct = np.array(
        [i for i in first.values() if files[paths[i]].thumbnail.std() > _FLAT], np.int64
    )
    if len(distinct):
        thumbnails = np.stack([files[paths[i]].thumbnail for i in distinct]).astype(np.float32)
        for a, b in _pairs(thumbnails.reshape(len(distinct), -1)):
            kept, joined = sorted((group[distinct[a]], group[distinct[b]]))
            group[group == joined] = kept
    groups = defaultdict(list)
    for i, path in zip(group.tolist(), paths, strict=True):
        groups[i].append(path)
    return list(groups.values())


def _pairs(thumbnails: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Pairs of thumbnails (n, 256) that are alike.

    Alike ones are about as bright: of all in order of brightness, each is compared with the next,
    the one after that, and so on while any is near enough.
    """
    brightness = thumbnails.mean(1)
    order = np.argsort(brightness)
    brightness = brightness[order]
    here, pairs = np.arange(len(order)), []
    for step in range(1, _MOST_COMPARED):
        here = here[here + step < len(order)]
        here = here[brightness[here + step] - brightness[here] < _MEAN]
        if not len(here):
            break
        a, b = order[here], order[here + step]
        # A few places first: most pairs are told apart by them.
        near = (np.abs(thumbnails[a, ::37] - thumbnails[b, ::37]) < _ANYWHERE).all(1)
        a, b = a[near], b[near]
        difference = np.abs(thumbnails[a] - thumbnails[b])
        alike = (difference.mean(1) < _MEAN) & (difference.max(1, initial=0) < _ANYWHERE)
        pairs += zip(a[alike].tolist(), b[alike].tolist(), strict=True)
    return pairs
