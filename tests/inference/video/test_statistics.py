import pytest

from centernet.inference.video.statistics import FrameRate, LiveStatistics


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_nothing_was_captured():
    statistics = LiveStatistics(Clock())
    assert statistics.latency(0.5) == 0 and "0 frames captured" in statistics.text()
    assert statistics.status(0) == "latency 0 ms, 0 dropped"


def test_the_frame_rate_is_that_of_the_last_two_seconds():
    clock = Clock()
    rate = FrameRate(clock)
    rate.add()
    assert rate.fps is None
    for _ in range(4):
        clock.now += 1.0
        rate.add()
    assert rate.fps == 1
    for _ in range(20):
        clock.now += 0.1
        rate.add()
    assert rate.fps == pytest.approx(10)


def test_latency_and_dropped_frames():
    clock = Clock()
    statistics = LiveStatistics(clock)
    statistics.captured, statistics.predicted = 20, 12
    for milliseconds in (10, 20, 30, 40, 50, 60, 70, 80, 90, 1000):
        clock.now += 0.5
        statistics.add_shown(clock.now - milliseconds / 1000)
    assert statistics.latency(0.5) == 50 and statistics.latency(0.95) == 1000
    statistics.add_shown(None)  # after a pause
    assert statistics.latency(1.0) == 1000 and "2.2 fps" in statistics.text()
    text = statistics.text()
    assert "20 frames captured, 11 shown" in text and "9 frames (45 %)" in text
    assert "8 before the network and 1 after it" in text and "median 50 ms" in text
    assert statistics.status(9).endswith("latency 1000 ms, 9 dropped")
