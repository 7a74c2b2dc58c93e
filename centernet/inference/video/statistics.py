"""Frame rate, latency and dropped frames of a live run."""

import time
from collections import Counter, deque
from collections.abc import Callable

# The frame rate on screen is the mean over this number of seconds.
_WINDOW = 2.0


class FrameRate:
    """Frames per second of the last two seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Measure with a clock in seconds."""
        self._clock = clock
        self._times: deque[float] = deque()

    def add(self) -> None:
        """Count a frame now."""
        now = self._clock()
        self._times.append(now)
        while now - self._times[0] > _WINDOW:
            self._times.popleft()

    @property
    def fps(self) -> float | None:
        """None before the second frame."""
        if len(self._times) < 2:
            return None
        return (len(self._times) - 1) / max(self._times[-1] - self._times[0], 1e-6)


class LiveStatistics:
    """Counts the frames of a live run, and measures their latency.

    The latency of a frame is the time from its capture until its picture is shown and written.

    Attributes:
        captured: number of frames read from the camera.
        predicted: number of frames that the network processed.
        shown: number of predictions that were shown or written.
        rate: the current frame rate of the output.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Measure with a clock in seconds."""
        self.captured = self.predicted = self.shown = 0
        self.rate = FrameRate(clock)
        self._clock, self._first, self._last = clock, 0.0, 0.0
        # Milliseconds, so that a run of any length needs little memory.
        self._latencies: Counter[int] = Counter()
        self._latest = 0

    def add_shown(self, captured: float | None) -> None:
        """Count a picture that was shown.

        Args:
            captured: when its frame was captured; None if it waited in a pause.
        """
        self._last = self._clock()
        self._first = self._first if self.shown else self._last
        self.shown += 1
        self.rate.add()
        if captured is not None:
            self._latest = round(1000 * (self._last - captured))
            self._latencies[self._latest] += 1

    def latency(self, fraction: float) -> int:
        """A quantile of the latency in milliseconds, 0 without frames."""
        rank, total = fraction * sum(self._latencies.values()), 0
        for milliseconds, count in sorted(self._latencies.items()):
            total += count
            if total >= rank:
                return milliseconds
        return 0

    def status(self, dropped: int) -> str:
        """The current values in one line."""
        fps = self.rate.fps
        rate = "" if fps is None else f"{fps:.1f} fps, "
        return f"{rate}latency {self._latest} ms, {dropped} dropped"

    def text(self) -> str:
        """The summary of a run that has ended, in three lines."""
        dropped = self.captured - self.shown
        share = 100 * dropped / max(1, self.captured)
        seconds = self._last - self._first
        rate = f" ({(self.shown - 1) / seconds:.1f} fps)" if seconds > 0 else ""
        return (
            f"live: {self.captured} frames captured, {self.shown} shown{rate}\n"
            f"dropped: {dropped} frames ({share:.0f} %), {self.captured - self.predicted} before "
            f"the network and {self.predicted - self.shown} after it\n"
            f"latency from capture to picture: median {self.latency(0.5)} ms, "
            f"95th percentile {self.latency(0.95)} ms"
        )
