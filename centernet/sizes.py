"""Image sizes as text: users read and write width x height, as 320x256; code uses (height, width).

Checkpoints, ONNX metadata and run configurations of earlier versions store [height, width].
"""

import re
from collections.abc import Sequence
from typing import Any

from centernet.errors import InputError

_TEXT = re.compile(r"([0-9]{1,5})(?:x([0-9]{1,5}))?", re.IGNORECASE)


def format_size(size: Sequence[float]) -> str:
    """A size as text, in the form that :func:`parse_size` reads: (256, 320) is ``320x256``.

    Args:
        size: (height, width) in pixels, rounded to integers.
    """
    height, width = size
    return f"{round(width)}x{round(height)}"


def parse_size(
    value: Any, *, multiple: int = 1, name: str = "image size", words: Sequence[str] = ()
) -> tuple[int, int]:
    """Read a size that a user wrote.

    Args:
        value: one number for a square, as 512 or ``512``; width x height as ``320x256``; or two
            numbers [height, width], as in configurations of earlier runs.
        multiple: both sides must be multiples of this.
        name: name of the option in error messages.
        words: other values of the option, for the error message; the caller handles them.

    Returns:
        (height, width) in pixels.

    Raises:
        InputError: the value is not a size, or not a multiple.
    """
    sides = list(value) if isinstance(value, list | tuple) else []
    if match := _TEXT.fullmatch(str(value).strip()):
        sides = [int(match[2] or match[1]), int(match[1])]
    if len(sides) != 2 or not all(isinstance(n, int) and 0 < n < 10**5 for n in sides):
        raise InputError(
            f"{name} must be {''.join(f'{word}, ' for word in words)}a number of pixels, as 512, "
            f"or width x height, as 320x256; got {value!r}"
        )
    height, width = sides
    if height % multiple or width % multiple:
        nearest = [multiple * max(1, round(side / multiple)) for side in sides]
        raise InputError(
            f"{name} must be in multiples of {multiple}, got {format_size(sides)}: "
            f"use {format_size(nearest)}"
        )
    return height, width
