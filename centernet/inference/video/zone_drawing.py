"""Lines and zones with their counts, on pictures."""

import math
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw

from centernet.inference.count_panel import Color, CountPanel, PanelRow
from centernet.inference.drawing import class_color
from centernet.inference.label_layout import Rectangle
from centernet.inference.lettering import font, letter_size, paste
from centernet.inference.video.zone_counts import IN, OUT, LineCount, ZoneCount, ZoneCounts
from centernet.inference.video.zone_shapes import Line, Point

_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)
_FILL = 0.15  # opacity of zones
_ARROW = 2.2  # length of the arrow, in letters
_MOST_LETTERS = 24  # of names


def draw_zones(picture: NDArray[np.uint8], counts: ZoneCounts, factor: float) -> None:
    """Draw lines and zones into a picture, each with its name and its counts.

    An arrow shows the side ``in`` of a line.

    Args:
        picture: (H, W, 3) uint8 RGB.
        counts: lines and zones in pixels of the original picture, with their counts.
        factor: size of this picture, relative to the original one.
    """
    height, width = picture.shape[:2]
    size = letter_size(width, height)
    shapes = [zone.zone.scaled(factor).array for zone in counts.zones]
    for points in shapes:
        _draw_zone(picture, points, size)
    lines = [line.line.scaled(factor) for line in counts.lines]
    for line in lines:
        _draw_line(picture, line, size)
    taken: list[Rectangle] = []
    for line, line_count in zip(lines, counts.lines, strict=True):
        panel = CountPanel(_line_rows(line_count, counts), (height, width), requested=True)
        _place(picture, panel, _beside_line(line, panel.size, size), taken)
    for points, zone_count in zip(shapes, counts.zones, strict=True):
        panel = CountPanel(_zone_rows(zone_count, counts), (height, width), requested=True)
        _place(picture, panel, _beside_zone(points, panel.size, size), taken)


def _draw_zone(picture: NDArray[np.uint8], points: NDArray[np.float32], size: int) -> None:
    corners = points.round().astype(np.int32)
    (left, top), (right, bottom) = corners.min(0), corners.max(0) + 1
    part = picture[top:bottom, left:right]
    filled = cv2.fillPoly(part.copy(), [corners - (left, top)], _WHITE)
    part[...] = cv2.addWeighted(filled, _FILL, part, 1 - _FILL, 0)
    for color, thickness in _strokes(size):
        cv2.polylines(picture, [corners], True, color, thickness, cv2.LINE_AA)


def _draw_line(picture: NDArray[np.uint8], line: Line, size: int) -> None:
    start, end = (_pixel(point) for point in line.points)
    middle, (nx, ny) = _middle(line), _normal(line)
    tip = middle[0] + nx * _ARROW * size, middle[1] + ny * _ARROW * size
    for color, thickness in _strokes(size):
        cv2.line(picture, start, end, color, thickness, cv2.LINE_AA)
        arrow = _pixel(middle), _pixel(tip)
        cv2.arrowedLine(picture, *arrow, color, thickness, cv2.LINE_AA, tipLength=0.35)
        for point in (start, end):
            cv2.circle(picture, point, 2 * thickness, color, -1, cv2.LINE_AA)
    _write(picture, IN, (tip[0] + nx * 0.9 * size, tip[1] + ny * 0.9 * size), size)


