"""Limits of the server, and their parser. Light imports only: the command line reads them here."""

import argparse
import math
import re
from dataclasses import dataclass

from centernet.errors import InputError, require_at_least

# Images per batch.
DEFAULT_BATCH_SIZE = 8
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
# Bodies of the largest size that are in memory at one time.
_LARGEST_BODIES = 16
# Decoded images of the largest size that are in memory at one time.
_LARGEST_IMAGES = 2


@dataclass(frozen=True)
class Limits:
    """What one request, and all of them together, may use.

    Attributes:
        max_bytes: bytes of the body of a request.
        max_pixels: pixels of an image.
        max_images: images of a request.
        timeout: seconds to receive a body, and then seconds to answer.
        queue: requests that the server works on or that wait; it refuses further ones.

    Raises:
        InputError: a value is not positive.
    """

    max_bytes: int = 20 * 10**6
    max_pixels: int = 50 * 10**6
    max_images: int = 16
    timeout: float = 30.0
    queue: int = 64

    def __post_init__(self) -> None:
        require_at_least(
            1,
            max_bytes=self.max_bytes,
            max_pixels=self.max_pixels,
            max_images=self.max_images,
            queue=self.queue,
        )
        if not 0 < self.timeout < math.inf:
            raise InputError(f"timeout must be a positive number of seconds, got {self.timeout}")

    @property
    def bytes_in_memory(self) -> int:
        """Bytes of all bodies together."""
        return min(self.queue, _LARGEST_BODIES) * self.max_bytes

    @property
    def pixels_in_memory(self) -> int:
        """Pixels of all decoded images together."""
        return _LARGEST_IMAGES * self.max_pixels


def parse_count(text: str) -> int:
    """A number with an optional unit, as 20MB, 500KB or 50M.

    Raises:
        argparse.ArgumentTypeError: it is something else.
    """
    match = re.fullmatch(r"(\d{1,12})(?:\.(\d{1,6}))? ?([KMG]?)B?", text.strip(), re.IGNORECASE)
    if not match:
        raise argparse.ArgumentTypeError(f"a number as 20MB or 50M, got {text!r}")
    return int(float(f"{match[1]}.{match[2] or 0}") * _UNITS[match[3].upper()])


def format_count(number: int) -> str:
    """The inverse of :func:`parse_count`, without the B of bytes."""
    unit = max((u for u in _UNITS if number >= _UNITS[u]), key=lambda u: _UNITS[u], default="")
    return f"{number / _UNITS[unit]:g}{unit}"
