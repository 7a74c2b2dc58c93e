import threading
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from fakes import Capture, picture, spot_detector

from centernet.errors import InputError
from centernet.inference.inputs import Video
from centernet.inference.output_base import Output, Step
from centernet.inference.output_paths import ResultName
from centernet.inference.pictures import Picture, PictureSource
from centernet.inference.prediction import Prediction
from centernet.inference.run_summary import RunSummary
from centernet.inference.video import live
from centernet.inference.video.live import LiveRun
from centernet.inference.video.view import View
from centernet.inference.video.viewer import Viewer

FRAME = picture(("red", 40, 64))
THRESHOLDS = np.full(3, 0.5)
NAME = ResultName("0", Path("camera-0.mp4"), Path("camera-0"))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Written(Output):
    """Keeps the frame numbers; ``after`` is called with each."""

    draws = True

    def __init__(self, after=lambda number: None) -> None:
        self.frames, self.after = [], after

    def write(self, prediction, name) -> None:
        self.frames.append(name.frame)
        self.after(name.frame)


class Doing(Step):
    """Calls a function with the number of each frame."""

    def __init__(self, do) -> None:
        self.do = do

    def __call__(self, prediction, name):
        self.do(name.frame)
        return prediction


class Reading(Capture):
    """A camera that calls a function before each frame, which may be None at the end."""

    def __init__(self, read, **options) -> None:
        super().__init__(**options)
        self.before = read
        self.count = 0

    def read(self):
        frame = self.before(self.count)
        self.count += 1
        return frame is not None, frame


def source_of(video: Video) -> PictureSource:
    def pictures():
        for number, frame in enumerate(video):
            name = replace(NAME, frame=number, time=video.time)
            yield Picture(name, lambda frame=frame: frame)

    return PictureSource(video.name, pictures(), None, video, NAME.stem)


def camera(*captures: Capture, **options) -> Video:
    left = list(captures)
    return Video(
        "0",
        open_capture=lambda _: left.pop(0) if left else Capture(opened=False),
        **{"wait": lambda _: None} | options,
    )


def make_run(*outputs, steps=(), **options) -> LiveRun:
    summary = RunSummary(100)
    outputs = [summary, *outputs]
    return LiveRun(spot_detector(), outputs, summary, thresholds=THRESHOLDS, steps=steps, **options)


def alive() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("centernet-")]


@pytest.fixture(autouse=True)
def no_thread_survives():
    yield
    assert alive() == []


def test_the_network_gets_the_newest_frame_and_latency_stays_at_one_frame():
    """A camera with a frame each 50 ms, and a network that takes 200 ms."""
    clock, taken, captured = Clock(), threading.Event(), threading.Event()
    shown = threading.Semaphore(1)

    def read(number):
        if number:
            assert taken.wait(5)  # the network is busy with the first frame
            clock.now += 0.05
        if number == 4:
            clock.now -= 0.05
            captured.set()
            return None
        return FRAME

    def predict(number):
        assert shown.acquire(timeout=5)
        taken.set()
        assert captured.wait(5)
        clock.now = {0: 0.2, 3: 0.4}[number]

    written = Written(lambda _: shown.release())
    run = make_run(written, steps=[Doing(predict)], clock=clock)
    assert run(source_of(camera(Reading(read)))) == 0
    assert written.frames == [0, 3]
    statistics = run.statistics
    assert (statistics.captured, statistics.predicted, statistics.shown) == (4, 2, 2)
    assert (statistics.latency(0.5), statistics.latency(1.0)) == (200, 250)
    assert "2 frames (50 %), 2 before the network and 0 after it" in "\n".join(run.remarks())


def test_a_slow_output_drops_predictions():
    drawing, predicted = threading.Event(), threading.Semaphore(1)

    def read(number):
        if number == 4:
            drawing.set()
            return None
        assert predicted.acquire(timeout=5)
        return FRAME

    def draw(number):
        assert drawing.wait(5)

    run = make_run(written := Written(draw), steps=[Doing(lambda _: predicted.release())])
    assert run(source_of(camera(Reading(read)))) == 0
    statistics = run.statistics
    assert statistics.captured == statistics.predicted == 4
    assert written.frames[-1] == 3 and statistics.shown == len(written.frames) < 4
    assert f"{4 - statistics.shown} after it" in statistics.text()


@pytest.mark.parametrize("error", [InputError("wrong"), ZeroDivisionError(), KeyboardInterrupt()])
@pytest.mark.parametrize("place", ["capture", "network", "output"])
def test_an_error_in_any_thread_ends_the_run(place, error, capsys):
    def fail(number):
        if number == 1:
            raise error

    def read(number):
        time.sleep(0.001)
        if place == "capture":
            fail(number)
        return FRAME

    run = make_run(
        Written(lambda _: fail(1) if place == "output" else None),
        steps=[Doing(lambda _: fail(1) if place == "network" else None)],
    )
    source = source_of(camera(Reading(read)))
    if isinstance(error, KeyboardInterrupt):
        assert run(source) == 130 and "stopped" in capsys.readouterr().out
    else:
        with pytest.raises(type(error)):
            run(source)