def _strokes(size: int) -> tuple[tuple[Color, int], tuple[Color, int]]:
    """The colors and widths of a white line with black edges."""
    thickness = max(2, size // 7)
    return (_BLACK, 2 * thickness), (_WHITE, thickness)


def _write(picture: NDArray[np.uint8], text: str, center: Point, size: int) -> None:
    """Write a word in white with black edges."""
    side = 2 * size
    left, top = (max(0, round(at) - size) for at in center)
    part = Image.fromarray(picture[top : top + side, left : left + side])
    place = center[0] - left, center[1] - top
    stroke = max(1, size // 7)
    ImageDraw.Draw(part).text(
        place, text, "white", font(size), anchor="mm", stroke_width=stroke, stroke_fill="black"
    )
    paste(picture, part, Rectangle(left, top, left + part.width, top + part.height))


def _line_rows(count: LineCount, counts: ZoneCounts) -> list[PanelRow]:
    """The crossings of all classes and, if there are several, of each."""
    into, out = count.crossings[IN], count.crossings[OUT]
    numbers = {name: (into.get(name, 0), out.get(name, 0)) for name in {*into, *out}}
    total = sum(into.values()), sum(out.values())
    return _rows(count.line.name, total, numbers, f"  {{}} {IN}, {{}} {OUT}", counts)


def _zone_rows(count: ZoneCount, counts: ZoneCounts) -> list[PanelRow]:
    """The objects of all classes inside and, if there are several classes, of each."""
    numbers = {name: (number,) for name, number in count.inside.items()}
    return _rows(count.zone.name, (sum(count.inside.values()),), numbers, "  {}", counts)


def _rows(
    name: str,
    total: tuple[int, ...],
    classes: Mapping[str, tuple[int, ...]],
    form: str,
    counts: ZoneCounts,
) -> list[PanelRow]:
    if len(name) > _MOST_LETTERS:
        name = name[: _MOST_LETTERS - 1] + "…"
    rows = [PanelRow(sum(total), name, _WHITE, form.format(*total))]
    if len(classes) > 1:
        for one, numbers in sorted(classes.items(), key=lambda item: (-sum(item[1]), item[0])):
            color = ImageColor.getrgb(class_color(counts.labels.get(one, 0)))
            rows.append(PanelRow(sum(numbers), one, color, form.format(*numbers)))
    return rows


def _beside_line(line: Line, panel: tuple[int, int], size: int) -> list[Point]:
    """The centers of places for the panel of a line, the preferred one first."""
    (x, y), (nx, ny) = _middle(line), _normal(line)
    reach = (abs(nx) * panel[0] + abs(ny) * panel[1]) / 2
    out, into = -(reach + size / 2), reach + (_ARROW + 2) * size
    places = [(x + nx * far, y + ny * far) for far in (out, into)]
    for end in line.points:  # behind the ends
        away = math.dist(end, (x, y))
        ux, uy = (end[0] - x) / away, (end[1] - y) / away
        far = (abs(ux) * panel[0] + abs(uy) * panel[1]) / 2 + size
        places.append((end[0] + ux * far, end[1] + uy * far))
    return places


def _beside_zone(points: NDArray[np.float32], panel: tuple[int, int], size: int) -> list[Point]:
    """The centers of places for the panel of a zone, the preferred one first."""
    (top_x, top), (bottom_x, bottom) = (
        points[int(i)].tolist() for i in (points[:, 1].argmin(), points[:, 1].argmax())
    )
    far, x = panel[1] / 2 + size / 2, float(points[:, 0].mean())
    above, below = (top_x, top - far), (bottom_x, bottom + far)
    return [above, below, (x, top + far), (x, float(points[:, 1].mean()))]


def _place(
    picture: NDArray[np.uint8],
    panel: CountPanel,
    centers: Sequence[Point],
    taken: list[Rectangle],
) -> None:
    """Draw a panel at the first place that is free, else at the first one; none if it is too large.

    A place that is moved into the picture comes after those that are inside.
    """
    if not panel.fits:
        return
    height, width = picture.shape[:2]
    places = []
    for x, y in centers:
        left, top = round(x - panel.size[0] / 2), round(y - panel.size[1] / 2)
        inside = (
            int(np.clip(left, 0, width - panel.size[0])),
            int(np.clip(top, 0, height - panel.size[1])),
        )
        corner = Rectangle(*inside, inside[0] + panel.size[0], inside[1] + panel.size[1])
        places.append((abs(inside[0] - left) + abs(inside[1] - top), corner))
    ordered = [place for _, place in sorted(places, key=lambda one: one[0] > panel.size[1] / 2)]
    free = (place for place in ordered if not any(_overlap(place, other) for other in taken))
    chosen = next(free, ordered[0])
    taken.append(chosen)
    panel.draw(picture, chosen)


def _overlap(a: Rectangle, b: Rectangle) -> bool:
    return a.left < b.right and b.left < a.right and a.top < b.bottom and b.top < a.bottom


def _middle(line: Line) -> Point:
    (x1, y1), (x2, y2) = line.points
    return (x1 + x2) / 2, (y1 + y2) / 2


def _normal(line: Line) -> Point:
    """The direction of length 1 that leads over the line to its side ``in``."""
    (x1, y1), (x2, y2) = line.points
    length = math.dist(*line.points)
    return (y2 - y1) / length, (x1 - x2) / length


def _pixel(point: Point) -> tuple[int, int]:
    return round(point[0]), round(point[1])
