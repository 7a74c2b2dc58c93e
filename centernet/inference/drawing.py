"""Boxes, labels and legends, readable on images of any size."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw

from centernet.inference.count_panel import Color, CountPanel, PanelRow, interval_rows
from centernet.inference.counting import Count
from centernet.inference.label_layout import Rectangle, choose_corner, place_labels
from centernet.inference.label_options import DEFAULT_LABELS, require_labels
from centernet.inference.lettering import Font, font, in_one_line, letter_size, paste, truncate
from centernet.inference.points import points_of
from centernet.inference.video.track_ids import track_ids
from centernet.inference.video.trails import UNTRACKED, draw_trails, track_colors

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

_PALETTE = [ImageColor.getrgb(color) for color in CLASS_COLORS]
MANY_BOXES = 100  # more boxes have thinner lines


def class_color(label: int) -> str:
    """The color of a class, as ``#rrggbb``."""
    return CLASS_COLORS[label % len(CLASS_COLORS)]


def draw(
    image: NDArray[np.uint8],
    detections: "sv.Detections",
    labels: str = DEFAULT_LABELS,
    count: Count | None = None,
    trails: Mapping[int, NDArray[np.float64]] | None = None,
) -> NDArray[np.uint8]:
    """Draw boxes with labels on a copy of an image, the best on top.

    Pictures of many objects stay readable: boxes that are small in the picture become dots, lines
    are thinner, labels that would cover others are left out, the best are placed first, and a
    corner then shows the number of objects per class.

    Args:
        image: (H, W, 3) uint8 RGB.
        detections: boxes in pixels of the image, best first.
        labels: text of the labels, a key of :data:`.LABELS`.
        count: numbers of objects to write into a corner.
        trails: where the tracks of a video were, by id, see :attr:`.TrackHistory.trails`. Colors
            then are those of the tracks instead of those of the classes.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        InputError: ``labels`` is unknown.
    """
    require_labels(labels)
    picture, size = image.copy(), letter_size(image.shape[1], image.shape[0])
    if not len(detections) and count is None:
        return picture
    class_ids = detections.class_id
    assert class_ids is not None  # the Detector sets it
    ids = track_ids(detections).tolist()
    class_colors = colors = [_rgb(label) for label in class_ids.tolist()]
    if trails is not None:
        colors, class_colors = track_colors(ids, _PALETTE), [UNTRACKED] * len(ids)
        color_of, thickness = dict(zip(ids, colors, strict=True)), _thickness(len(ids), size)
        draw_trails(picture, trails, color_of, thickness)
    boxes = _draw_boxes(picture, detections.xyxy, colors, size, points_of(detections))
    corner = None
    if count is not None:
        shape = picture.shape[0], picture.shape[1]
        panel = CountPanel(interval_rows(count, _rgb), shape, requested=True)
        if panel.fits:
            corner = choose_corner(boxes, panel.size, shape)
            panel.draw(picture, corner)
    if labels != "none":
        texts = _texts(detections, labels, (image.shape[1] // 2, size))
        short = [_id_text(id) or text for id, text in zip(ids, texts, strict=True)]
        counts = _counts(detections, class_colors)
        _draw_labels(picture, boxes, texts, short, colors, counts, corner)
    return picture


def _thickness(boxes: int, size: int) -> int:
    """The thickness of lines for a number of boxes and a letter size, in pixels."""
    return max(1, size // 10) if boxes > MANY_BOXES else max(2, size // 7)


def _rgb(label: int) -> Color:
    return ImageColor.getrgb(class_color(label))


def _draw_boxes(
    picture: NDArray[np.uint8],
    boxes: NDArray,
    colors: Sequence[Color],
    size: int,
    points: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Draw boxes, or dots for points (n,) and small boxes; return the part (n, 4) each covers."""
    many = len(boxes) > MANY_BOXES
    thickness = _thickness(len(boxes), size)
    radius, height, width = max(2, size // 5), *picture.shape[:2]
    # Values that OpenCV can draw; edges outside of the picture stay outside.
    limit = np.array([width, height, width, height]) + 2 * thickness
    sides = np.nan_to_num(boxes.astype(float)).clip(-2 * thickness, limit)
    is_dot = points | ((sides[:, 2:] - sides[:, :2]).max(1, initial=0) < size)
    centers = (sides[:, :2] + sides[:, 2:]) / 2
    centers[points] = np.nan_to_num(boxes[points, :2] + boxes[points, 2:]) / 2
    radii = np.full((len(boxes), 1), radius)
    radii[points] *= 1 if many else 2
    sides[is_dot] = np.hstack([centers - radii, centers + radii])[is_dot]
    corners, middles = sides.round().astype(int).tolist(), centers.round().astype(int).tolist()
    for i in reversed(range(len(boxes))):
        if is_dot[i]:
            radius = int(radii[i, 0])
            cv2.circle(
                picture, middles[i], radius + max(1, radius // 3), (0, 0, 0), -1, cv2.LINE_AA
            )
            cv2.circle(picture, middles[i], radius, colors[i], -1, cv2.LINE_AA)
        else:
            cv2.rectangle(picture, corners[i][:2], corners[i][2:], colors[i], thickness)
    return sides


def _draw_labels(
    picture: NDArray[np.uint8],
    boxes: NDArray[np.float64],
    texts: Sequence[str],
    short: Sequence[str],
    colors: Sequence[Color],
    counts: Sequence[PanelRow],
    corner: Rectangle | None,
) -> None:
    """Draw the labels that have a place, and the counts if one has none.

    If the picture already has counts, ``corner`` is their place. If a label has no place,
    all have their short texts.
    """
    shape = picture.shape[0], picture.shape[1]
    size = letter_size(shape[1], shape[0])
    letters, margin = font(size), size // 4
    plates = _plates(texts, letters, size)
    places = place_labels(boxes, plates, shape, margin, corner)
    if None in places and short != texts:
        texts = short
        plates = _plates(texts, letters, size)
        places = place_labels(boxes, plates, shape, margin, corner)
    if None in places and corner is None:
        panel = CountPanel(counts, shape)
        if panel.fits:
            corner = choose_corner(boxes, panel.size, shape)
            places = place_labels(boxes, plates, shape, margin, corner)
            panel.draw(picture, corner)
    for place, text, color in list(zip(places, texts, colors, strict=True))[::-1]:
        if place:
            plate = Image.new("RGB", place.size, color)
            middle = margin, place.size[1] / 2
            ImageDraw.Draw(plate).text(middle, text, "black", letters, anchor="lm")
            paste(picture, plate, place)


def _plates(texts: Sequence[str], letters: Font, size: int) -> list[tuple[int, int]]:
    """(width, height) of the background of each label."""
    lengths = {text: math.ceil(letters.getlength(text)) for text in set(texts)}
    return [(lengths[text] + 2 * (size // 4), size + 2 * (size // 4)) for text in texts]


def _texts(detections: "sv.Detections", labels: str, room: tuple[int, int]) -> list[str]:
    """The text of each label; class names are truncated to (width, letter size) in pixels."""
    names, scores = detections.data["class_name"], detections.confidence
    assert scores is not None  # the Detector sets them
    letters = font(room[1])
    short = {name: truncate(name, letters, room[0]) for name in set(map(str, names))}
    parts = [
        (
            _id_text(id),
            short[str(name)] if labels != "score" else "",
            f"{score:.2f}" if labels != "class" else "",
        )
        for id, name, score in zip(track_ids(detections), names, scores, strict=True)
    ]
    return [" ".join(filter(None, part)) for part in parts]


def _id_text(id: int) -> str:
    return f"#{id}" if id > 0 else ""


def _counts(detections: "sv.Detections", colors: Sequence[Color]) -> list[PanelRow]:
    """The classes of detections, the most frequent first."""
    names = [in_one_line(str(name)) for name in detections.data["class_name"]]
    color_of = dict(zip(names, colors, strict=True))
    return [
        PanelRow(n, f"{n:,} {name}", color_of[name]) for name, n in Counter(names).most_common()
    ]


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
    pen.text((size // 2, middle), truncate(title, letters, room), "white", letters, anchor="lm")
    return np.array(strip)
