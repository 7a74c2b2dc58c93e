"""Text in pictures: fonts, sizes, truncation."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFont

from centernet.inference.label_layout import Rectangle

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


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
def font(size: int) -> Font:
    """The font of :func:`font_path`, else Pillow's own, ``size`` pixels high."""
    path = font_path()
    return ImageFont.truetype(path, size) if path else ImageFont.load_default(size)


def letter_size(width: int, height: int) -> int:
    """Height of text, in pixels, that suits an image."""
    return int(np.clip(round(min(width, height) / 45), 12, 48))


def in_one_line(text: str) -> str:
    """A text with single spaces instead of line breaks and tabs."""
    return " ".join(text.split())


def truncate(text: str, letters: Font, room: float) -> str:
    """A text in one line that is at most ``room`` pixels long."""
    text = in_one_line(text)
    while text.rstrip("…") and letters.getlength(text) > room:
        text = text.rstrip("…")[:-1] + "…"
    return text


def paste(picture: NDArray[np.uint8], part: Image.Image, place: Rectangle) -> None:
    """Paste a part into a picture; what is outside of the picture is cut off."""
    there = picture[place.top : place.bottom, place.left : place.right]
    there[...] = np.asarray(part)[: there.shape[0], : there.shape[1]]
