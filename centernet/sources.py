"""Where pictures come from: image files, videos, cameras and streams."""

import glob
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from centernet.errors import InputError
from centernet.images import SUFFIXES

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".ts", ".mts"}
    | {".m2ts", ".flv", ".3gp", ".ogv", ".mjpeg"}
)

# Seconds to wait before each attempt to open a lost camera or stream again.
_RETRY_AFTER = (1, 2, 4)
# So many frames in a row may be damaged; a video file that gives no more is at its end.
_DAMAGED_FRAMES = 30
# Frames per second where the source names none, or an absurd number.
_USUAL_FPS, _MOST_FPS = 25.0, 240.0


def find_images(source: str) -> list[Path] | None:
    """The image files that a source names (file, folder or glob), in order; None for others.

    Raises:
        InputError: there is no such file, or no image in the folder or behind the glob.
    """
    if source.isdecimal() or "://" in source:
        return None
    path = Path(source)
    if path.is_file():
        return None if path.suffix.lower() in VIDEO_SUFFIXES else [path]
    if path.is_dir():
        found = list(path.iterdir())
    elif glob.has_magic(source):
        found = list(map(Path, glob.glob(source, recursive=True)))
    else:
        raise InputError(
            f"source {source!r} does not exist: "
            "give an image, a folder, a glob, a video, a camera number or a URL"
        )
    images = sorted(
        {p for p in found if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")}
    )
    if not images:
        raise InputError(
            f"no image is in {source} ({', '.join(sorted(SUFFIXES))}): "
            "folders in folders want a glob, as 'photos/**/*.jpg', videos come one at a time"
        )
    return images


class Video:
    """Frames of a video file, a camera or a stream.

    Attributes:
        name: the source as it may be shown: a URL without password and query.
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
        _quiet_opencv()
        self.name = re.sub(r"//[^/]*@", "//", source.split("?")[0]) if "://" in source else source
        self._source = int(source) if source.isdecimal() else source
        self._open_capture, self._wait = open_capture, wait
        self._capture = open_capture(self._source)
        if not self._capture.isOpened():
            kind = "camera" if source.isdecimal() else "stream" if "://" in source else "video"
            raise InputError(
                f"{kind} {self.name} cannot be opened: "
                "is it there, whole, and not in use by another program?"
            )
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps <= _MOST_FPS else _USUAL_FPS
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        # A file behind a URL knows its length; repeating it for ever would help nobody.
        self.live = source.isdecimal() or ("://" in source and count <= 0)
        self.length = count if count > 0 and not self.live else None

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Frames (H, W, 3) uint8 BGR until the end; a lost camera or stream is tried again."""
        try:
            while (frame := self._read()) is not None:
                yield frame
        finally:
            self._capture.release()

    def _read(self) -> NDArray[np.uint8] | None:
        """The next frame, be it after damaged ones or after an interruption; None at the end."""
        for _ in range(1 if self.live else 1 + _DAMAGED_FRAMES):
            whole, frame = self._capture.read()
            if whole:
                return frame
        for seconds in _RETRY_AFTER if self.live else ():
            tqdm.write(f"{self.name} gives no frames, trying again in {seconds} s", file=sys.stderr)
            self._capture.release()
            self._wait(seconds)
            self._capture = self._open_capture(self._source)
            whole, frame = self._capture.read()
            if whole:
                return frame
        if self.live:
            tqdm.write(f"{self.name} is lost: ending", file=sys.stderr)
        return None


def _quiet_opencv() -> None:
    """Keep OpenCV and FFmpeg from writing pages about what one line of ours says."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
