"""Presentation times of the frames of a written video."""

from fractions import Fraction

# Ticks per second, at least.
_MIN_TICKS = 90_000
# Seconds; containers such as Matroska round times to milliseconds.
_ROUNDING = 1e-3


class FrameTimes:
    """Converts times of frames to ticks of a video.

    Times that are constant intervals except for rounding become exactly constant; other times are
    kept, which makes a video of variable frame rate.

    Attributes:
        rate: nominal frames per second.
        time_base: seconds per tick.
        step: ticks between frames at the nominal rate.
    """

    def __init__(self, fps: float) -> None:
        """Use a nominal frame rate."""
        self.rate = Fraction(fps).limit_denominator(1001)
        factor = -(-_MIN_TICKS // self.rate.numerator)
        self.time_base = Fraction(1, self.rate.numerator * factor)
        self.step = self.rate.denominator * factor
        self._start: float | None = None
        self._last: int | None = None

    def ticks(self, time: float | None) -> int:
        """The tick of the next frame, counted from the first frame.

        Args:
            time: time of the frame in seconds; None for one nominal interval after the last frame.
        """
        expected = 0 if self._last is None else self._last + self.step
        ticks = expected
        if time is not None:
            if self._start is None:
                self._start = time - float(expected * self.time_base)
            ticks = round((time - self._start) / self.time_base)
            if abs(ticks - expected) * self.time_base <= _ROUNDING:
                ticks = expected
            if self._last is not None:
                ticks = max(ticks, self._last + 1)
        self._last = ticks
        return ticks
