"""Ignore regions: parse and validate COCO segmentations, and find the cells in them.

No mask of an image is built, so neither a wrong size nor a distant vertex costs memory.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from centernet import geometry
from centernet.data.entries import as_number, is_integer, short
from centernet.errors import InputError

# pycocotools draws polygons on a grid of fifths of a pixel.
_FINER = 5
_MAX_COORDINATE = 1e15  # of a vertex; float64 resolves fifths of a pixel below
_MAX_SIDE = 2**31  # of an RLE; the positions of its pixels fit into 64 bits
# COCO's compressed RLE: six bits per character from "0", the sixth marks that the number continues.
_FIRST_CHARACTER, _CONTINUES, _SIGN, _BITS = 48, 0x20, 0x10, 5
_MAX_CHARACTERS = 13  # per number, for 64 bits


class Region(ABC):
    """A part of an image.

    Attributes:
        size: (height, width) of the pixel grid that covers the image; None for the image's own.
    """

    size: tuple[int, int] | None

    @abstractmethod
    def contains(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether pixels of the grid are in the region: bool (len(rows), len(columns))."""

    @abstractmethod
    def enclosing_box(self) -> list[float]:
        """The enclosing box, xywh in pixels of the grid."""

    def box_in_image(self, sides: tuple[float, float]) -> list[float]:
        """The enclosing box, xywh in image pixels; a grid of another size covers the image.

        Args:
            sides: width and height of the image; infinite where unknown, which means the grid's.
        """
        box = self.enclosing_box()
        if self.size is None or not all(map(math.isfinite, sides)):
            return box
        scales = (sides[0] / self.size[1], sides[1] / self.size[0])
        return [value * scale for value, scale in zip(box, scales * 2, strict=True)]


@dataclass(frozen=True, eq=False)
class Box(Region):
    """The pixels whose centers lie in a box, xywh."""

    xywh: Sequence[float]
    size: None = field(default=None, init=False)

    def contains(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.bool_]:
        """See :meth:`Region.contains`."""
        x, y, width, height = self.xywh
        inside = (
            (low <= pixels + 0.5) & (pixels + 0.5 < low + length)
            for pixels, low, length in ((rows, y, height), (columns, x, width))
        )
        return np.outer(*inside)

    def enclosing_box(self) -> list[float]:
        """The box itself, xywh."""
        return list(self.xywh)


@dataclass(frozen=True, eq=False)
class RunLengths(Region):
    """A COCO RLE: runs of background and foreground in turn, column by column.

    Attributes:
        size: (height, width) of the mask.
        ends: (2k,) where each run ends; all pixels after the last are background.
    """

    size: tuple[int, int]
    ends: NDArray[np.int64]

    def contains(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.bool_]:
        """See :meth:`Region.contains`."""
        position = columns * self.size[0] + rows[:, None]
        return np.searchsorted(self.ends, position, side="right") % 2 == 1

    def enclosing_box(self) -> list[float]:
        """The enclosing box, xywh; of zero size without foreground."""
        start, stop = self.ends.reshape(-1, 2).T
        start, last = start[start < stop], stop[start < stop] - 1
        if not len(start):
            return [0.0, 0.0, 0.0, 0.0]
        height = self.size[0]
        left, right = int(start.min()) // height, int(last.max()) // height
        # A run over several columns touches the top and the bottom.
        is_tall = start // height < last // height
        top = int(np.where(is_tall, 0, start % height).min())
        bottom = int(np.where(is_tall, height - 1, last % height).max())
        return [float(v) for v in (left, top, right - left + 1, bottom - top + 1)]


@dataclass(frozen=True, eq=False)
class Polygons(Region):
    """The union of polygons, each (n, 2) xy: the pixels of pycocotools' mask, ties aside."""

    polygons: Sequence[NDArray[np.float64]]
    size: None = field(default=None, init=False)

    def contains(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.bool_]:
        """See :meth:`Region.contains`."""
        levels, which = np.unique(rows, return_inverse=True)
        found = [_inside(polygon, levels, columns) for polygon in self.polygons]
        return np.any(found, axis=0)[which]

    def enclosing_box(self) -> list[float]:
        """The enclosing box, xywh."""
        points = np.concatenate(self.polygons)
        return [*points.min(0).tolist(), *np.ptp(points, axis=0).tolist()]


