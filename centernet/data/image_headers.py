"""Image sizes from file headers, and a limit on pixels against decompression bombs."""

import os
import re
import struct
from typing import BinaryIO

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from centernet.errors import InputError
from centernet.sizes import format_size

_VARIABLE = "CENTERNET_MAX_IMAGE_PIXELS"
# The limit of Pillow, too; decoded, this takes 537 MB.
_DEFAULT_PIXELS = 178_956_970
# Formats that OpenCV reads in this package, in the order of comparing the first bytes.
_FORMATS = ("JPEG", "WEBP", "TIFF", "BMP", "PPM", "JPEG2000", "AVIF", "GIF")
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PREFIX = 16
_ORIENTATION = 0x0112
_TRANSPOSED = range(5, 9)  # orientations that swap height and width
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257
# OpenCV ignores the orientation of all other formats.
_ORIENTED_FORMATS = ("JPEG", "MPO", "WEBP")
# Start of a JPEG 2000 codestream: its size and offset, which can differ from the file header.
_CODESTREAM = re.compile(rb"\xff\x4f\xff\x51....(.{16})", re.DOTALL)


def max_pixels() -> int:
    """The largest number of pixels of an image, set by CENTERNET_MAX_IMAGE_PIXELS.

    Raises:
        InputError: the variable is not a positive integer.
    """
    text = os.environ.get(_VARIABLE, str(_DEFAULT_PIXELS))
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise InputError(f"{_VARIABLE} must be a positive number of pixels, got {text!r}")
    return int(text)


def read_size(file: BinaryIO) -> tuple[int, int] | None:
    """Height and width of an image file without decoding any pixel.

    Args:
        file: open for reading, at its start.

    Returns:
        The size after rotation by the EXIF orientation; None if it is not an image of a known
        format.
    """
    try:
        start = file.read(_PREFIX)
        file.seek(0)
        height, width = _png_size(file) if start.startswith(_PNG_START) else _size(file, start)
    except MemoryError:
        raise
    except Exception:
        # Damaged headers raise a dozen types of exceptions in Pillow.
        return None
    return (int(height), int(width)) if height > 0 and width > 0 else None


def check_pixels(size: tuple[int, int], name: object, data: bytes = b"") -> None:
    """Raise InputError if an image has more pixels than :func:`max_pixels`.

    Args:
        size: (height, width) of the image.
        name: name of the image, for the message.
        data: content of the file, if it has been read.
    """
    if (pixels := count_pixels(size, data)) > (most := max_pixels()):
        raise InputError(
            f"image {name} has {format_size(size)} = {pixels:,} pixels, more than {most:,}: "
            f"scale it down, or set the environment variable {_VARIABLE}"
        )


def count_pixels(size: tuple[int, int], data: bytes = b"") -> int:
    """Number of pixels of an image; of a JPEG 2000 file also by its codestreams.

    Args:
        size: (height, width) of the image.
        data: content of the file, if it has been read.
    """
    return max([size[0] * size[1], *_codestream_pixels(data)])


def _size(file: BinaryIO, start: bytes) -> tuple[int, int]:
    """Height and width by Pillow, without the limit of :func:`PIL.Image.open`."""
    Image.init()
    for name in _FORMATS:
        if name in Image.OPEN:
            factory, accept = Image.OPEN[name]
            if accept and accept(start) is True:
                break
    else:
        return 0, 0
    with factory(file, "") as image:
        if isinstance(image, TiffImageFile):
            # Whether Pillow's size is transposed depends on its version.
            width, height = image.tag_v2[_TIFF_WIDTH], image.tag_v2[_TIFF_HEIGHT]
            transposed = image.tag_v2.get(_ORIENTATION, 1) in _TRANSPOSED
        else:
            width, height = image.size
            exif = image.info.get("exif", b"") if image.format in _ORIENTED_FORMATS else b""
            transposed = _orientation(exif) in _TRANSPOSED
    return (width, height) if transposed else (height, width)


def _orientation(exif: bytes) -> int:
    """The orientation in EXIF data, 1 to 8; 1 if it is missing.

    Unlike Pillow, but like OpenCV, it is read from damaged data if it comes before the damage.
    """
    data = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    try:
        (start,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, start)
        for at in range(start + 2, start + 2 + 12 * count, 12):
            tag, value = struct.unpack_from(f"{order}H6xH", data, at)
            if tag == _ORIENTATION:
                return value
    except struct.error:
        pass
    return 1


def _png_size(file: BinaryIO) -> tuple[int, int]:
    """Height and width of a PNG; Pillow would decode it to find EXIF data after the pixels."""
    file.seek(len(_PNG_START))
    length, kind = struct.unpack(">I4s", file.read(8))
    if kind != b"IHDR" or length != 13:
        return 0, 0
    width, height = struct.unpack(">II", file.read(13)[:8])
    exif = b""
    file.seek(4, os.SEEK_CUR)
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"eXIf":
            exif = file.read(length)
        if kind in (b"eXIf", b"IEND"):
            break
        file.seek(length + 4, os.SEEK_CUR)
    transposed = _orientation(exif) in _TRANSPOSED
    return (width, height) if transposed else (height, width)


def _codestream_pixels(data: bytes) -> list[int]:
    if not data.startswith((b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")):
        return []
    sizes = (struct.unpack(">4I", match[1]) for match in _CODESTREAM.finditer(data))
    return [max(0, right - left) * max(0, bottom - top) for right, bottom, left, top in sizes]
