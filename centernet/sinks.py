"""Where pictures go: image files, videos, a window."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from centernet.errors import InputError
from centernet.files import whole

_WINDOW = "centernet"
_ESCAPE = 27


def write_picture(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write a picture (H, W, 3) uint8 RGB; the suffix says the format.

    An interrupted write leaves no half picture, and never writes through a link.

    Raises:
        InputError: the folder cannot be written to.
    """
    with whole(path) as unfinished:
        unfinished.write_bytes(cv2.imencode(path.suffix, _bgr(picture))[1].tobytes())


class VideoFile:
    """An mp4 of pictures, opened by the first one; once closed it can be played.

    >>> with VideoFile(Path("out.mp4"), fps=25.0) as video:  # doctest: +SKIP
    ...     video.write(picture)
    """

    def __init__(self, path: Path, fps: float) -> None:
        """Write to ``path`` at ``fps`` frames per second."""
        self.path, self.fps = path, fps
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)

    def __enter__(self) -> "VideoFile":
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer:
            self._writer.release()

    def write(self, picture: NDArray[np.uint8]) -> None:
        """Append a picture (H, W, 3) uint8 RGB; one of another size is scaled to the first's.

        Raises:
            InputError: the file cannot be written.
        """
        if not self._writer:
            self._open(picture)
        if picture.shape[1::-1] != self._size:
            picture = cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA)
        # The format has even sizes only; OpenCV would cut the last row and column off.
        bottom, right = self._size[1] % 2, self._size[0] % 2
        self._writer.write(
            cv2.copyMakeBorder(_bgr(picture), 0, bottom, 0, right, cv2.BORDER_REPLICATE)
        )

    def _open(self, picture: NDArray[np.uint8]) -> None:
        height, width = picture.shape[:2]
        self._size = width, height
        self._writer = cv2.VideoWriter(
            str(self.path),
            cv2.VideoWriter.fourcc(*"mp4v"),
            self.fps,
            (width + width % 2, height + height % 2),
        )
        if not self._writer.isOpened():
            raise InputError(f"cannot write video {self.path}: is there room, and may you write?")


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
