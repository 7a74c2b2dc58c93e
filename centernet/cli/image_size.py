"""The canvas's size as people give it on a command line."""

import re

from centernet.errors import InputError


def input_size(text: str, multiple: int) -> tuple[int, int]:
    """(height, width) in pixels of ``512`` or ``288x384``.

    Raises:
        InputError: it is neither, or no multiple of ``multiple``.
    """
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    sides = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if any(side < multiple or side % multiple for side in sides):
        raise InputError(
            f"image size must be a multiple of {multiple}, or two as 288x384, got {text!r}"
        )
    return sides
