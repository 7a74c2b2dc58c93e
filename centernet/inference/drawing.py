"""Boxes, labels and legends, readable on images of any size."""

import math
from collections import Counter
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont

from centernet.inference.label_layout import Rectangle, choose_corner, place_labels
from centernet.inference.label_options import DEFAULT_LABELS, require_labels

if TYPE_CHECKING:
    import supervision as sv

# 256 colors (RGB), perceptually uniform.
HEAT_COLORS = (
    cv2.applyColorMap(np.arange(256, dtype=np.uint8)[None], cv2.COLORMAP_INFERNO)[0, :, ::-1]
).astype(np.uint8)
# Far apart from each other, and light enough for black text.
CLASS_COLORS = (
    "#ffd23f", "#3bceac", "#ff6b6b", "#6cb4ff", "#c38cff", "#ff9f43", "#9be564", "#ff8fd0",
    "#5ee0f0", "#d9c48f",
)  # fmt: skip

MANY_BOXES = 100  # more boxes have thinner lines
# Maximum height and width of the panel of counts, relative to the picture.
_PANEL_HEIGHT, _PANEL_WIDTH, _PANEL_OPACITY = 0.3, 0.4, 0.75


def class_color(label: int) -> str:
    """The color of a class, as ``#rrggbb``."""
    return CLASS_COLORS[label % len(CLASS_COLORS)]


@cache
def font_path() -> str | None:
    """Path of a font with Latin, Greek and Cyrillic letters, unlike Pillow's own; None if missing.

    It is part of matplotlib, which supervision depends on; finding it does not import matplotlib.
    """
    package = find_spec("matplotlib")
    if package is None or package.origin is None:
        return None
    path = Path(package.origin).parent / "mpl-data/fonts/ttf/DejaVuSans.ttf"
    return str(path) if path.is_file() else None


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font of :func:`font_path`, else Pillow's own, ``size`` pixels high."""
    path = font_path()
    return ImageFont.truetype(path, size) if path else ImageFont.load_default(size)


def letter_size(width: int, height: int) -> int:
    """Height of text, in pixels, that suits an image."""
    return int(np.clip(round(min(width, height) / 45), 12, 48))


