"""The preview window of a run: pictures, keys, snapshots and recordings."""

import sys
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from centernet.errors import InputError
from centernet.inference.output_base import Output
from centernet.inference.output_paths import ResultName
from centernet.inference.prediction import Prediction
from centernet.inference.video.hud import draw_hud, for_window
from centernet.inference.video.keys import KEYS, STILL_KEYS
from centernet.inference.video.statistics import FrameRate
from centernet.inference.video.view import View
from centernet.inference.window import PreviewWindow, WindowClosed
from centernet.inference.writers import VideoFile, write_picture

# Milliseconds between two looks at the keys while the picture stands still.
_STILL_WAIT = 30
_ENDING_KEYS = ("q", chr(27))  # Escape


class KeyWindow(Protocol):
    """A window as :class:`.PreviewWindow`."""

    def show(self, picture: NDArray[np.uint8]) -> None:
        """Show a picture."""

    def read_key(self, milliseconds: int) -> str:
        """Wait for a key."""


@dataclass(frozen=True)
class _Shown:
    """A prediction in the window, and its picture without text."""

    prediction: Prediction
    name: ResultName
    picture: NDArray[np.uint8]


class Viewer(Output):
    """Shows the pictures of a run in a window, and obeys its keys.

    Attributes:
        paused: whether the picture stands still.
        status: the current values of the run, for the top of the window.
        view: what is shown of the predictions.
    """

    draws = True

    def __init__(
        self,
        draw: Callable[[Prediction], NDArray[np.uint8]],
        view: View,
        *,
        fps: float | None = None,
        window: KeyWindow | None = None,
    ) -> None:
        """Show pictures.

        Args:
            draw: the picture (H, W, 3) uint8 RGB of a prediction.
            view: what to show of the predictions.
            fps: frames per second of a video; None for images, which wait for a key each.
            window: the window; a :class:`.PreviewWindow` by default.
        """
        self.view, self.paused = view, False
        self.status: Callable[[], str] = self._frame_status
        self._draw, self._fps, self._window = draw, fps, window or PreviewWindow()
        self._rate, self._text = FrameRate(), ""
        self._help, self._steps, self._continues = False, 0, False
        self._shown: _Shown | None = None
        self._recording: VideoFile | None = None

    def write(self, prediction: Prediction, name: ResultName) -> None:
        """Show a picture, and wait if it is an image or the video is paused.

        Raises:
            WindowClosed: the user wants to end.
            InputError: a snapshot or recording cannot be written.
        """
        self.show(prediction, name)
        self._continues = False
        if self._fps is None:
            while not self._continues:
                self.poll(_STILL_WAIT)
        else:
            self.poll()
            while self.paused and not self.take_step():
                self.poll(_STILL_WAIT)

    def show(self, prediction: Prediction, name: ResultName) -> None:
        """Show a picture, and append it to the recording, without reading keys."""
        self._rate.add()
        self._show(prediction, name)
        if self._recording and self._shown:
            self._recording.write(self._shown.picture, name.time)

    def poll(self, milliseconds: int = 1) -> None:
        """Obey the keys that are pressed within a time, and show changed values.

        Raises:
            WindowClosed: the user wants to end.
            InputError: a snapshot or recording cannot be written.
        """
        if self._shown and self._status_text() != self._text:
            self._refresh()
        key = self._window.read_key(milliseconds)
        while key:
            self._press(key)
            key = self._window.read_key(1)

    def take_step(self) -> bool:
        """Whether the user wants the next frame of a paused video; each request counts once."""
        if not self._steps:
            return False
        self._steps -= 1
        return True

    def close(self) -> None:
        """Finish a recording."""
        if self._recording:
            recording, self._recording = self._recording, None
            recording.close()
            tqdm.write(f"saved {recording.path}", file=sys.stderr)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # The error that ends the run matters more than that of the recording.
        with suppress(InputError) if kind else nullcontext():
            self.close()

    def _press(self, key: str) -> None:
        """Obey one key."""
        if key in _ENDING_KEYS:
            raise WindowClosed
        if self.view.press(key):
            if self._shown:
                self._show(self._shown.prediction, self._shown.name)
        elif key == "h":
            self._help = not self._help
        elif key == "c" and self._shown:
            self._snapshot(self._shown)
        elif self._fps is None:
            self._continues = True
        elif key == " ":
            self.paused, self._steps = not self.paused, 0
        elif key in ("s", "."):
            self._steps += self.paused
            self.paused = True
        elif key == "r" and self._shown:
            self._record(self._shown, self._fps)
        self._refresh()

    def _show(self, prediction: Prediction, name: ResultName) -> None:
        picture = self._draw(self.view.apply(prediction))
        self._shown = _Shown(prediction, name, picture)
        self._refresh()

    def _refresh(self) -> None:
        """Show the current picture with the current text."""
        if self._shown:
            self._text = self._status_text()
            keys = STILL_KEYS if self._fps is None else KEYS
            lines = self._text.split("\n")
            picture = for_window(self._shown.picture)
            self._window.show(draw_hud(picture, lines, keys if self._help else ()))

    def _status_text(self) -> str:
        states = [self.view.describe()]
        states += ["paused"] * self.paused + ["recording"] * (self._recording is not None)
        return f"{self.status()}\n{', '.join(states)} - h: keys"

    def _frame_status(self) -> str:
        name = self._shown.name if self._shown else None
        if name is None or name.frame is None:
            return Path(name.source).name if name else ""
        fps = self._rate.fps
        return f"frame {name.frame}" + (f", {fps:.1f} fps" if fps is not None else "")

    def _snapshot(self, shown: _Shown) -> None:
        """Save the picture, and the frame without drawings."""
        path = _free_path(f"{shown.name.stem}-snapshot", ".png")
        write_picture(path.with_suffix(".frame.png"), shown.prediction.image)
        write_picture(path, shown.picture)
        tqdm.write(f"saved {path}", file=sys.stderr)

    def _record(self, shown: _Shown, fps: float) -> None:
        """Start or end a recording."""
        if self._recording:
            self.close()
            return
        path = _free_path(f"{shown.name.stem}-recording", ".mp4")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._recording = VideoFile(path, fps)
        self._recording.write(shown.picture, shown.name.time)


def _free_path(stem: str, suffix: str) -> Path:
    """The path STEM-1SUFFIX, or with the first number that no file has."""
    number = 1
    while (path := Path(f"{stem}-{number}{suffix}")).exists():
        number += 1
    return path
