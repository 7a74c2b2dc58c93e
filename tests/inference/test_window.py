import os
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from centernet.errors import InputError
from centernet.inference import window
from centernet.inference.window import require_screen, show

RED = np.full((30, 40, 3), (255, 0, 0), np.uint8)


def test_without_a_screen_one_line_says_so(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    if os.name != "posix" or Path("/System/Library").exists():
        pytest.skip("has a screen without these variables")
    with pytest.raises(InputError, match="--show needs a screen"):
        require_screen()


def test_with_a_screen_nothing_happens(monkeypatch):
    done = subprocess.CompletedProcess([], returncode=0)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    require_screen()


@pytest.mark.parametrize(
    ("keys", "visible", "still", "goes_on"),
    [
        ([-1], 1, False, True),  # a video does not wait
        ([ord("q")], 1, False, False),
        ([27], 1, False, False),
        ([ord("x")], 1, False, True),
        ([-1, -1, ord(" ")], 1, True, True),  # an image waits for a key
        ([-1, -1, ord("q")], 1, True, False),
        ([-1], 0, True, False),  # the window was closed
    ],
)
def test_the_window_obeys_keys(monkeypatch, keys, visible, still, goes_on):
    shown, keys = [], list(keys)
    monkeypatch.setattr(cv2, "imshow", lambda _, picture: shown.append(picture))
    monkeypatch.setattr(cv2, "waitKey", lambda _: keys.pop(0))
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: visible)
    assert show(RED, still=still) is goes_on
    assert not keys
    assert shown[0][0, 0].tolist() == [0, 0, 255]  # OpenCV's windows are BGR


def test_the_probe_opens_the_same_window(monkeypatch):
    commands = []
    done = subprocess.CompletedProcess([], returncode=0)
    monkeypatch.setattr(subprocess, "run", lambda c, **_: commands.append(c) or done)
    require_screen()
    assert repr(window._WINDOW) in commands[0][-1]
