"""A preview window."""

import os
import subprocess
import sys

import cv2
import numpy as np
from numpy.typing import NDArray

from centernet.errors import InputError

_WINDOW = "centernet"
_ESCAPE = 27


def require_screen() -> None:
    """Check that a window can be opened.

    Raises:
        InputError: there is no screen, or this build of OpenCV has no windows.
    """
    # Qt warns of fonts that are not needed here.
    os.environ.setdefault("QT_LOGGING_RULES", "default.warning=false")
    # Without a screen Qt ends the process, so another process tries.
    probe = [sys.executable, "-c", f"import cv2; cv2.namedWindow({_WINDOW!r})"]
    if subprocess.run(probe, capture_output=True).returncode:
        raise InputError(
            "--show needs a screen: remove the option, the pictures are saved without it"
        )


def show(picture: NDArray[np.uint8], *, still: bool) -> bool:
    """Show a picture in the window.

    Args:
        picture: (H, W, 3) uint8 RGB.
        still: wait for a key.

    Returns:
        False if the user wants to end: q, Escape, or the window is closed.
    """
    cv2.imshow(_WINDOW, np.ascontiguousarray(picture[..., ::-1]))
    while True:
        key = cv2.waitKey(30 if still else 1) & 0xFF
        closed = cv2.getWindowProperty(_WINDOW, cv2.WND_PROP_VISIBLE) < 1
        if closed or key in (ord("q"), _ESCAPE):
            return False
        if not still or key != 0xFF:
            return True
