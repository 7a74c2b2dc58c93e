"""Positions of labels beside their boxes, where they cover neither labels nor other objects."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Up to this number of objects, a label may cover the middle of another object.
_FEW = 20
# All labels together cover at most this fraction of the picture; the first is always drawn.
_MAX_COVERED = 0.15


class Rectangle(NamedTuple):
    """A rectangle in pixels of the picture, without its right and lower edge."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.right - self.left, self.bottom - self.top


class CoveredArea:
    """The part of a picture that is covered, in cells of a few pixels."""

    def __init__(self, size: tuple[int, int], cell: int) -> None:
        """Start with nothing covered.

        Args:
            size: (height, width) of the picture in pixels.
            cell: side of a cell in pixels.
        """
        self._cell = cell
        self._covered = np.zeros([side // cell + 1 for side in size], bool)

    def add(self, place: Rectangle) -> None:
        """Cover a rectangle; its part outside of the picture is ignored."""
        self._cells(place)[...] = True

    def touches(self, place: Rectangle) -> bool:
        """Whether a cell of a rectangle is covered."""
        return bool(self._cells(place).any())

    def _cells(self, place: Rectangle) -> NDArray[np.bool_]:
        left, top, right, bottom = place
        rows = slice(max(0, top) // self._cell, max(0, bottom) // self._cell + 1)
        return self._covered[rows, max(0, left) // self._cell : max(0, right) // self._cell + 1]


def place_labels(
    boxes: NDArray,
    sizes: Sequence[tuple[int, int]],
    picture: tuple[int, int],
    cell: int,
    panel: Rectangle | None = None,
) -> list[Rectangle | None]:
    """Choose a place for the label of each box, in the order of the boxes.

    A label touches its box. It covers no other label, and no middle of a box, which is the inner
    half of its width and height. A label without such a place is left out.

    Args:
        boxes: (n, 4) xyxy in pixels of the picture, best first.
        sizes: (width, height) of the label of each box in pixels.
        picture: (height, width) in pixels.
        cell: resolution in pixels.
        panel: a part of the picture without labels.

    Returns:
        The place of each label; None for one that is left out.
    """
    labels, middles = CoveredArea(picture, cell), CoveredArea(picture, cell)
    quarter = (boxes[:, 2:] - boxes[:, :2]) / 4
    inner = np.hstack([boxes[:, :2] + quarter, boxes[:, 2:] - quarter]).round().astype(int)
    for sides in inner.tolist():
        middles.add(Rectangle(*sides))
    if panel:
        labels.add(panel)
    remaining = _MAX_COVERED * picture[0] * picture[1]
    places: list[Rectangle | None] = []
    for box, size in zip(boxes.tolist(), sizes, strict=True):
        is_first, area = not any(places[:1]), size[0] * size[1]
        found = None
        if is_first or area <= remaining:
            free = [p for p in _candidates(box, size, picture) if not labels.touches(p)]
            clear = (p for p in free if not middles.touches(p))
            found = next(clear, free[0] if free and len(boxes) <= _FEW else None)
        if found:
            labels.add(found)
            remaining -= area
        places.append(found)
    return places


def choose_corner(boxes: NDArray, size: tuple[int, int], picture: tuple[int, int]) -> Rectangle:
    """The corner of a picture where a panel covers the fewest centers of boxes.

    Args:
        boxes: (n, 4) xyxy in pixels.
        size: (width, height) of the panel in pixels.
        picture: (height, width) in pixels.
    """
    (width, height), (rows, columns) = size, picture
    x, y = ((boxes[:, :2] + boxes[:, 2:]) / 2).T
    corners = [
        Rectangle(left, top, left + width, top + height)
        for top in (0, rows - height)
        for left in (0, columns - width)
    ]
    inside = [
        np.count_nonzero((x >= c.left) & (x < c.right) & (y >= c.top) & (y < c.bottom))
        for c in corners
    ]
    return corners[int(np.argmin(inside))]


def _candidates(
    box: Sequence[float], size: tuple[int, int], picture: tuple[int, int]
) -> Iterator[Rectangle]:
    """The places for a label, the preferred one first, all inside the picture if it fits."""
    left, top, right, bottom = (round(side) for side in box)
    (width, height), (rows, columns) = size, picture
    for x, y in (
        *((left, top - height), (left, bottom + 1)),  # above, below
        *((right - width, top - height), (right - width, bottom + 1)),
        *((right + 1, top), (left - width, top)),  # beside
        *((left, top), (left, bottom - height)),  # inside
    ):
        x, y = max(0, min(x, columns - width)), max(0, min(y, rows - height))
        yield Rectangle(x, y, x + width, y + height)
