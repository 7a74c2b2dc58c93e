"""Find images of one photograph, by their pixels (also mirrored or turned) or their names."""

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
# Thumbnails of one picture differ by less, on average and in each place. Turned or mirrored, scaled
# to 0.7 and saved as JPEG again they differ by 1.1 at most, a blood smear photographed again at
# another focus by 2.2. Different blood smears differ by 6.9 at least, turned or mirrored by 10.2,
# photographs of COCO by 16.3, turned or mirrored by 12.8.
_MEAN, _ANYWHERE = 3.0, 12
# The average difference is also less than this part of their contrast (standard deviation): such
# copies differ by 0.04 of it at most, also after the contrast was reduced to 0.15, the blood smear
# at another focus by 0.12, different pictures of both datasets by 0.49 at least.
_OF_CONTRAST = 0.2
# Flat pictures all look alike: they are the same only if all pixels are equal.
_FLAT = 4.0
# Each picture is compared with at most so many of about its brightness.
_MOST_COMPARED = 2000

# A group of more similar pictures than this, and than this part of all, is no photograph and its
# copies, but the view of a fixed camera.
_MOST_COPIES, _FIXED_VIEW = 20, 0.5


def _symmetries() -> NDArray[np.int64]:
    grid = np.arange(_SIDE * _SIDE).reshape(_SIDE, _SIDE)
    return np.stack([np.rot90(side, k).ravel() for side in (grid, grid[:, ::-1]) for k in range(4)])


# (8, 256): where each pixel of the turned or mirrored thumbnail comes from; upright first.
_SYMMETRIES = _symmetries()
_OCTANT = [(y, x) for y in range(_SIDE // 2) for x in range(y + 1)]
# (8, 36): the same for the pixels of an octant; each column lists pixels that change places.
_ORBITS = _SYMMETRIES[:, [_SIDE * y + x for y, x in _OCTANT]]
# (8, 36): without the second mention of those on a diagonal, once their values are sorted.
_ONCE = np.array([[x < y or i % 2 == 0 for y, x in _OCTANT] for i in range(len(_SYMMETRIES))])


class Fingerprint(NamedTuple):
    """What pictures are compared by.

    Attributes:
        digest: of size and pixels.
        thumbnail: (16, 16) uint8 gray.
    """

    digest: bytes
    thumbnail: NDArray[np.uint8]


def fingerprint(image: NDArray[np.uint8]) -> Fingerprint:
    """The fingerprint of (H, W, 3) RGB pixels."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return Fingerprint(
        hashlib.blake2b(f"{image.shape}".encode() + image.tobytes(), digest_size=16).digest(),
        cv2.resize(gray, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA),
    )


def original_name(file_name: str) -> str | None:
    """The name of the photograph that Roboflow made an augmented copy of; None for other files.

    ``train/IMG_1_jpg.rf.0123abcd.jpg`` is a copy of ``IMG_1_jpg``.
    """
    name, mark, _ = PurePosixPath(file_name).name.partition(".rf.")
    return name if name and mark else None


class Groups:
    """A partition of n items, at first each alone (union-find).

    Attributes:
        label: (n,) position of the first item of each item's group.
        fixed_view: how many pictures are too similar to tell copies from other pictures of the same
            scene; 0 for none. See :func:`group_similar`.
    """

    fixed_view = 0

    def __init__(self, count: int) -> None:
        self.label = np.arange(count)

    def join(self, a: ArrayLike, b: ArrayLike) -> None:
        """Join the groups of the items at positions ``a`` with those at ``b``, pair by pair."""
        if not len(a):
            return
        label = self.label
        pairs = np.stack([label[np.asarray(a, int)], label[np.asarray(b, int)]], 1)
        for pair in np.unique(pairs, axis=0).tolist():
            first, second = map(self._first, pair)
            label[max(first, second)] = min(first, second)
        while (label[label] != label).any():
            label[:] = label[label]

    def join_equal(self, keys: Iterable[str | bytes | None]) -> None:
        """Join the items of equal keys; an item whose key is None is left as it is."""
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
        """The items of every group that has more than one."""
        return [group for group in self.every() if len(group) > 1]

    def _first(self, item: int) -> int:
        while self.label[item] != item:
            item = int(self.label[item])
        return item


def group_similar(pictures: Sequence[Fingerprint | None], *, turned: bool) -> Groups:
    """Group identical and near-identical pictures.

    Where more than half of all pictures are near-identical, as those of a fixed camera, only
    identical ones are grouped.

    Args:
        pictures: None for an image that cannot be read, which stays alone.
        turned: also compare pictures mirrored and turned by quarters.
    """
    groups = _identical(pictures)
    seen = [i for i, picture in enumerate(pictures) if picture and groups.label[i] == i]
    distinct = np.array([i for i in seen if pictures[i].thumbnail.std() > _FLAT], int)
    if not len(distinct):
        return groups
    thumbnails = np.stack([pictures[i].thumbnail for i in distinct]).reshape(len(distinct), -1)
    order = np.argsort(thumbnails.mean(1), kind="stable")
    distinct, thumbnails = distinct[order], thumbnails[order].astype(np.int16)
    most = np.minimum(_OF_CONTRAST * thumbnails.std(1), _MEAN).astype(np.float32)
    # However two pictures are turned, these values differ by no more than the pictures do.
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
    if largest > max(_MOST_COPIES, _FIXED_VIEW * len(pictures)):
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
    """Positions of pairs that may be alike: each with the next, with the one after that, and so on.

    Args:
        brightness: (n,) mean of the pictures, in ascending order.
        values: (n, 256) of which alike ones differ by less than ``most`` on average.
        most: (n,) for each picture.
    """
    # Averages of a few differ by no more, and tell most pairs apart.
    values = values.reshape(len(values), _SIDE, _SIDE).mean(2, dtype=np.float32)
    here = np.arange(len(values))
    for step in range(1, _MOST_COMPARED):
        here = here[here + step < len(values)]
        here = here[brightness[here + step] - brightness[here] < _MEAN]
        if not len(here):
            return
        near = np.abs(values[here] - values[here + step]).mean(1) < most[here]
        yield here[near], here[near] + step


def _alike(
    a: NDArray[np.int16], b: NDArray[np.int16], most: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Which of the values (n, 256) differ little: on average by less than ``most`` (n,)."""
    difference = np.abs(a - b)
    return (difference.max(1, initial=0) < _ANYWHERE) & (difference.mean(1) < most)
