"""A preview window."""

import os
import subprocess
import sys

import cv2
import numpy as np
from numpy.typing import NDArray

from centernet.errors import InputError

_WINDOW = "centernet"
# Without Qt's toolbar.
_FLAGS = cv2.WINDOW_AUTOSIZE | cv2.WINDOW_GUI_NORMAL
# Width and height in pixels of the largest window; larger pictures are shown smaller.
_MAX_SIZE = 1280, 800
# X11's codes of the keypad's plus, minus, and digits, which GTK does not translate.
_KEYPAD = {0xFFAB: "+", 0xFFAD: "-"} | {0xFFB0 + digit: str(digit) for digit in range(10)}


class WindowClosed(Exception):
    """The user has closed the preview window, or pressed q or Escape in it."""


def require_screen() -> None:
    """Check that a window can be opened.

    Raises:
        InputError: there is no screen, or this build of OpenCV has no windows.
    """
    # Qt warns of fonts that are not needed here.
    os.environ.setdefault("QT_LOGGING_RULES", "default.warning=false")
    # Without a screen Qt ends the process, so another process tries.
    probe = [sys.executable, "-c", f"import cv2; cv2.namedWindow({_WINDOW!r})"]
    done = subprocess.run(probe, capture_output=True, text=True, errors="replace")
    if done.returncode and "not implemented" in done.stderr:
        raise InputError(
            "--show: this build of OpenCV has no windows (opencv-python-headless): install "
            "opencv-python instead, or remove the option, the pictures are saved without it"
        )
    if done.returncode:
        raise InputError(
            "--show needs a screen: remove the option, the pictures are saved without it"
        )


class PreviewWindow:
    """A window for pictures, and the keys that are pressed in it."""

    def __init__(self) -> None:
        """The first picture opens the window."""
        self._is_open = False

    def show(self, picture: NDArray[np.uint8]) -> None:
        """Show a picture (H, W, 3) uint8 RGB; :meth:`read_key` makes it visible."""
        if not self._is_open:
            cv2.namedWindow(_WINDOW, _FLAGS)
            self._is_open = True
        height, width = picture.shape[:2]
        scale = min(1.0, _MAX_SIZE[0] / width, _MAX_SIZE[1] / height)
        shown = np.ascontiguousarray(picture[..., ::-1])
        if scale < 1:
            size = max(1, round(scale * width)), max(1, round(scale * height))
            shown = cv2.resize(shown, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
        cv2.imshow(_WINDOW, shown)

    def read_key(self, milliseconds: int) -> str:
        """Wait for a key, at least one millisecond.

        Returns:
            The key as a character; empty if none was pressed in time, or one without a character,
            such as Shift.

        Raises:
            WindowClosed: the window is closed.
        """
        code = cv2.waitKeyEx(max(1, milliseconds))
        if self._is_open and cv2.getWindowProperty(_WINDOW, cv2.WND_PROP_VISIBLE) < 1:
            raise WindowClosed
        code = -1 if code == -1 else code & 0xFFFF  # GTK adds the state of Num Lock
        return _KEYPAD.get(code, chr(code) if 0 < code < 0x100 else "")
