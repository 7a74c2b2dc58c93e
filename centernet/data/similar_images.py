"""Group images of one photograph: by pixels, also mirrored or turned, or by file name."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

# Side of a thumbnail. Even, so that no pixel is at the center of a symmetry.
_SIDE = 16
# Thumbnails of one picture differ by less than this, on average and in each pixel. Measured: copies
# that are turned or mirrored, scaled to 0.7 and saved as JPEG differ by at most 1.1, a blood smear
# photographed again at another focus by 2.2. Different blood smears differ by at least 6.9 (turned
# or mirrored: 10.2), photographs of COCO by 16.3 (12.8).
_MAX_MEAN, _MAX_ANYWHERE = 3.0, 12
# The average difference is also less than this fraction of their contrast (standard deviation).
# Measured: at most 0.04 for such copies, also with the contrast reduced to 0.15, 0.12 for the blood
# smear at another focus, at least 0.49 for different pictures of both datasets.
_MAX_OF_CONTRAST = 0.2
# Pictures of lower contrast are compared by all pixels: thumbnails of flat pictures are similar.
_FLAT = 4.0
# Each picture is compared with at most this many pictures of similar brightness.
_MAX_COMPARED = 2000

# A group of more similar pictures than this, and than this fraction of all, is the view of a fixed
# camera rather than copies of one photograph.
_MAX_COPIES, _FIXED_VIEW = 20, 0.5


def _symmetries() -> NDArray[np.int64]:
    grid = np.arange(_SIDE * _SIDE).reshape(_SIDE, _SIDE)
    return np.stack([np.rot90(side, k).ravel() for side in (grid, grid[:, ::-1]) for k in range(4)])


# (8, 256): source of each pixel of the turned or mirrored thumbnail; the upright one is first.
_SYMMETRIES = _symmetries()
_OCTANT = [(y, x) for y in range(_SIDE // 2) for x in range(y + 1)]
# (8, 36): the same for the pixels of an octant. The symmetries permute the pixels of a column.
_ORBITS = _SYMMETRIES[:, [_SIDE * y + x for y, x in _OCTANT]]
# (8, 36): selects each pixel once; those on a diagonal occur twice, in sorted order side by side.
_ONCE = np.array([[x < y or i % 2 == 0 for y, x in _OCTANT] for i in range(len(_SYMMETRIES))])


class Fingerprint(NamedTuple):
    """Fingerprint of a picture, for comparison.

    Attributes:
        digest: hash of size and pixels.
        thumbnail: (16, 16) uint8 gray.
    """

    digest: bytes
    thumbnail: NDArray[np.uint8]


def fingerprint(image: NDArray[np.uint8]) -> Fingerprint:
    """The fingerprint of (H, W, 3) RGB pixels."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return Fingerprint(
        hashlib.blake2b(f"{image.shape}".encode() + image.tobytes(), digest_size=16).digest(),
        np.asarray(cv2.resize(gray, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.uint8),
    )


def original_name(file_name: str) -> str | None:
    """Name of the photograph of an augmented copy by Roboflow; None for other files.

    ``train/IMG_1_jpg.rf.0123abcd.jpg`` is a copy of ``IMG_1_jpg``.
    """
    name, mark, _ = PurePosixPath(file_name).name.partition(".rf.")
    return name if name and mark else None


class Groups:
    """A partition of n items, at first all separate (union-find).

    Attributes:
        label: (n,) index of the first item of each item's group.
        fixed_view: number of pictures that are too similar to tell copies from other pictures of
            the same scene; see :func:`group_similar`.
    """

    fixed_view = 0

    def __init__(self, count: int) -> None:
        self.label = np.arange(count)

    def join(self, a: ArrayLike, b: ArrayLike) -> None:
        """Join the groups of items ``a`` with those of items ``b``, pair by pair (indices)."""
        label = self.label
        pairs = np.stack([label[np.asarray(a, int)], label[np.asarray(b, int)]], 1)
        for pair in np.unique(pairs, axis=0).tolist():
            first, second = map(self._first, pair)
            label[max(first, second)] = min(first, second)
        while (label[label] != label).any():
            label[:] = label[label]

    def join_equal(self, keys: Iterable[str | bytes | None]) -> None:
        """Join items of equal keys; None differs from every key."""
        first: dict[str | bytes, int] = {}
        pairs = [(first.setdefault(k, i), i) for i, k in enumerate(keys) if k is not None]
        self.join(*np.array(pairs, int).reshape(-1, 2).T)

    def every(self) -> list[list[int]]:
        """The items of every group, in ascending order."""
        groups = defaultdict(list)
        for item, label in enumerate(self.label.tolist()):
            groups[label].append(item)
        return list(groups.values())

    def several(self) -> list[list[int]]:
        """The items of every group of more than one item."""
        return [group for group in self.every() if len(group) > 1]

    def _first(self, item: int) -> int:
        while self.label[item] != item:
            item = int(self.label[item])
        return item


