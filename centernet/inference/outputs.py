"""Write results: image files, videos, lines of text, a window."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from centernet.errors import InputError
from centernet.files import atomic_write
from centernet.inference.inputs import for_opencv

_WINDOW = "centernet"
_ESCAPE = 27


# The most pixels that a side may have, by the suffix; of MPEG-4 with an even number of them.
_MOST_SIDE = {".jpg": 65500, ".jpeg": 65500, ".png": 1_000_000, ".mp4": 8190}


def write_picture(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write a picture (H, W, 3) uint8 RGB; the suffix says the format.

    A picture that is larger than the format allows is scaled down, with a line on stderr. An
    interrupted write leaves no half picture, and never writes through a link.

    Raises:
        InputError: the picture cannot be encoded, or the folder cannot be written to.
    """
    size = _allowed_size(path, picture)
    if size != picture.shape[1::-1]:
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    try:
        encoded, data = cv2.imencode(path.suffix, _bgr(picture))
    except cv2.error:
        encoded = False
    if not encoded:
        raise InputError(f"cannot write {path}: OpenCV cannot encode {size[0]}x{size[1]} pixels")
    with atomic_write(path) as unfinished:
        unfinished.write_bytes(data.tobytes())


class _GrowingFile:
    """A file that a run adds to, opened by the first addition.

    It is written beside its final place and moved there when it is closed, also after Ctrl-C. After
    an error it is removed, and a file that was there before stays.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._unfinished = path.with_name(f"{path.stem}.tmp{path.suffix}")
        self._started = False

    def __enter__(self) -> Self:
        if self.path.is_dir():
            raise InputError(f"cannot write {self.path}: it is a folder, remove it")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if not self._started:
            return
        try:
            self._close()
            if kind is None or issubclass(kind, KeyboardInterrupt):
                self._check()
                self._unfinished.replace(self.path)
        except OSError as error:
            raise InputError(f"cannot write {self.path}: {error.strerror or error}") from None
        finally:
            self._unfinished.unlink(missing_ok=True)

    def _close(self) -> None:
        raise NotImplementedError

    def _check(self) -> None:
        """Raise InputError if the closed file is incomplete."""


class LinesFile(_GrowingFile):
    """A text file of lines in UTF-8; an interrupted process leaves complete lines only."""

    def write(self, line: str) -> None:
        """Append a line, which ends in a line feed.

        Raises:
            InputError: the file cannot be written.
        """
        try:
            if not self._started:
                # What is not UTF-8 in a file name becomes the JSON escape of a lone surrogate.
                self._file = self._unfinished.open(
                    "w", buffering=1, encoding="utf-8", errors="backslashreplace"
                )
                self._started = True
            self._file.write(line)
        except OSError as error:
            raise InputError(f"cannot write {self.path}: {error.strerror or error}") from None

    def _close(self) -> None:
        self._file.close()


class VideoFile(_GrowingFile):
    """An mp4 of pictures.

    >>> with VideoFile(Path("out.mp4"), fps=25.0) as video:  # doctest: +SKIP
    ...     video.write(picture)
    """

    def __init__(self, path: Path, fps: float) -> None:
        """Write to ``path`` at ``fps`` frames per second."""
        super().__init__(path)
        self.fps, self._frames = fps, 0

    def write(self, picture: NDArray[np.uint8]) -> None:
        """Append a picture (H, W, 3) uint8 RGB; one of another size is scaled to the first's.

        Raises:
            InputError: the file cannot be written.
        """
        if not self._started:
            self._open(picture)
        if picture.shape[1::-1] != self._size:
            picture = cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA)
        # The format has even sizes only; OpenCV would cut the last row and column off.
        bottom, right = self._size[1] % 2, self._size[0] % 2
        self._writer.write(
            cv2.copyMakeBorder(_bgr(picture), 0, bottom, 0, right, cv2.BORDER_REPLICATE)
        )
        self._frames += 1

    def _open(self, picture: NDArray[np.uint8]) -> None:
        width, height = self._size = _allowed_size(self.path, picture)
        self._writer = cv2.VideoWriter(
            for_opencv(self._unfinished),
            cv2.VideoWriter.fourcc(*"mp4v"),
            self.fps,
            (width + width % 2, height + height % 2),
        )
        self._started = True
        if not self._writer.isOpened():
            raise InputError(f"cannot write video {self.path}: is there room, and may you write?")

    def _close(self) -> None:
        self._writer.release()

    def _check(self) -> None:
        """OpenCV reports no errors of writing, such as a full disk: read the file."""
        capture = cv2.VideoCapture(for_opencv(self._unfinished))
        frames = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.read()[0] else 0
        capture.release()
        if frames < self._frames:
            raise InputError(
                f"video {self.path} is incomplete, {frames} of {self._frames} frames can be read: "
                "is the disk full?"
            )


def _allowed_size(path: Path, picture: NDArray[np.uint8]) -> tuple[int, int]:
    """Width and height to write a picture in; its own unless a side is too long for the format."""
    height, width = picture.shape[:2]
    most = _MOST_SIDE.get(path.suffix.lower(), max(width, height))
    scale = min(1, most / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if scale < 1:
        tqdm.write(
            f"{path} is scaled from {width}x{height} to {size[0]}x{size[1]} pixels: "
            f"{path.suffix} has at most {most} a side",
            file=sys.stderr,
        )
    return size


def require_screen() -> None:
    """Make sure that a window can be opened.

    Raises:
        InputError: there is no screen, or this OpenCV has no windows.
    """
    # Qt has much to say about fonts that it does not need here.
    os.environ.setdefault("QT_LOGGING_RULES", "default.warning=false")
    # Where there is no screen, Qt ends the process without a word to Python: let another one try.
    probe = [sys.executable, "-c", f"import cv2; cv2.namedWindow({_WINDOW!r})"]
    if subprocess.run(probe, capture_output=True).returncode:
        raise InputError("--show needs a screen: leave it out, the pictures are saved anyway")


def show(picture: NDArray[np.uint8], *, still: bool) -> bool:
    """Show a picture in the window.

    Args:
        picture: (H, W, 3) uint8 RGB.
        still: wait for a key.

    Returns:
        False when the person wants to end: q, Escape, or the window is closed.
    """
    cv2.imshow(_WINDOW, _bgr(picture))
    while True:
        key = cv2.waitKey(30 if still else 1) & 0xFF
        closed = cv2.getWindowProperty(_WINDOW, cv2.WND_PROP_VISIBLE) < 1
        if closed or key in (ord("q"), _ESCAPE):
            return False
        if not still or key != 0xFF:
            return True


def _bgr(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(picture[..., ::-1])