def _inside(
    polygon: NDArray[np.float64], rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether pixels are in a polygon, by the even-odd rule; ``rows`` ascend."""
    points = np.trunc(_FINER * polygon + 0.5)
    (x1, y1), (x2, y2) = points.T, np.roll(points, -1, axis=0).T
    centers = _FINER * (columns + 0.5)
    is_left = x1[:, None] < centers
    edge, column = np.nonzero(is_left != (x2[:, None] < centers))
    slope = (y2 - y1)[edge] / (x2 - x1)[edge]
    y = y1[edge] + slope * (centers[column] - x1[edge])
    # pycocotools takes the upper of the two points that its edge has on both sides of the center.
    y -= np.minimum(np.abs(slope), 1) / 2
    below = np.searchsorted(_FINER * (rows + 0.5), y, side="right")
    crossings = np.zeros((len(rows) + 1, len(columns)), np.int64)
    np.add.at(crossings, (below, column), 1)
    return crossings[:-1].cumsum(0) % 2 == 1


def region_to_cells(
    region: Region,
    image_size: tuple[int, int],
    matrix: geometry.Matrix,
    cells: tuple[int, int],
    stride: int,
) -> NDArray[np.bool_]:
    """Find the cells of the network input whose center, pixel stride * (x + 1/2), is in a region.

    Args:
        region: region of the image.
        image_size: (height, width) of the image, which the region's grid covers.
        matrix: matrix from image to network input.
        cells: (h, w) of the cell grid.
        stride: input pixels per cell.

    Returns:
        (h, w) bool.
    """
    back = geometry.invert(matrix)
    indices = []
    for axis, (count, length, pixels) in enumerate(
        zip(reversed(cells), reversed(image_size), reversed(region.size or image_size), strict=True)
    ):
        centers = (np.arange(count) + 0.5) * stride
        index = np.floor((back[axis, axis] * centers + back[axis, 2]) * pixels / length)
        inside = (index >= 0) & (index < pixels)
        indices.append((np.where(inside, index, 0).astype(np.int64), inside))
    (columns, column_inside), (rows, row_inside) = indices
    return region.contains(rows, columns) & np.outer(row_inside, column_inside)


def parse_segmentation(segmentation: Any) -> RunLengths | Polygons | None:
    """Parse the ``segmentation`` of an annotation; None if it is empty.

    An RLE may end early: the remaining pixels are background.

    Args:
        segmentation: an RLE, ``counts`` (a list, or COCO's compressed text) and ``size`` (height,
            width), or a list of polygons, each [x1, y1, x2, y2, ...].

    Raises:
        InputError: it is malformed. The message does not name the annotation.
    """
    if not segmentation:
        return None
    if isinstance(segmentation, dict):
        return _run_lengths(segmentation)
    if isinstance(segmentation, list):
        return Polygons([_polygon(polygon) for polygon in segmentation])
    raise InputError(
        f"segmentation {short(segmentation)}, which should be an RLE with counts and size, or a "
        "list of polygons"
    )


def _polygon(polygon: Any) -> NDArray[np.float64]:
    """Validate a polygon; its vertices (n, 2) xy."""
    if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
        raise InputError(
            f"polygon {short(polygon)} in its segmentation, which should be a list "
            "[x1, y1, x2, y2, ...] of three points or more"
        )
    values = [as_number(value) for value in polygon]
    for value, given in zip(values, polygon, strict=True):
        if value is None or not abs(value) <= _MAX_COORDINATE:
            raise InputError(
                f"coordinate {short(given)} in a polygon of its segmentation, which should be a "
                "number of pixels"
            )
    return np.array(values).reshape(-1, 2)


def _run_lengths(rle: dict[str, Any]) -> RunLengths:
    """Validate an RLE and decode its counts."""
    for key in ("counts", "size"):
        if key not in rle:
            raise InputError(f"an RLE without {key!r} as its segmentation")
    size, counts = rle["size"], rle["counts"]
    is_size = isinstance(size, list | tuple) and len(size) == 2 and all(map(is_integer, size))
    if not is_size or not all(0 < side < _MAX_SIDE for side in size):
        raise InputError(
            f"size {short(size)} in the RLE of its segmentation, which should be [height, width]"
        )
    if isinstance(counts, str | bytes):
        counts = _decode(counts)
    elif not isinstance(counts, list) or not all(map(is_integer, counts)):
        raise InputError(
            f"counts {short(counts)} in the RLE of its segmentation, which should be a list of "
            "integers or COCO's compressed text"
        )
    if min(counts, default=0) < 0 or sum(counts) > size[0] * size[1]:
        raise InputError(
            f"an RLE of size {short(size)} as its segmentation whose counts "
            + ("are negative" if min(counts) < 0 else f"add up to {short(sum(counts))} pixels")
        )
    # A last run of background ends where the rest, which is background too, begins.
    ends = np.cumsum(np.array(counts[: len(counts) // 2 * 2], np.int64))
    return RunLengths(tuple(size), ends)


def _decode(text: str | bytes) -> list[int]:
    """Counts of COCO's compressed RLE: from the fourth on, differences to the last but one."""
    codes = [ord(c) for c in text] if isinstance(text, str) else list(text)
    codes = [code - _FIRST_CHARACTER for code in codes]
    stops = [i + 1 for i, code in enumerate(codes) if not code & _CONTINUES]
    numbers = [codes[start:stop] for start, stop in pairwise([0, *stops])]
    is_complete = not codes or (stops and stops[-1] == len(codes))
    if not is_complete or min(codes, default=0) < 0 or max(codes, default=0) >= 2 * _CONTINUES:
        raise InputError(
            f"counts {short(text)} in the RLE of its segmentation, which are not COCO's compressed "
            "text"
        )
    counts: list[int] = []
    for digits in numbers:
        if len(digits) > _MAX_CHARACTERS:
            raise InputError(
                f"counts {short(text)} in the RLE of its segmentation, with a number over 64 bits"
            )
        value = sum((digit & (_CONTINUES - 1)) << _BITS * i for i, digit in enumerate(digits))
        if digits[-1] & _SIGN:
            value -= 1 << _BITS * len(digits)
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
    return counts
