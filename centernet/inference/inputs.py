"""Where pictures come from: image files, videos, cameras and streams."""

import glob
import os
import re
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from centernet.data.images import SUFFIXES
from centernet.errors import InputError

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".ts", ".mts"}
    | {".m2ts", ".flv", ".3gp", ".ogv", ".mjpeg", ".mjpg"}
)

# Seconds to wait before each attempt to open a lost camera or stream again.
_RETRY_AFTER = (1, 2, 4)
# So many frames in a row may be damaged; a video file that gives no more is at its end.
_DAMAGED_FRAMES = 30
# Frames per second if the source gives no number, or an absurd one.
_USUAL_FPS, _LEAST_FPS, _MOST_FPS = 25.0, 0.01, 240.0
# A video file that ends before this fraction of its length is truncated; lengths are estimates.
_COMPLETE = 0.95


def is_camera(source: str) -> bool:
    """Whether a source is the number of a camera; an existing path of that name is not."""
    return re.fullmatch("[0-9]{1,9}", source) is not None and not os.path.exists(source)


def is_url(source: str) -> bool:
    """Whether a source is a URL; an existing path of that name is not."""
    return "://" in source and not os.path.exists(source)


def url_name(url: str) -> str:
    """A URL as it may be shown: without password and query."""
    return re.sub(r"//[^/]*@", "//", url.split("?")[0])


def find_images(source: str) -> list[Path] | None:
    """The image files that a source names (file, folder or glob), in order.

    Returns:
        None for a video, a camera or a URL.

    Raises:
        InputError: there is no such file, or no image in the folder or behind the glob.
    """
    if source.startswith("file://"):
        source = url2pathname(urlsplit(source).path)
    if is_camera(source) or is_url(source):
        return None
    try:
        mode = os.stat(source).st_mode
        found = list(Path(source).iterdir()) if stat.S_ISDIR(mode) else None
    except (FileNotFoundError, NotADirectoryError, ValueError):
        if not glob.has_magic(source):
            raise InputError(
                f"source {source!r} does not exist: "
                "give an image, a folder, a glob, a video, a camera number or a URL"
            ) from None
        found = _expand(source)
    except OSError as error:
        raise InputError(f"cannot read source {source}: {error.strerror or error}") from None
    if found is None:
        # Cameras are also devices, such as /dev/video0.
        is_video = stat.S_ISCHR(mode) or Path(source).suffix.lower() in VIDEO_SUFFIXES
        return None if is_video else [Path(source)]
    images = sorted(
        {p for p in found if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")}
    )
    if not images:
        raise InputError(
            f"no image is in {source} ({', '.join(sorted(SUFFIXES))}): "
            "folders in folders want a glob, as 'photos/**/*.jpg', videos come one at a time"
        )
    return images


def _expand(pattern: str) -> list[Path]:
    """Paths that match a glob; special characters in an existing folder's name are literal."""
    folder = next(parent for parent in Path(pattern).parents if parent.is_dir())
    names = glob.glob(str(Path(pattern).relative_to(folder)), root_dir=folder, recursive=True)
    return [folder / name for name in names]


class Video:
    """Frames of a video file, a camera or a stream.

    Attributes:
        kind: camera, stream (a URL) or video (a file).
        name: the source as it may be shown: a URL without password and query.
        live: whether it is a camera or a stream, which may come back after it was lost.
        fps: frames per second; 25 where the source does not say.
        length: number of frames, or None if it is not known.
        frames: number of frames read so far.
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
        self.kind = "camera" if is_camera(source) else "stream" if is_url(source) else "video"
        self.name = url_name(source) if self.kind == "stream" else source
        self._source: int | str | bytes = for_opencv(source)
        if self.kind == "camera":
            self._source = int(source)
            self.name = str(self._source)
        if self.kind == "video" and Path(source).is_fifo():
            raise InputError(f"video {source} is a pipe, which cannot be read: give a file")
        self._open_capture, self._wait = open_capture, wait
        self._capture = open_capture(self._source)
        if not self._capture.isOpened():
            hint = f" No file or folder is named {source}." if self.kind == "camera" else ""
            raise InputError(
                f"{self.kind} {self.name} cannot be opened: "
                f"is it there, complete, and not in use by another program?{hint}"
            )
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if _LEAST_FPS <= fps <= _MOST_FPS else _USUAL_FPS
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        # A file behind a URL knows its length; opening it again would only repeat it.
        endless = count <= 0 and (self.kind == "stream" or Path(source).is_char_device())
        self.live = self.kind == "camera" or endless
        self.length = count if count > 0 and not self.live else None
        self.frames, self._position = 0, 0.0

    @property
    def truncated(self) -> bool:
        """Whether a file has ended well before its length, in frames and in time."""
        if self.length is None or self.frames >= _COMPLETE * self.length:
            return False
        # The length in frames is the duration times a mean rate, which may vary.
        seconds = self._position / 1000 + 1 / self.fps
        return seconds < _COMPLETE * self.length / self.fps

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Frames (H, W, 3) uint8 BGR until the end; a lost camera or stream is tried again."""
        try:
            while (frame := self._read()) is not None:
                self.frames += 1
                self._position = self._capture.get(cv2.CAP_PROP_POS_MSEC)
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


def for_opencv(path: str | Path) -> str | bytes:
    """A path for OpenCV's videos, which crash on a str with bytes that are not UTF-8."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return os.fsencode(path)
    return str(path)


def _quiet_opencv() -> None:
    """Keep OpenCV and FFmpeg from writing pages about what one line of ours says."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
