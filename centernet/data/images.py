"""Read image files as upright RGB pixels, with clear errors for damaged files."""

import io
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from centernet.data.image_headers import check_pixels, max_pixels, read_size
from centernet.errors import InputError
from centernet.files import open_regular, read_open

if TYPE_CHECKING:
    from PIL.Image import Image

    ImageLike = str | Path | Image | NDArray

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2", ".avif"}
)

Result = TypeVar("Result")

_REDUCED = {
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
# A segment of a JPEG header: its marker, and its length, which includes the two length bytes.
_JPEG_SEGMENT = re.compile(rb"\xff([^\x00\xff])(..)", re.DOTALL)
_JPEG_SCAN = b"\xda"
_MAX_BYTES = 2**31 - 1  # OpenCV counts bytes in an int
_MAX_HEADER = 1 << 20  # bytes of a file without a readable header, read to find the reason
_PNG_START, _PNG_END = b"\x89PNG", b"IEND\xaeB`\x82"


def read_image(path: str | Path, *, shrink: int = 1) -> NDArray[np.uint8]:
    """Read an image file and rotate it by its EXIF orientation.

    Gray becomes three equal channels, an alpha channel is dropped, 16 bits are scaled to 8.

    Args:
        path: JPEG, PNG, WebP, TIFF, BMP, PNM, JPEG 2000, AVIF or GIF.
        shrink: divides the sides of a JPEG by 2, 4 or 8, rounded up, several times faster than
            resizing it; images of other formats keep their size.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        InputError: the file is missing, not an image, truncated, or has more pixels than
            :func:`centernet.data.image_headers.max_pixels`.
    """
    return read_image_and_size(path, lambda _: shrink)[0]


def read_image_and_size(
    path: str | Path, shrink: Callable[[tuple[int, int]], int]
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Read an image file, and return its pixels and (height, width) before they shrink.

    Args:
        path: as for :func:`read_image`.
        shrink: the factor, as for :func:`read_image`, for an image of (height, width).

    Raises:
        InputError: as for :func:`read_image`.
    """
    with _readable(path), open_regular(path) as file:
        # The header rejects decompression bombs and huge files before they are read.
        size = _checked_size(file, path)
        file.seek(0)
        data = read_open(file, _MAX_BYTES)
    return _decode_checked(data, path, size, shrink(size)), size


def decode_image(data: bytes, name: str | Path) -> NDArray[np.uint8]:
    """Decode the content of an image file; ``name`` is for messages. See :func:`read_image`."""
    return _decode_checked(data, name, read_size(io.BytesIO(data)))


def _decode_checked(
    data: bytes, name: str | Path, size: tuple[int, int] | None, shrink: int = 1
) -> NDArray[np.uint8]:
    """Decode the content of an image file with (height, width) in its header."""
    if _ends_early(data):
        raise InputError(f"image {name} is truncated ({len(data)} bytes): replace or remove it")
    image = None
    if size is not None:
        check_pixels(size, name, data)
        try:
            image = _decode(data, shrink)
        except (cv2.error, MemoryError):
            image = None
    if image is None:
        raise _no_image(name, len(data))
    return np.asarray(image, np.uint8)


def _decode(data: bytes, shrink: int) -> NDArray | None:
    pixels = np.frombuffer(data, np.uint8)
    if shrink == 1 or not data.startswith(_JPEG_START):
        return cv2.imdecode(pixels, cv2.IMREAD_COLOR_RGB)
    reduced = cv2.imdecode(pixels, _REDUCED[shrink])
    return None if reduced is None else cv2.cvtColor(reduced, cv2.COLOR_BGR2RGB)


def image_size(path: str | Path) -> tuple[int, int]:
    """Height and width of the result of :func:`read_image`, from the file's header alone.

    Raises:
        InputError: the file is missing, not an image, or has too many pixels.
    """
    with _readable(path), open_regular(path) as file:
        return _checked_size(file, path)


def _checked_size(file: BinaryIO, path: str | Path) -> tuple[int, int]:
    """(height, width) in the header of a file that is open at its start; see :func:`image_size`."""
    size = read_size(file)
    if size is None:
        file.seek(0)
        count = os.fstat(file.fileno()).st_size
        if _ends_early(file.read(_MAX_HEADER)):
            raise InputError(f"image {path} is truncated ({count} bytes): replace or remove it")
        raise _no_image(path, count)
    check_pixels(size, path)
    return size


@contextmanager
def _readable(path: str | Path) -> Iterator[None]:
    """Raise InputError for errors of reading the file."""
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot read image {path}: {reason}") from None


def _no_image(name: str | Path, size: int) -> InputError:
    return InputError(f"{name} is not an image that OpenCV can read ({size} bytes)")


def for_each_image(
    read: Callable[[Path], Result], paths: Iterable[Path], *, progress: bool | None = None
) -> dict[Path, Result]:
    """Call a function with each path in several threads; return the results by path.

    The images in memory at one time have at most :func:`max_pixels` pixels in total.

    Args:
        read: the function, which reads the image.
        paths: image files; repeated paths are read once.
        progress: whether to show a progress bar; by default if there is a terminal.
    """
    paths = list(dict.fromkeys(paths))
    disable = None if progress is None else not progress
    budget = _PixelBudget(max_pixels())

    def read_within_budget(path: Path) -> Result:
        with budget.reserved(path):
            return read(path)

    with ThreadPoolExecutor(min(32, (os.cpu_count() or 1) + 1)) as pool:
        results = pool.map(read_within_budget, paths)
        bar = tqdm(results, "images", len(paths), disable=disable, leave=False, unit="image")
        return dict(zip(paths, bar, strict=True))


class _PixelBudget:
    """Limits the total number of pixels that threads decode at one time."""

    def __init__(self, most: int) -> None:
        self._free = most
        self._changed = threading.Condition()

    @contextmanager
    def reserved(self, path: Path) -> Iterator[None]:
        """Wait until an image fits in the budget; it counts until the context ends."""
        try:
            height, width = image_size(path)
        except InputError:
            height = width = 0  # reading it fails, too
        pixels = height * width
        with self._changed:
            self._changed.wait_for(lambda: pixels <= self._free)
            self._free -= pixels
        try:
            yield
        finally:
            with self._changed:
                self._free += pixels
                self._changed.notify_all()


def load_image(image: "ImageLike", *, bgr: bool = False) -> NDArray[np.uint8]:
    """Pixels (H, W, 3) uint8 RGB of an image file or of an image in memory.

    See :func:`read_image` and :func:`as_rgb` for arguments and errors.
    """
    return read_image(image) if isinstance(image, str | Path) else as_rgb(image, bgr=bgr)


def as_rgb(image: Any, *, bgr: bool = False) -> NDArray[np.uint8]:
    """Pixels of an image in memory.

    Args:
        image: a PIL image, which is rotated by its EXIF orientation; or an array (H, W), (H, W, 1),
            (H, W, 3) or (H, W, 4), uint8, uint16 or bool.
        bgr: whether the channels of an array are in OpenCV's order.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        InputError: the image is neither a PIL image nor such an array.
    """
    if hasattr(image, "getexif"):
        from PIL import ImageOps

        image = ImageOps.exif_transpose(image)
        # Modes I and F have no defined range; Pillow would clip them at 255.
        image = np.asarray(image if image.mode[0] in "IF" else image.convert("RGB"))
        bgr = False
    if not isinstance(image, np.ndarray):
        raise InputError(
            f"an image must be a path, a PIL image or a numpy array, got {type(image).__name__}"
        )
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.ndim not in (2, 3) or channels not in (1, 3, 4) or 0 in image.shape:
        raise InputError(
            f"an image array must be (H, W), (H, W, 3) or (H, W, 4), got shape {image.shape}"
        )
    if np.issubdtype(image.dtype, np.uint16):  # of either byte order
        image = (image >> 8).astype(np.uint8)
    elif image.dtype == bool:
        image = image.astype(np.uint8) * 255
    elif image.dtype != np.uint8:
        raise InputError(
            f"an image array must be uint8 or uint16, got {image.dtype}: scale it to 0..255 first"
        )
    image = image.reshape(*image.shape[:2], channels)[..., :3]
    if channels == 1:
        return np.repeat(image, 3, axis=2)
    return np.ascontiguousarray(image[..., ::-1] if bgr else image)


def _ends_early(data: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end; decoders fill the missing part with gray."""
    if data.startswith(_JPEG_START):
        # Thumbnails in the header, and data that phones append, have end markers, too.
        at = len(_JPEG_START)
        while segment := _JPEG_SEGMENT.search(data, at):
            if segment[1] == _JPEG_SCAN:
                return data.rfind(_JPEG_END, segment.end()) < 0
            at = segment.start(2) + int.from_bytes(segment[2])
        return True
    if data.startswith(_PNG_START):
        return data.rfind(_PNG_END) < 0
    return False


def check_files(folder: Path, names: Sequence[str]) -> None:
    """Raise InputError if an image file is missing."""

    @cache
    def files(path: str) -> frozenset[str]:
        return frozenset(os.listdir(path)) if os.path.isdir(path) else frozenset()

    parts = (os.path.split(os.path.join(folder, name)) for name in names)
    missing = [os.path.join(*part) for part in parts if part[1] not in files(part[0])]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(names)} images are missing, the first is {missing[0]}: "
            "check the folder, or remove them from the annotation file"
        )
