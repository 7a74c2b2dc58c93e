"""Lines and zones in which objects are counted: names, points, and where objects are in them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import ClassVar, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from centernet.errors import InputError
from centernet.sizes import format_size

Point = tuple[float, float]

CENTER, BOTTOM_CENTER = "center", "bottom_center"
# The points of a box that can decide where its object is.
ANCHORS = (CENTER, BOTTOM_CENTER)
# Proportions of pictures that differ by less are the same: videos are scaled to even sides.
_SAME_PROPORTIONS = 0.02
# More points make the checks slow.
_MOST_POINTS = 500


@dataclass(frozen=True)
class Shape:
    """A line or a zone.

    Attributes:
        name: name in the results.
        points: x, y of each point in pixels; fractions of the picture if none is above 1.
        anchor: the point of a box that decides where its object is, one of :data:`ANCHORS`.
        drawn_on: (width, height) in pixels of the picture that the points belong to; None for the
            picture that is analyzed.
        origin: where the shape was read, for messages.
    """

    kind: ClassVar[str]

    name: str
    points: tuple[Point, ...]
    anchor: str = CENTER
    drawn_on: tuple[int, int] | None = None
    origin: str = ""

    @property
    def title(self) -> str:
        """Origin, kind and name, for messages."""
        return f"{self.origin}: {self.kind} {self.name!r}".removeprefix(": ")

    @property
    def array(self) -> NDArray[np.float32]:
        """The points, (n, 2) float32."""
        return np.array(self.points, np.float32)

    def fit(self, width: int, height: int) -> Self:
        """The shape in pixels of a picture.

        Args:
            width: width of the picture in pixels.
            height: height of the picture in pixels.

        Raises:
            InputError: a point is outside of the picture, or the shape was drawn on a picture of
                other proportions.
        """
        size = format_size((height, width))
        scale: tuple[float, float] = (1, 1)
        if all(max(point) <= 1 for point in self.points):
            scale = width, height
        elif self.drawn_on:
            scale = width / self.drawn_on[0], height / self.drawn_on[1]
            if abs(scale[0] / scale[1] - 1) > _SAME_PROPORTIONS:
                raise InputError(
                    f"{self.title} was drawn on a picture of {format_size(self.drawn_on[::-1])} "
                    f"pixels, and this one has {size}: draw it on a picture of the same proportions"
                )
        points = tuple((x * scale[0], y * scale[1]) for x, y in self.points)
        for x, y in points:
            if not (0 <= x <= width and 0 <= y <= height):
                raise InputError(
                    f"{self.title} has the point {x:g},{y:g} outside of the picture, which has "
                    f"{size} pixels: x is 0 to {width}, y is 0 to {height}"
                )
        return replace(self, points=points, drawn_on=None)

    def scaled(self, factor: float) -> Self:
        """The shape, whose points are pixels, on an enlarged picture."""
        return replace(self, points=tuple((x * factor, y * factor) for x, y in self.points))


@dataclass(frozen=True)
class Line(Shape):
    """A line from a first point to a second one.

    A crossing from its right to its left, seen from the first point, has the direction ``in``, as
    in supervision's ``LineZone``; a crossing from its left to its right has the direction ``out``.
    """

    kind: ClassVar[str] = "line"

    def __post_init__(self) -> None:
        """Check the points.

        Raises:
            InputError: there are not two different points.
        """
        if len(self.points) != 2:
            raise InputError(f"{self.title} has {len(self.points)} points: give 2")
        if self.points[0] == self.points[1]:
            x, y = self.points[0]
            raise InputError(f"{self.title} has the point {x:g},{y:g} twice: give two points")

    def distance(self, point: Point) -> float:
        """Distance in pixels of a point from the infinite line: positive on the side ``in``."""
        start, end = self.points
        return -cross(start, end, point) / math.dist(start, end)

    def contains(self, point: Point) -> bool:
        """Whether a point of the infinite line is between both ends."""
        (x1, y1), (x2, y2) = self.points
        along = (point[0] - x1) * (x2 - x1) + (point[1] - y1) * (y2 - y1)
        return 0 <= along <= (x2 - x1) ** 2 + (y2 - y1) ** 2


@dataclass(frozen=True)
class Zone(Shape):
    """A polygon."""

    kind: ClassVar[str] = "zone"

    def __post_init__(self) -> None:
        """Check the points.

        Raises:
            InputError: there are fewer than 3 or more than 500 points, or the outline crosses
                itself.
        """
        if not 3 <= len(self.points) <= _MOST_POINTS:
            raise InputError(
                f"{self.title} has {len(self.points)} points: give 3 to {_MOST_POINTS}"
            )
        crossed = find_crossing(self.points)
        if crossed:
            (a, b), (c, d) = (tuple(f"{x:g},{y:g}" for x, y in side) for side in crossed)
            raise InputError(
                f"{self.title} crosses itself, at the sides {a} to {b} and {c} to {d}: list "
                "the corners in the order of the outline"
            )

    def depth(self, point: Point) -> float:
        """Distance in pixels of a point from the outline: positive inside, negative outside."""
        return cv2.pointPolygonTest(self.array, point, measureDist=True)


def cross(start: Point, end: Point, point: Point) -> float:
    """The cross product of the vectors from ``start`` to ``end`` and to ``point``."""
    (x1, y1), (x2, y2) = start, end
    return (x2 - x1) * (point[1] - y1) - (y2 - y1) * (point[0] - x1)


def find_crossing(
    points: Sequence[Point],
) -> tuple[tuple[Point, Point], tuple[Point, Point]] | None:
    """Two sides of a polygon that cross or touch each other; None if it is simple."""
    sides = list(zip(points, [*points[1:], points[0]], strict=True))
    for (i, a), (j, b) in combinations(enumerate(sides), 2):
        if a[0] == a[1]:
            return a, a
        if j - i == 1 or j - i == len(sides) - 1:
            # Neighbors share a corner; they overlap if one leads back along the other.
            shared, (before, after) = (a[1], (a[0], b[1])) if j - i == 1 else (a[0], (a[1], b[0]))
            back = (before[0] - shared[0]) * (after[0] - shared[0]) + (before[1] - shared[1]) * (
                after[1] - shared[1]
            )
            if cross(shared, before, after) == 0 and back >= 0:
                return a, b
        elif _touch(a, b):
            return a, b
    return None


def _touch(a: tuple[Point, Point], b: tuple[Point, Point]) -> bool:
    """Whether two segments have a point in common."""
    sides = cross(*a, b[0]), cross(*a, b[1]), cross(*b, a[0]), cross(*b, a[1])
    if sides[0] * sides[1] < 0 and sides[2] * sides[3] < 0:
        return True
    ends = ((a, b[0]), (a, b[1]), (b, a[0]), (b, a[1]))
    return any(
        side == 0
        and min(s[0], e[0]) <= p[0] <= max(s[0], e[0])
        and min(s[1], e[1]) <= p[1] <= max(s[1], e[1])
        for side, ((s, e), p) in zip(sides, ends, strict=True)
    )
