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
_OPACITY = 0.7
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
    """Draw lines at the top of a copy of a picture, and keys in its middle.

    Args:
        picture: (H, W, 3) uint8 RGB.
        lines: texts, one below the other.
        keys: keys with their effect.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    shown = picture.copy()
    height, width = shown.shape[:2]
    size = letter_size(width, height)
    row = round(1.5 * size)
    room = min(len(lines) * row, height)
    _panel(shown, Rectangle(0, 0, width, room), [("", line) for line in lines], size)
    if keys:
        # Small pictures have small letters.
        size = max(8, min(size, int(0.9 * height / len(keys) / 1.5)))
        letters, row = font(size), round(1.5 * size)
        longest = max(letters.getlength(effect) for _, effect in keys)
        panel = min(width, math.ceil(longest) + 9 * size), min(height, len(keys) * row)
        left, top = (width - panel[0]) // 2, (height - panel[1]) // 2
        _panel(shown, Rectangle(left, top, left + panel[0], top + panel[1]), keys, size)
    return shown


def _panel(
    picture: NDArray[np.uint8], place: Rectangle, rows: Sequence[tuple[str, str]], size: int
) -> None:
    """Draw rows of two texts on a dark rectangle, which the picture is visible through."""
    part = Image.fromarray(picture[place.top : place.bottom, place.left : place.right])
    panel = Image.blend(part, Image.new("RGB", part.size, _BACKGROUND), _OPACITY)
    pen, letters, row = ImageDraw.Draw(panel), font(size), round(1.5 * size)
    for number, (first, second) in enumerate(rows):
        y, x = (number + 0.5) * row, size // 2
        if first:
            pen.text((x, y), first, "#ffd23f", letters, anchor="lm")
            x += 7 * size
        text = truncate(second, letters, part.size[0] - x - size // 2)
        pen.text((x, y), text, "white", letters, anchor="lm")
    paste(picture, panel, place)
