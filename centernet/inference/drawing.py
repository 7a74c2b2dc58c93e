"""Boxes, labels and legends, readable on images of any size."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

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

_MAX_ARRANGED = 100  # labels that are moved apart


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


def draw(image: NDArray[np.uint8], detections: "sv.Detections") -> NDArray[np.uint8]:
    """Draw boxes with class and score on a copy of an image, the best on top.

    Args:
        image: (H, W, 3) uint8 RGB.
        detections: boxes in pixels of the image, best first.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    import supervision as sv  # takes long to import

    names, scores = detections.data["class_name"], detections.confidence
    assert scores is not None  # the Detector sets them
    texts = [f"{_in_one_line(str(n))} {s:.2f}" for n, s in zip(names, scores, strict=True)][::-1]
    worst_first = detections[np.arange(len(detections))[::-1]]
    assert isinstance(worst_first, sv.Detections)
    size = letter_size(image.shape[1], image.shape[0])
    palette = sv.ColorPalette.from_hex(list(CLASS_COLORS))
    boxes = sv.BoxAnnotator(palette, thickness=max(2, size // 7))
    # Not LabelAnnotator, whose font has ASCII letters only.
    labels = sv.RichLabelAnnotator(
        palette,
        text_color=sv.Color.BLACK,
        font_path=font_path(),
        font_size=size,
        text_padding=size // 4,
        # Inside the image and apart from each other; the time grows with the square of the number.
        smart_position=len(detections) <= _MAX_ARRANGED,
    )
    picture = boxes.annotate(Image.fromarray(image), worst_first)
    return np.array(labels.annotate(picture, worst_first, texts))


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
    title = _in_one_line(title)
    while title.rstrip("…") and pen.textlength(title, letters) > room:
        title = title.rstrip("…")[:-1] + "…"
    pen.text((size // 2, middle), title, "white", letters, anchor="lm")
    return np.array(strip)


def _in_one_line(text: str) -> str:
    return " ".join(text.split())
