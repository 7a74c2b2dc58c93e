"""Find and read inputs: image files, videos, cameras and streams."""

import glob
import os
import re
import stat
import sys
import threading
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
from centernet.inference.video.open_capture import open_capture as open_with_opencv
from centernet.inference.video.open_capture import quiet_opencv

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".ts", ".mts"}
    | {".m2ts", ".flv", ".3gp", ".ogv", ".mjpeg", ".mjpg"}
)

# Seconds to wait before each attempt to reconnect to a camera or stream, and how long to try.
_RETRY_AFTER = (1, 2, 4, 8, 10, 10, 10, 10)
_GIVE_UP_AFTER = 60.0
# After this number of damaged frames in a row, a video file is at its end.
_MAX_DAMAGED_FRAMES = 30
# The default applies if the source reports no frame rate, or one outside of the range.
_DEFAULT_FPS, _MIN_FPS, _MAX_FPS = 25.0, 0.01, 240.0
# A video file that ends before this fraction of its length is truncated; lengths are estimates.
_COMPLETE = 0.95


def is_camera(source: str) -> bool:
    """Whether a source is the number of a camera, and no path of that name exists."""
    return re.fullmatch("[0-9]{1,9}", source) is not None and not os.path.exists(source)


def is_url(source: str) -> bool:
    """Whether a source is a URL, and no path of that name exists."""
    return "://" in source and not os.path.exists(source)


def url_name(url: str) -> str:
    """A URL without password and query, which may be secret."""
    return re.sub(r"//[^/]*@", "//", url.split("?")[0])


def find_images(source: str) -> list[Path] | None:
    """The image files of a file, folder or glob, sorted.

    Returns:
        None for a video, a camera or a URL.

    Raises:
        InputError: the file does not exist, or the folder or glob has no image.
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
            f"no images in {source} ({', '.join(sorted(SUFFIXES))}): "
            "use a glob for nested folders, as 'photos/**/*.jpg', and pass videos one at a time"
        )
    return images


def _expand(pattern: str) -> list[Path]:
    """Paths that match a glob; special characters in an existing folder's name are literal."""
    folder = next(parent for parent in Path(pattern).parents if parent.is_dir())
    names = glob.glob(str(Path(pattern).relative_to(folder)), root_dir=folder, recursive=True)
    return [folder / name for name in names]


class Video:
    """Frames of a video file, a camera or a stream.

    Frames are upright: a rotation that a phone stores in the file is applied.

    Attributes:
        kind: camera, stream (a URL) or video (a file).
        name: the source; of a URL without password and query.
        live: whether it is a camera or an endless stream, which is reopened when it is lost.
        fps: frames per second; a default if the source does not report it.
        length: number of frames; None if it is not known.
        frames: number of frames read so far.
        time: seconds of the last frame, in a file since its beginning, else since the first frame.
        reconnecting: whether a camera or stream is lost, and it is being reopened.
    """

    def __init__(
        self,
        source: str,
        *,
        open_capture: Callable[[Any], cv2.VideoCapture] = open_with_opencv,
        wait: Callable[[float], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open ``source``: a path, a camera number or a URL.

        Args:
            source: as the command line takes it.
            open_capture: opens what OpenCV calls a video capture.
            wait: waits for a number of seconds, or until :meth:`stop`.
            clock: time in seconds.

        Raises:
            InputError: it cannot be opened.
        """
        quiet_opencv()
        self.kind = "camera" if is_camera(source) else "stream" if is_url(source) else "video"
        self.name = url_name(source) if self.kind == "stream" else source
        self._source: int | str | bytes = for_opencv(source)
        if self.kind == "camera":
            self._source = int(source)
            self.name = str(self._source)
        if self.kind == "video" and Path(source).is_fifo():
            raise InputError(f"video {source} is a pipe, which cannot be read: give a file")
        self._stopped = threading.Event()
        self._open_capture, self.wait, self._clock = open_capture, wait or self._stopped.wait, clock
        self._capture = open_capture(self._source)
        if not self._capture.isOpened():
            hint = f" No file or folder is named {source}." if self.kind == "camera" else ""
            raise InputError(
                f"{self.kind} {self.name} cannot be opened: "
                f"is it available, complete, and not in use by another program?{hint}"
            )
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if _MIN_FPS <= fps <= _MAX_FPS else _DEFAULT_FPS
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        # A file at a URL reports its length; it is not reopened, which would repeat it.
        endless = count <= 0 and (self.kind == "stream" or Path(source).is_char_device())
        self.live = self.kind == "camera" or endless
        self.length = count if count > 0 and not self.live else None
        self.frames, self.time, self.reconnecting = 0, 0.0, False
        self._position, self._started = 0.0, 0.0

    @property
    def truncated(self) -> bool:
        """Whether a file ended well before its reported length, in frames and in time."""
        if self.length is None or self.frames >= _COMPLETE * self.length:
            return False
        # The reported number of frames is the duration times a mean rate, and the rate may vary.
        seconds = self._position / 1000 + 1 / self.fps
        return seconds < _COMPLETE * self.length / self.fps

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Frames (H, W, 3) uint8 BGR until the end; a lost camera or stream is reopened."""
        try:
            while (frame := self._read()) is not None and not self._stopped.is_set():
                self._position = self._capture.get(cv2.CAP_PROP_POS_MSEC)
                self.time = self._next_time()
                self.frames += 1
                yield frame
        finally:
            self._capture.release()

    def stop(self) -> None:
        """End the iteration, which may run in another thread, before its next frame."""
        self._stopped.set()

    def close(self) -> None:
        """End the iteration, and release the camera or file, also before the first frame."""
        self.stop()
        self._capture.release()

    def _next_time(self) -> float:
        """The time of the frame that was read."""
        if self.live:
            now = self._clock()
            self._started = self._started if self.frames else now
            return now - self._started
        time = self._position / 1000
        # Some containers have no times.
        return time if time > self.time or not self.frames else self.time + 1 / self.fps

    def _read(self) -> NDArray[np.uint8] | None:
        """The next frame, also after damaged frames or an interruption; None at the end."""
        for _ in range(1 if self.live else 1 + _MAX_DAMAGED_FRAMES):
            complete, frame = self._capture.read()
            if complete:
                return frame.astype(np.uint8, copy=False)
        return self._reconnect() if self.live and not self._stopped.is_set() else None

    def _reconnect(self) -> NDArray[np.uint8] | None:
        """Reopen a camera or stream; the first frame, None if it stays lost."""
        lost, self.reconnecting = self._clock(), True
        try:
            for seconds in _RETRY_AFTER:
                if self._clock() - lost + seconds > _GIVE_UP_AFTER:
                    break
                text = f"{self.name} gives no frames, trying again in {seconds} s"
                tqdm.write(text, file=sys.stderr)
                self._capture.release()
                self.wait(seconds)
                if self._stopped.is_set():
                    return None
                self._capture = self._open_capture(self._source)
                complete, frame = self._capture.read()
                if complete:
                    return frame.astype(np.uint8, copy=False)
            tqdm.write(f"{self.name} is lost: ending", file=sys.stderr)
            return None
        finally:
            self.reconnecting = False


def for_opencv(path: str | Path) -> str | bytes:
    """A path for OpenCV's video reader, which crashes on a str that is not valid UTF-8."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return os.fsencode(path)
    return str(path)