class Keys:
    """A window; each key is pressed once so many predictions were shown, and nothing moved."""

    def __init__(self, *script: tuple[int, str]) -> None:
        self.script, self.idle, self.counts = list(script), 0, []
        self.written, self.shown = Written(), []
        self.viewer: Viewer | None = None

    def show(self, picture) -> None:
        self.shown.append(picture)

    def read_key(self, milliseconds) -> str:
        time.sleep(0.001)
        number, key = self.script[0]
        ready = len(self.written.frames) >= number
        self.idle = self.idle + 1 if ready else 0
        if self.idle < 20:
            return ""
        self.idle = 0
        self.script.pop(0)
        self.counts.append(len(self.written.frames))
        return key


def show(keys: Keys, video: Video, **options) -> LiveRun:
    view = View(THRESHOLDS, ("red", "blue", "white"), True)
    viewer = Viewer(Prediction.draw, view, fps=25.0, window=keys)
    keys.viewer = viewer
    run = make_run(keys.written, viewer, viewer=viewer, heatmaps=True, candidates=True, **options)
    assert run(source_of(video)) == 0
    return run


def endless(number):
    time.sleep(0.001)
    return FRAME


def test_pause_and_step():
    keys = Keys((3, " "), (1, ""), (1, "s"), (1, ""), (1, "."), (1, ""), (1, " "), (12, "q"))
    run = show(keys, camera(Reading(endless)))
    first, still, before, stepped, again, twice, resumed, last = keys.counts
    assert 3 <= first == still == before < stepped == again < twice == resumed < last
    assert stepped == first + 1 and twice == first + 2
    assert keys.written.frames == sorted(keys.written.frames)
    assert run.statistics.shown == last


def test_the_network_rests_in_a_pause():
    keys = Keys((1, " "), (1, ""), (1, "count"), (1, ""), (1, "q"))
    press, predicted = keys.read_key, []

    def read_key(milliseconds):
        key = press(milliseconds)
        if key == "count":
            predicted.append(len(seen))
        return key if key != "count" else ""

    seen = []
    keys.read_key = read_key
    show(keys, camera(Reading(endless)), steps=[Doing(seen.append)])
    assert predicted == [len(seen)]


def test_the_latency_of_a_pause_does_not_count():
    clock = Clock()
    keys = Keys((1, " "), (1, "later"), (1, "s"), (2, " "), (4, "q"))
    press = keys.read_key

    def read_key(milliseconds):
        key = press(milliseconds)
        if key == "later":
            clock.now += 100
        return key if key != "later" else ""

    keys.read_key = read_key
    run = show(keys, camera(Reading(endless)), clock=clock)
    assert run.statistics.shown >= 4 and run.statistics.latency(1.0) < 1000


def test_settings_apply_while_paused():
    keys = Keys((1, " "), (1, "m"), (1, "-"), (1, "q"))
    show(keys, camera(Reading(endless)))
    assert len(keys.shown) >= 4 and (keys.shown[-1] != keys.shown[0]).any()


def test_q_ends_although_the_camera_hangs(monkeypatch):
    monkeypatch.setattr(live, "_CAPTURE_PATIENCE", 0.05)
    hanging = threading.Event()

    def read(number):
        if number:
            hanging.wait(10)
            return None
        return FRAME

    start = time.monotonic()
    show(Keys((1, "q")), camera(Reading(read)))
    assert time.monotonic() - start < 5 and alive() == ["centernet-capture"]
    hanging.set()
    next(t for t in threading.enumerate() if t.name == "centernet-capture").join(5)


def test_the_window_answers_while_the_camera_reconnects():
    lost, back = threading.Event(), Reading(endless)

    def wait(seconds):
        lost.wait(5)

    keys = Keys((1, "m"), (1, "1"), (1, "back"), (3, "q"))
    press = keys.read_key

    def read_key(milliseconds):
        key = press(milliseconds)
        if key == "back":
            texts.append(keys.viewer.status())
            lost.set()
            return ""
        return key

    texts = []
    keys.read_key = read_key
    run = show(keys, camera(Capture(FRAME), back, wait=wait))
    assert texts == ["reconnecting to 0"] and keys.counts[2] == 1
    assert run.statistics.shown >= 3


def test_the_frames_of_a_file_come_at_their_times():
    clock, waits, turn = Clock(), [], threading.Semaphore(1)

    def wait(seconds):
        waits.append(round(seconds, 3))
        clock.now += seconds

    class Clip(Capture):
        def get(self, name):
            if name == cv2.CAP_PROP_POS_MSEC:
                return times.pop(0)
            return super().get(name)

    times = [0, 40, 200, 1000]
    clip = Clip(*[FRAME] * 4, count=4)
    clip.turn = turn
    video = Video("clip.mp4", open_capture=lambda _: clip, wait=wait, clock=clock)
    written = Written(lambda _: turn.release())
    run = make_run(written, clock=clock)
    assert run(source_of(video)) == 0
    assert written.frames == [0, 1, 2, 3] and waits == [0.04, 0.16, 0.8]
    assert not video.truncated and run.statistics.latency(1.0) == 0
