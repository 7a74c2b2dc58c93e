"""A panel in a corner of a picture: the number of objects of each class."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from centernet.inference.counting import Count, CountInterval
from centernet.inference.label_layout import Rectangle
from centernet.inference.lettering import font, letter_size, paste, truncate

# Maximum height and width of the panel, relative to the picture: of a panel that replaces labels,
# and of one that was requested.
_HEIGHT, _WIDTH, _REQUESTED_WIDTH = 0.3, 0.4, 0.8
_OPACITY = 0.75

Color = tuple[int, ...]
_GRAY = (128, 128, 128)


class PanelRow(NamedTuple):
    """Number of objects of a class, the text, which may be truncated, and the interval."""

    number: int
    text: str
    color: Color
    interval: str = ""


def interval_rows(count: Count, color_of: Callable[[int], Color]) -> list[PanelRow]:
    """The total and the classes with objects, with intervals.

    Args:
        count: number of objects in a picture.
        color_of: color by label.
    """

    def row(name: str, one: CountInterval, color: Color) -> PanelRow:
        return PanelRow(one.number, f"{one.number:,} {name}", color, f" ({one.interval})")

    items = [(label, *item) for label, item in enumerate(count.classes.items())]
    if len(items) == 1:
        return [row(name, one, color_of(label)) for label, name, one in items]
    items.sort(key=lambda item: -item[2].estimate)
    found = [row(name, one, color_of(label)) for label, name, one in items if one.number]
    return [row("objects", count.total, _GRAY), *found]


class CountPanel:
    """The number of objects per class, one below the other.

    Attributes:
        size: (width, height) in pixels.
    """

    def __init__(
        self, counts: Sequence[PanelRow], picture: tuple[int, int], *, requested: bool = False
    ) -> None:
        """Lay out the rows that have room; the classes without room are added up in the last one.

        Args:
            counts: rows, the first ones are preferred.
            picture: (height, width) of the picture in pixels.
            requested: whether the panel may be wide.
        """
        size = letter_size(picture[1], picture[0])
        self._letters, self._row, self._margin = font(size), round(1.4 * size), size // 2
        self._limit, self._requested = picture, requested
        rows = max(1, int(_HEIGHT * picture[0] / self._row))
        shown, rest = list(counts[:rows]), counts[rows:]
        if rest:
            shown, rest = list(counts[: rows - 1]), counts[rows - 1 :]
            number = sum(count.number for count in rest)
            text = f"{number:,} in {len(rest)} {'more ' * bool(shown)}classes"
            shown.append(PanelRow(number, text, _GRAY))
        share = _REQUESTED_WIDTH if requested else _WIDTH
        room = share * picture[1] - 2 * self._margin - self._row
        self._rows = [(self._text(row, room), row.color) for row in shown]
        width = max(self._letters.getlength(text) for text, _ in self._rows)
        self.size = (
            math.ceil(width) + 2 * self._margin + self._row,
            self._row * len(self._rows) + self._margin,
        )

    def _text(self, row: PanelRow, room: float) -> str:
        name_room = room - self._letters.getlength(row.interval)
        return truncate(row.text, self._letters, name_room) + row.interval

    @property
    def fits(self) -> bool:
        """Whether the picture has room for the panel."""
        height, width = self._limit
        share = _REQUESTED_WIDTH if self._requested else 0.5
        return self.size[0] <= share * width and self.size[1] <= height / 2

    def draw(self, picture: NDArray[np.uint8], place: Rectangle) -> None:
        """Draw the panel on a picture, which remains visible through it."""
        part = Image.fromarray(picture[place.top : place.bottom, place.left : place.right])
        panel = Image.blend(part, Image.new("RGB", self.size, (16, 16, 20)), _OPACITY)
        pen, radius = ImageDraw.Draw(panel), self._row // 4
        for number, (text, color) in enumerate(self._rows):
            x, y = self._margin, self._margin // 2 + (number + 0.5) * self._row
            pen.ellipse((x, y - radius, x + 2 * radius, y + radius), color)
            pen.text((x + self._row, y), text, "white", self._letters, anchor="lm")
        paste(picture, panel, place)
