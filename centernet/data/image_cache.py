"""Decoded images in memory, shared by the processes that load them."""

import mmap
import multiprocessing
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Of each image: start of its pixels in the memory, height and width, height and width in its file.
_COLUMNS = 5


class ImageCache:
    """Keeps the images that were added first, until its memory is full.

    The system provides the memory page by page when it is written. Processes that are forked from
    this one share it: an image that one of them adds is found by all.
    """

    def __init__(self, count: int, capacity: int, *, shared: bool) -> None:
        """Reserve the memory.

        Args:
            count: number of images of the dataset.
            capacity: bytes for their pixels.
            shared: whether other processes use it, too.

        Raises:
            OSError: the system does not provide so much memory.
        """
        self._pixels = np.frombuffer(mmap.mmap(-1, max(1, capacity)), np.uint8)
        numbers = np.frombuffer(mmap.mmap(-1, 8 * (1 + _COLUMNS * count)), np.int64)
        self._used, self._places = numbers[:1], numbers[1:].reshape(count, _COLUMNS)
        self._lock: AbstractContextManager[Any] = (
            multiprocessing.Lock() if shared else nullcontext()
        )

    def get(self, index: int) -> tuple[NDArray[np.uint8], tuple[int, int]] | None:
        """An image (H, W, 3), read-only, and the (height, width) in its file; None if not added."""
        with self._lock:
            start, height, width, *size = self._places[index].tolist()
        if not height:
            return None
        image = self._pixels[start : start + 3 * height * width].reshape(height, width, 3)
        image.flags.writeable = False
        return image, (size[0], size[1])

    def add(self, index: int, image: NDArray[np.uint8], size: tuple[int, int]) -> None:
        """Copy an image into the memory, if there is room; arguments as the results of :meth:`get`.

        Args:
            index: index of the image in the dataset.
            image: (H, W, 3).
            size: (height, width) in its file.
        """
        with self._lock:
            start = int(self._used[0])
            end = start + image.size
            if end > len(self._pixels) or self._places[index, 1]:
                return
            self._used[0] = end
            self._pixels[start:end] = image.reshape(-1)
            self._places[index] = (start, *image.shape[:2], *size)

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy, or the cache of a process that was not forked, is empty and stays so."""
        return _empty, (len(self._places),)


def _empty(count: int) -> ImageCache:
    return ImageCache(count, 0, shared=False)
