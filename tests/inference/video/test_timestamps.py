import itertools
from fractions import Fraction

import pytest

from centernet.inference.video.timestamps import FrameTimes


@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        (25.0, Fraction(25)),
        (12.5, Fraction(25, 2)),
        (29.97002997, Fraction(30000, 1001)),
        (23.976023976, Fraction(24000, 1001)),
        (0.01, Fraction(1, 100)),
        (240.0, Fraction(240)),
    ],
)
def test_a_constant_frame_rate_is_exact(fps, rate):
    times = FrameTimes(fps)
    assert times.rate == rate
    ticks = [times.ticks(None) for _ in range(100)]
    assert [tick * times.time_base for tick in ticks] == [i / rate for i in range(100)]


def test_times_in_milliseconds_become_constant_again():
    times = FrameTimes(30000 / 1001)
    ticks = [times.ticks(round(i * 1.001 / 30, 3)) for i in range(3000)]
    assert {later - tick for tick, later in itertools.pairwise(ticks)} == {times.step}


def test_variable_times_are_kept():
    times = FrameTimes(30)
    given = [7.0, 7.05, 7.3, 7.31, 9.0]
    ticks = [times.ticks(time) for time in given]
    assert ticks == [0, 4500, 27000, 27900, 180000] and times.time_base == Fraction(1, 90000)


def test_times_always_grow():
    times = FrameTimes(30)
    assert [times.ticks(time) for time in (1.0, 0.5, 0.5, None)] == [0, 1, 2, 3002]
