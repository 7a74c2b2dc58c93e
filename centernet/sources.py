"""Where pictures come from: image files, videos, cameras and streams."""

import glob
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
from numpy.typing import NDArray

from centernet.errors import InputError
from centernet.images import SUFFIXES

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".ts"}
)

# Seconds to wait before each attempt to open a lost camera or stream again.
_RETRY_AFTER = (1, 2, 4)


def find_images(source: str) -> list[Path] | None:
    """The image files that a source names (file, folder or glob), in order; None for others.

    Raises:
        InputError: there is no such file, or no image in the folder or behind the glob.
    """
    path = Path(source)
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
        if not found:
            raise InputError(f"folder {source} holds no image ({', '.join(sorted(SUFFIXES))})")
        return found
    if path.is_file():
        return None if path.suffix.lower() in VIDEO_SUFFIXES else [path]
    if source.isdecimal() or "://" in source:
        return None
    if glob.has_magic(source):
        found = sorted(
            p for p in map(Path, glob.glob(source, recursive=True)) if p.suffix.lower() in SUFFIXES
        )
        if found:
            return found
    raise InputError(
        f"source {source!r} does not exist: "
        "give an image, a folder, a glob, a video, a camera number or a URL"
    )


class Video:
    """Frames of a video file, a camera or a stream.

    Attributes:
        live: whether it is a camera or a stream, which may come back after it was lost.
        fps: frames per second; 25 where the source does not say.
        length: number of frames, or None where it is not known.
    """

    def __init__(
        self,
        source: str,
        *,
        open_capture: Callable[[Any], cv2.VideoCapture] = cv2.VideoCapture,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        """Open ``source``: a path, a camera number or a URL.

        Raises:
            InputError: it cannot be opened.
        """
        self.source = source
        self.live = not Path(source).is_file()
        self._open_capture, self._wait = open_capture, wait
        self._capture = self._open()
        if not self._capture.isOpened():
            kind = "camera" if source.isdecimal() else "stream" if self.live else "video"
            raise InputError(
                f"{kind} {source} cannot be opened: is it there, and not in use by another program?"
            )
        self.fps = self._capture.get(cv2.CAP_PROP_FPS) or 25.0
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.length = count if count > 0 and not self.live else None

    def __iter__(self) -> Iterator[NDArray]:
        """Frames (H, W, 3) uint8 BGR until the end; a lost camera or stream is tried again."""
        try:
            while True:
                more, frame = self._capture.read()
                if more:
                    yield frame
                elif not (self.live and self._reopened()):
                    return
        finally:
            self._capture.release()

    def _open(self) -> cv2.VideoCapture:
        return self._open_capture(int(self.source) if self.source.isdecimal() else self.source)

    def _reopened(self) -> bool:
        self._capture.release()
        for seconds in _RETRY_AFTER:
            print(f"{self.source} gives no more frames, trying again in {seconds} s")
            self._wait(seconds)
            self._capture = self._open()
            if self._capture.isOpened():
                return True
        print(f"{self.source} is lost: ending")
        return False
