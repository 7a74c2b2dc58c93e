"""Text on the pictures of the preview window: the current values, and the keys."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from centernet.inference.label_layout import Rectangle
from centernet.inference.lettering import font, letter_size, paste, truncate

# Longest side in pixels; smaller pictures are enlarged, so that the text has room.
_MIN_SIDE = 640
_OPACITY = 0.8
_BACKGROUND = (16, 16, 20)


def for_window(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture (H, W, 3) that is large enough for text: itself, or enlarged."""
    factor = -(-_MIN_SIDE // max(picture.shape[:2]))
    if factor <= 1:
        return picture
    enlarged = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST)
    return enlarged.astype(np.uint8, copy=False)


def draw_hud(
    picture: NDArray[np.uint8], lines: Sequence[str], keys: Sequence[tuple[str, str]] = ()
) -> NDArray[np.uint8]:
    """Add lines above a picture, and draw keys in the middle of it.

    Args:
        picture: (H, W, 3) uint8 RGB; it is not changed.
        lines: texts, one below the other.
        keys: keys with their effect.

    Returns:
        (H + lines, W, 3) uint8 RGB.
    """
    height, width = picture.shape[:2]
    size = letter_size(width, height)
    strip = Image.new("RGB", (width, len(lines) * _row(size)), _BACKGROUND)
    _write(strip, [("", line) for line in lines], size)
    shown = np.vstack([np.asarray(strip), picture])
    if keys:
        # Small pictures have small letters.
        size = max(8, min(size, int(0.9 * height / len(keys) / 1.5)))
        longest = max(font(size).getlength(effect) for _, effect in keys)
        panel = min(width, math.ceil(longest) + 9 * size), min(height, len(keys) * _row(size))
        left, top = (width - panel[0]) // 2, strip.size[1] + (height - panel[1]) // 2
        place = Rectangle(left, top, left + panel[0], top + panel[1])
        part = Image.fromarray(shown[place.top : place.bottom, place.left : place.right])
        dark = Image.blend(part, Image.new("RGB", part.size, _BACKGROUND), _OPACITY)
        _write(dark, keys, size)
        paste(shown, dark, place)
    return shown


def _row(size: int) -> int:
    """Height of a line of text."""
    return round(1.5 * size)


def _write(panel: Image.Image, rows: Sequence[tuple[str, str]], size: int) -> None:
    """Write rows of two texts, the first of them may be empty."""
    pen, letters = ImageDraw.Draw(panel), font(size)
    for number, (first, second) in enumerate(rows):
        x, y = size // 2, (number + 0.5) * _row(size)
        if first:
            pen.text((x, y), first, "#ffd23f", letters, anchor="lm")
            x += 7 * size
        text = truncate(second, letters, panel.size[0] - x - size // 2)
        pen.text((x, y), text, "white", letters, anchor="lm")