def draw(
    image: NDArray[np.uint8], detections: "sv.Detections", labels: str = DEFAULT_LABELS
) -> NDArray[np.uint8]:
    """Draw boxes with labels on a copy of an image, the best on top.

    Pictures of many objects stay readable: boxes that are small in the picture become dots, lines
    are thinner, labels that would cover others are left out, the best are placed first, and a
    corner then shows the number of objects per class.

    Args:
        image: (H, W, 3) uint8 RGB.
        detections: boxes in pixels of the image, best first.
        labels: text of the labels, a key of :data:`.LABELS`.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        InputError: ``labels`` is unknown.
    """
    require_labels(labels)
    picture, size = image.copy(), letter_size(image.shape[1], image.shape[0])
    if not len(detections):
        return picture
    class_ids = detections.class_id
    assert class_ids is not None  # the Detector sets it
    colors = [ImageColor.getrgb(class_color(label)) for label in class_ids.tolist()]
    boxes = _draw_boxes(picture, detections.xyxy, colors, size)
    if labels == "none":
        return picture
    texts = _texts(detections, labels, (image.shape[1] // 2, size))
    _draw_labels(picture, boxes, texts, colors, _counts(detections, colors))
    return picture


def _draw_boxes(
    picture: NDArray[np.uint8], boxes: NDArray, colors: Sequence[tuple[int, ...]], size: int
) -> NDArray[np.float64]:
    """Draw boxes, or dots for small ones; return the part (n, 4) of the picture each covers."""
    many = len(boxes) > MANY_BOXES
    thickness = max(1, size // 10) if many else max(2, size // 7)
    radius, height, width = max(2, size // 5), *picture.shape[:2]
    # Values that OpenCV can draw; edges outside of the picture stay outside.
    limit = np.array([width, height, width, height]) + 2 * thickness
    sides = np.nan_to_num(boxes.astype(float)).clip(-2 * thickness, limit)
    is_dot = (sides[:, 2:] - sides[:, :2]).max(1, initial=0) < size
    centers = (sides[:, :2] + sides[:, 2:]) / 2
    sides[is_dot] = np.hstack([centers - radius, centers + radius])[is_dot]
    corners, points = sides.round().astype(int).tolist(), centers.round().astype(int).tolist()
    for i in reversed(range(len(boxes))):
        if is_dot[i]:
            cv2.circle(picture, points[i], radius + max(1, radius // 3), (0, 0, 0), -1, cv2.LINE_AA)
            cv2.circle(picture, points[i], radius, colors[i], -1, cv2.LINE_AA)
        else:
            cv2.rectangle(picture, corners[i][:2], corners[i][2:], colors[i], thickness)
    return sides


def _draw_labels(
    picture: NDArray[np.uint8],
    boxes: NDArray[np.float64],
    texts: Sequence[str],
    colors: Sequence[tuple[int, ...]],
    counts: Sequence["_Count"],
) -> None:
    """Draw the labels that have a place, and the counts if one has none."""
    shape = picture.shape[0], picture.shape[1]
    size = letter_size(shape[1], shape[0])
    letters, margin = font(size), size // 4
    lengths = {text: math.ceil(letters.getlength(text)) for text in set(texts)}
    plates = [(lengths[text] + 2 * margin, size + 2 * margin) for text in texts]
    places = place_labels(boxes, plates, shape, margin)
    if None in places:
        panel = _CountPanel(counts, shape, size)
        if panel.fits:
            corner = choose_corner(boxes, panel.size, shape)
            places = place_labels(boxes, plates, shape, margin, corner)
            panel.draw(picture, corner)
    for place, text, color in list(zip(places, texts, colors, strict=True))[::-1]:
        if place:
            plate = Image.new("RGB", place.size, color)
            middle = margin, place.size[1] / 2
            ImageDraw.Draw(plate).text(middle, text, "black", letters, anchor="lm")
            _paste(picture, plate, place)


class _Count(NamedTuple):
    """Number of objects of a class."""

    name: str
    number: int
    color: tuple[int, ...]


class _CountPanel:
    """The number of objects per class, the most frequent first, as a panel in a corner."""

    def __init__(self, counts: Sequence[_Count], picture: tuple[int, int], size: int) -> None:
        """Lay out as many classes as a picture (height, width) with letters of ``size`` has room.

        The classes without room are added up in the last row.
        """
        self._letters, self._row, self._margin = font(size), round(1.4 * size), size // 2
        self._limit = picture
        rows = max(1, int(_PANEL_HEIGHT * picture[0] / self._row))
        shown, rest = list(counts[:rows]), counts[rows:]
        if rest:
            shown, rest = list(counts[: rows - 1]), counts[rows - 1 :]
            classes = f"in {len(rest)} {'more ' * bool(shown)}classes"
            shown.append(_Count(classes, sum(count.number for count in rest), (128, 128, 128)))
        room = _PANEL_WIDTH * picture[1] - 2 * self._margin - self._row
        texts = [f"{count.number:,} {count.name}" for count in shown]
        self._rows = [
            (_truncate(text, self._letters, room), count.color)
            for text, count in zip(texts, shown, strict=True)
        ]
        width = max(self._letters.getlength(text) for text, _ in self._rows)
        self.size = (
            math.ceil(width) + 2 * self._margin + self._row,
            self._row * len(self._rows) + self._margin,
        )

    @property
    def fits(self) -> bool:
        """Whether the picture has room for the panel."""
        height, width = self._limit
        return self.size[0] <= width / 2 and self.size[1] <= height / 2

    def draw(self, picture: NDArray[np.uint8], place: Rectangle) -> None:
        """Draw the panel on a picture, which remains visible through it."""
        part = Image.fromarray(picture[place.top : place.bottom, place.left : place.right])
        panel = Image.blend(part, Image.new("RGB", self.size, (16, 16, 20)), _PANEL_OPACITY)
        pen, radius = ImageDraw.Draw(panel), self._row // 4
        for number, (text, color) in enumerate(self._rows):
            x, y = self._margin, self._margin // 2 + (number + 0.5) * self._row
            pen.ellipse((x, y - radius, x + 2 * radius, y + radius), color)
            pen.text((x + self._row, y), text, "white", self._letters, anchor="lm")
        _paste(picture, panel, place)


def _paste(picture: NDArray[np.uint8], part: Image.Image, place: Rectangle) -> None:
    """Paste a part into a picture; what is outside of the picture is cut off."""
    there = picture[place.top : place.bottom, place.left : place.right]
    there[...] = np.asarray(part)[: there.shape[0], : there.shape[1]]


def _texts(detections: "sv.Detections", labels: str, room: tuple[int, int]) -> list[str]:
    """The text of each label; class names are truncated to (width, letter size) in pixels."""
    names, scores = detections.data["class_name"], detections.confidence
    assert scores is not None  # the Detector sets them
    letters = font(room[1])
    short = {name: _truncate(name, letters, room[0]) for name in set(map(str, names))}
    parts = [
        (short[str(name)] if labels != "score" else "", f"{score:.2f}" if labels != "class" else "")
        for name, score in zip(names, scores, strict=True)
    ]
    return [" ".join(filter(None, part)) for part in parts]


def _counts(detections: "sv.Detections", colors: Sequence[tuple[int, ...]]) -> list[_Count]:
    """The classes of detections, the most frequent first."""
    names = [_in_one_line(str(name)) for name in detections.data["class_name"]]
    color_of = dict(zip(names, colors, strict=True))
    return [_Count(name, n, color_of[name]) for name, n in Counter(names).most_common()]


def legend(width: int, title: str, size: int) -> NDArray[np.uint8]:
    """A strip with a title on the left and, if there is room, the colors from 0 to 1.

    Args:
        width: width of the strip in pixels.
        title: drawn in one line, and truncated if it is too long.
        size: height of the text, in pixels.

    Returns:
        (2 * size, width, 3) uint8 RGB.
    """
    strip = Image.new("RGB", (width, 2 * size), (16, 16, 20))
    pen = ImageDraw.Draw(strip)
    letters, middle = font(size), size
    bar, room = 8 * size, width - size
    if room >= 2.5 * bar:
        right = width - 2 * size
        gradient = Image.fromarray(np.repeat(HEAT_COLORS[None], size, axis=0)).resize((bar, size))
        strip.paste(gradient, (right - bar, size // 2))
        pen.text((right + size // 2, middle), "1", "white", letters, anchor="lm")
        pen.text((right - bar - size // 2, middle), "0", "white", letters, anchor="rm")
        room = right - bar - 2 * size
    pen.text((size // 2, middle), _truncate(title, letters, room), "white", letters, anchor="lm")
    return np.array(strip)


def _in_one_line(text: str) -> str:
    return " ".join(text.split())


def _truncate(text: str, letters: ImageFont.FreeTypeFont | ImageFont.ImageFont, room: float) -> str:
    """A text in one line that is at most ``room`` pixels long."""
    text = _in_one_line(text)
    while text.rstrip("…") and letters.getlength(text) > room:
        text = text.rstrip("…")[:-1] + "…"
    return text
