"""The loop of ``detect`` for cameras: capture, network and output run at the same time."""

import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from centernet.inference.inputs import Video
from centernet.inference.output_paths import ResultName
from centernet.inference.pictures import Picture, PictureSource
from centernet.inference.prediction import Prediction
from centernet.inference.run import DetectRun
from centernet.inference.video.slot import Gate, Slot
from centernet.inference.video.statistics import LiveStatistics
from centernet.inference.video.viewer import Viewer
from centernet.inference.video.worker import Worker

# Seconds that the end of a run waits for the threads. A capture that hangs cannot be interrupted;
# it is left behind, and does not keep the program alive.
_CAPTURE_PATIENCE, _NETWORK_PATIENCE = 2.0, 10.0
# Seconds to wait for a prediction before the keys are read, and without a window.
_KEY_WAIT, _WAIT = 0.01, 0.2
_PAUSED_WAIT = 30  # milliseconds
# The values on screen change after this number of seconds.
_STATUS_SECONDS = 0.3


@dataclass(frozen=True)
class _Captured:
    """A frame, and the time of its capture by the clock of the run."""

    picture: Picture
    time: float


@dataclass(frozen=True)
class _Predicted:
    """A prediction, its name, and the time of the capture of its frame."""

    prediction: Prediction
    name: ResultName
    time: float


class LiveRun(DetectRun):
    """Processes the newest frame of a camera, and drops the frames that arrive meanwhile.

    A thread reads the camera and keeps the newest frame, another one runs the network and the
    steps and writes the outputs that do not draw, and the main thread draws and answers the keys.
    A video file stands in for a camera: its frames arrive at their times.
    """

    def __init__(
        self,
        *arguments: Any,
        viewer: Viewer | None = None,
        clock: Callable[[], float] = time.monotonic,
        **options: Any,
    ) -> None:
        """Prepare a run.

        Args:
            *arguments: as for :class:`.DetectRun`.
            viewer: the preview window among the outputs, if any.
            clock: time in seconds.
            **options: as for :class:`.DetectRun`.
        """
        super().__init__(*arguments, **options)
        self._viewer, self._clock = viewer, clock
        self.statistics = LiveStatistics(clock)
        self._frames: Slot[_Captured] = Slot()
        self._predictions: Slot[_Predicted] = Slot()
        self._gate = Gate()
        self._video: Video | None = None
        self._resumed, self._status_time, self._status_text = clock(), -math.inf, ""
        if viewer:
            viewer.status = self._status

    def remarks(self) -> list[str]:
        """The frame rate, dropped frames and latency."""
        return self.statistics.text().splitlines()

    def _loop(self, source: PictureSource) -> None:
        video = source.video
        assert video is not None  # live runs have one
        self._video = video
        workers = [
            Worker("capture", lambda: self._capture(source, video), self._frames.close),
            Worker("network", self._predict_frames, self._predictions.close),
        ]
        try:
            for worker in workers:
                worker.start()
            with tqdm(unit="frame") as progress:
                self._write_predictions(progress)
        finally:
            self._stop(video, workers)
        for worker in workers:
            if worker.error:
                raise worker.error

    def _stop(self, video: Video, workers: list[Worker]) -> None:
        """End the threads, and wait for them for a bounded time."""
        video.stop()
        self._frames.close()
        self._frames.clear()
        self._gate.set_open(True)
        self._predictions.close()
        for worker, patience in zip(workers, (_CAPTURE_PATIENCE, _NETWORK_PATIENCE), strict=True):
            if worker.ident is None:
                continue
            try:
                worker.join(patience)
            except KeyboardInterrupt:  # pressed again: the end is near, and files are finished
                worker.join(patience)

    def _capture(self, source: PictureSource, video: Video) -> None:
        """Read frames, and keep the newest; runs in a thread."""
        begin = None
        with closing(source.pictures):
            for picture in source.pictures:
                if not video.live:
                    seconds = picture.name.time or 0.0
                    begin = self._clock() - seconds if begin is None else begin
                    early = begin + seconds - self._clock()
                    if early > 0:
                        video.wait(early)
                self.statistics.captured += 1
                self._frames.put(_Captured(picture, self._clock()))

    def _predict_frames(self) -> None:
        """Predict the newest frame, again and again; runs in a thread."""
        while not self._frames.finished:
            self._gate.wait()
            frame = self._frames.take()
            if frame is None:
                continue
            for prediction, name in self._predict([frame.picture], fatal=True):
                changed = self._change(prediction, name)
                self.statistics.predicted += 1
                for output in self.outputs:
                    if not output.draws:
                        output.write(changed, name)
                self._predictions.put(_Predicted(changed, name, frame.time))

    def _write_predictions(self, progress: tqdm) -> None:
        """Write the newest prediction, again and again, and answer the keys."""
        viewer, was_paused, stepping = self._viewer, False, False
        while not self._predictions.finished:
            paused = viewer is not None and viewer.paused
            if was_paused and not paused:
                self._predictions.clear()
                self._resumed = self._clock()
            was_paused = paused
            self._gate.set_open(not paused)
            if viewer and paused and not stepping and viewer.take_step():
                self._predictions.clear()
                self._gate.permit()
                stepping = True
            waits = not paused or stepping
            newest = self._predictions.take(_KEY_WAIT if viewer else _WAIT) if waits else None
            if newest:
                self._write_newest(newest, is_fresh=not stepping)
                stepping = False
                progress.set_postfix_str(self._status(), refresh=False)
                progress.update()
            if viewer:
                viewer.poll(_PAUSED_WAIT if paused else 1)

    def _write_newest(self, newest: _Predicted, *, is_fresh: bool) -> None:
        """Draw a prediction; only that of a fresh frame has a latency."""
        for output in self.outputs:
            if output is self._viewer:
                self._viewer.show(newest.prediction, newest.name)
            elif output.draws:
                output.write(newest.prediction, newest.name)
        is_fresh = is_fresh and newest.time >= self._resumed
        self.statistics.add_shown(newest.time if is_fresh else None)

    def _status(self) -> str:
        """The current values, which change slowly enough to be read."""
        now = self._clock()
        if now - self._status_time >= _STATUS_SECONDS:
            dropped = self._frames.dropped + self._predictions.dropped
            self._status_text, self._status_time = self.statistics.status(dropped), now
        if self._video and self._video.reconnecting:
            return f"reconnecting to {self._video.name}"
        return self._status_text
