"""Boxes, labels and legends, drawn to be readable on pictures of any size."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import supervision as sv
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

# 256 colours (RGB) whose differences look as large as the numbers' are.
HEAT_COLORS = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[None], cv2.COLORMAP_INFERNO)[
    0, :, ::-1
]
# Far apart from each other, and light enough for black letters.
CLASS_COLORS = (
    "#ffd23f", "#3bceac", "#ff6b6b", "#6cb4ff", "#c38cff", "#ff9f43", "#9be564", "#ff8fd0",
    "#5ee0f0", "#d9c48f",
)  # fmt: skip


def class_color(label: int) -> str:
    """The colour of a class, as ``#rrggbb``."""
    return CLASS_COLORS[label % len(CLASS_COLORS)]


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Letters ``size`` pixels high; Latin, Greek and Cyrillic, unlike Pillow's own font."""
    # Comes with supervision, which needs matplotlib; finding it does not import that.
    package = find_spec("matplotlib")
    folder = Path(package.origin).parent if package else Path()
    try:
        return ImageFont.truetype(folder / "mpl-data/fonts/ttf/DejaVuSans.ttf", size)
    except OSError:
        return ImageFont.load_default(size)


def letter_size(width: int, height: int) -> int:
    """Height of letters, in pixels, that suits a picture."""
    return int(np.clip(round(min(width, height) / 45), 12, 48))


def draw(image: NDArray[np.uint8], detections: sv.Detections) -> NDArray[np.uint8]:
    """Boxes with class and score on a copy of an image, the best on top.

    Args:
        image: (H, W, 3) uint8 RGB.
        detections: boxes in pixels of the image, best first.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    height, width = image.shape[:2]
    size = letter_size(width, height)
    picture = Image.fromarray(image)
    canvas = ImageDraw.Draw(picture)
    labels = []
    for box, label, score, name in zip(
        detections.xyxy.tolist()[::-1],
        detections.class_id.tolist()[::-1],
        detections.confidence.tolist()[::-1],
        detections["class_name"].tolist()[::-1],
        strict=True,
    ):
        color = class_color(label)
        (left, right), (top, bottom) = sorted(box[0::2]), sorted(box[1::2])
        canvas.rectangle((left, top, right, bottom), outline=color, width=max(2, size // 7))
        labels.append((f"{_in_one_line(name)} {score:.2f}", (left, top), color))
    # After all boxes, whose lines would cross the letters.
    for text, corner, color in labels:
        _label(picture, text, corner, color, size)
    return np.array(picture)


def _label(
    picture: Image.Image, text: str, corner: tuple[float, float], color: str, size: int
) -> None:
    """Text on a plate above a corner, moved so far that all of it is in the picture."""
    canvas = ImageDraw.Draw(picture)
    width, height = canvas.textlength(text, font(size)) + size // 2, round(1.3 * size)
    left = max(0, min(corner[0], picture.width - width))
    top = max(0, min(corner[1] - height, picture.height - height))
    canvas.rectangle((left, top, left + width, top + height), fill=color)
    canvas.text((left + size // 4, top + height / 2), text, "black", font(size), anchor="lm")


def legend(width: int, title: str, size: int) -> NDArray[np.uint8]:
    """A strip with a title on the left and, where there is room, the colours from 0 to 1.

    Args:
        width: of the strip, in pixels.
        title: brought into one line, and shortened where it is too long.
        size: height of the letters, in pixels.

    Returns:
        (2 * size, width, 3) uint8 RGB.
    """
    strip = Image.new("RGB", (width, 2 * size), (16, 16, 20))
    canvas = ImageDraw.Draw(strip)
    letters, middle = font(size), size
    bar, room = 8 * size, width - size
    if room >= 2.5 * bar:
        right = width - 2 * size
        gradient = Image.fromarray(np.repeat(HEAT_COLORS[None], size, axis=0)).resize((bar, size))
        strip.paste(gradient, (right - bar, size // 2))
        canvas.text((right + size // 2, middle), "1", "white", letters, anchor="lm")
        canvas.text((right - bar - size // 2, middle), "0", "white", letters, anchor="rm")
        room = right - bar - 2 * size
    title = _in_one_line(title)
    while title.rstrip("…") and canvas.textlength(title, letters) > room:
        title = title.rstrip("…")[:-1] + "…"
    canvas.text((size // 2, middle), title, "white", letters, anchor="lm")
    return np.array(strip)


def _in_one_line(text: str) -> str:
    return " ".join(text.split())
