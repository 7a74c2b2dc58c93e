"""Ctrl-C and a scheduler's SIGTERM: stop with a message and the usual exit status."""

import signal
from types import FrameType, TracebackType
from typing import Any


class Stopped(SystemExit):
    """The process was told to stop. It exits with 128 plus the signal's number: 130 or 143.

    Attributes:
        signal: which signal.
        outcome: what is kept and how to resume, for the user.
    """

    def __init__(self, number: int) -> None:
        """Stop because of the signal of that number."""
        super().__init__(128 + number)
        self.signal = signal.Signals(number)
        self.outcome = "nothing was written"


class StopSignals:
    """A context in which SIGINT and SIGTERM raise :class:`Stopped`.

    Attributes:
        deferred: whether the first signal is only noted, so that the current step can be finished;
            a second SIGINT raises at once.
        requested: the number of the signal that was noted, or 0.
    """

    def __init__(self) -> None:
        """Handle nothing yet."""
        self.deferred, self.requested = False, 0
        self._earlier: dict[int, Any] = {}

    def __enter__(self) -> "StopSignals":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._earlier[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self.deferred or (self.requested and number == signal.SIGINT):
            raise Stopped(number)
        self.requested = self.requested or number


def ignore_stop_signals(worker: int = 0) -> None:
    """Leave stopping to the parent process, in a worker that gets the terminal's signals too."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