def group_similar(pictures: Sequence[Fingerprint | None], *, turned: bool) -> Groups:
    """Group identical and near-identical pictures.

    If more than half of all pictures are near-identical, such as those of a fixed camera, only
    identical ones are grouped.

    Args:
        pictures: their fingerprints; None for an unreadable image, which stays separate.
        turned: whether to also compare pictures mirrored and turned by multiples of 90 degrees.
    """
    groups = _identical(pictures)
    compared = {
        i: picture.thumbnail.ravel()
        for i, picture in enumerate(pictures)
        if picture and groups.label[i] == i and picture.thumbnail.std() > _FLAT
    }
    if not compared:
        return groups
    thumbnails = np.stack([*compared.values()]).astype(np.int16)
    order = np.argsort(thumbnails.mean(1), kind="stable")
    distinct, thumbnails = np.array([*compared])[order], thumbnails[order]
    most = np.minimum(_MAX_OF_CONTRAST * thumbnails.std(1), _MAX_MEAN).astype(np.float32)
    # Differences of these values are a lower bound for all symmetries.
    invariant = np.sort(thumbnails[:, _ORBITS], axis=1)[:, _ONCE]
    symmetries = _SYMMETRIES if turned else _SYMMETRIES[:1]
    for a, b in _neighbors(thumbnails.mean(1), invariant, most):
        apart = groups.label[distinct[a]] != groups.label[distinct[b]]
        a, b = a[apart], b[apart]
        near = _alike(invariant[a], invariant[b], np.minimum(most[a], most[b]))
        a, b = a[near], b[near]
        for symmetry in symmetries:
            turned_b = thumbnails[b][:, symmetry]
            alike = _alike(thumbnails[a], turned_b, np.minimum(most[a], most[b]))
            groups.join(distinct[a[alike]], distinct[b[alike]])
            a, b = a[~alike], b[~alike]
    largest = np.bincount(groups.label).max()
    if largest > max(_MAX_COPIES, _FIXED_VIEW * len(pictures)):
        groups = _identical(pictures)
        groups.fixed_view = int(largest)
    return groups


def _identical(pictures: Sequence[Fingerprint | None]) -> Groups:
    groups = Groups(len(pictures))
    groups.join_equal(picture and picture.digest for picture in pictures)
    return groups


def _neighbors(
    brightness: NDArray[np.float64], values: NDArray[np.int16], most: NDArray[np.float32]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Indices of pairs that may be similar: each picture and the next ones, in turn.

    Args:
        brightness: (n,) mean of the pictures, in ascending order.
        values: (n, 256), which differ by less than ``most`` on average for similar pictures.
        most: (n,) limit of each picture.
    """
    # Averages differ by no more, and rule out most pairs.
    values = values.reshape(len(values), _SIDE, _SIDE).mean(2, dtype=np.float32)
    here = np.arange(len(values))
    for step in range(1, _MAX_COMPARED):
        here = here[here + step < len(values)]
        here = here[brightness[here + step] - brightness[here] < _MAX_MEAN]
        if not len(here):
            return
        near = np.abs(values[here] - values[here + step]).mean(1) < most[here]
        yield here[near], here[near] + step


def _alike(
    a: NDArray[np.int16], b: NDArray[np.int16], most: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Whether rows (n, 256) are similar: they differ by less than ``most`` (n,) on average."""
    difference = np.abs(a - b)
    return (difference.max(1, initial=0) < _MAX_ANYWHERE) & (difference.mean(1) < most)
