import os
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from centernet.errors import InputError
from centernet.inference import window
from centernet.inference.window import PreviewWindow, WindowClosed, require_screen

RED = np.full((30, 40, 3), (255, 0, 0), np.uint8)


def test_without_a_screen_one_line_says_so(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    if os.name != "posix" or Path("/System/Library").exists():
        pytest.skip("has a screen without these variables")
    with pytest.raises(InputError, match="--show needs a screen"):
        require_screen()


def test_a_build_of_opencv_without_windows_is_named(monkeypatch, tmp_path):
    """As opencv-python-headless answers."""
    (tmp_path / "cv2.py").write_text(
        "class error(Exception): pass\n"
        "def namedWindow(*_): raise error('(-2:Unspecified error) The function is not implemented."
        " Rebuild the library with Windows, GTK+ 2.x or Cocoa support.')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(InputError, match=r"--show.*opencv-python-headless"):
        require_screen()


def test_with_a_screen_nothing_happens(monkeypatch):
    done = subprocess.CompletedProcess([], returncode=0, stderr="")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    require_screen()


@pytest.fixture
def screen(monkeypatch):
    """A screen whose window has these properties."""
    state = {"shown": [], "key": -1, "visible": 1}
    monkeypatch.setattr(cv2, "namedWindow", lambda *_: None)
    monkeypatch.setattr(cv2, "imshow", lambda _, picture: state["shown"].append(picture))
    monkeypatch.setattr(cv2, "waitKeyEx", lambda _: state["key"])
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: state["visible"])
    return state


@pytest.mark.parametrize(
    ("code", "key"),
    [
        (-1, ""),
        (ord("q"), "q"),
        (0x100000 + ord("+"), "+"),
        (0x10FFAB, "+"),
        (0xFFB3, "3"),
        (27, "\x1b"),
        (0xFFE1, ""),  # Shift alone
    ],
)
def test_the_window_shows_pictures_and_reads_keys(screen, code, key):
    preview = PreviewWindow()
    preview.show(RED)
    screen["key"] = code
    assert preview.read_key(1) == key
    assert screen["shown"][0][0, 0].tolist() == [0, 0, 255]  # OpenCV's windows are BGR


@pytest.mark.parametrize(
    ("size", "shown"),
    [((30, 40), (40, 30)), ((2160, 3840), (1280, 720)), ((1600, 800), (400, 800))],
)
def test_a_large_picture_fits_on_the_screen(screen, size, shown):
    PreviewWindow().show(np.zeros((*size, 3), np.uint8))
    assert screen["shown"][0].shape[1::-1] == shown


def test_a_closed_window_ends(screen):
    preview = PreviewWindow()
    screen["visible"] = 0
    assert preview.read_key(1) == ""  # it is not open yet
    preview.show(RED)
    with pytest.raises(WindowClosed):
        preview.read_key(1)


def test_the_probe_opens_the_same_window(monkeypatch):
    commands = []
    done = subprocess.CompletedProcess([], returncode=0, stderr="")
    monkeypatch.setattr(subprocess, "run", lambda c, **_: commands.append(c) or done)
    require_screen()
    assert repr(window._WINDOW) in commands[0][-1]
