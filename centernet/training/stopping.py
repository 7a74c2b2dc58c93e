"""Stop a run with SIGINT (Ctrl-C) or SIGTERM: a message and the usual exit status."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

_STOPPING = b"\nstopping after this step; Ctrl-C again stops at once\n"


class Stopped(SystemExit):
    """A signal stopped the process. The exit status is 128 plus its number: 130 or 143.

    Attributes:
        signal: the signal.
        outcome: message for the user: what is saved, and how to resume.
        is_saved: whether ``last.ckpt`` is saved.
        is_printed: whether the message is printed, or another process prints it.
    """

    def __init__(self, number: int) -> None:
        """Stop because of the signal with that number."""
        super().__init__(128 + number)
        self.signal = signal.Signals(number)
        self.outcome, self.is_saved, self.is_printed = "nothing was written", False, False

    def print_once(self) -> None:
        """Print the signal and the outcome on stderr, unless this was done already."""
        if not self.is_printed:
            print(f"stopped by {self.signal.name}: {self.outcome}", file=sys.stderr, flush=True)
        self.is_printed = True


class StopSignals:
    """A context in which SIGINT and SIGTERM raise :class:`Stopped`.

    Outside of the main thread, where Python allows no signal handlers, it does nothing.

    Attributes:
        deferred: whether the first signal is only recorded, so that the current step can finish; a
            second SIGINT raises at once.
        requested: number of the first signal, or 0. Python drops exceptions of handlers within some
            callbacks, as during a fork, and some libraries during their import; :meth:`check`
            raises them later.
    """

    def __init__(self) -> None:
        """Create a context; the handlers are set when it is entered."""
        self.deferred, self.requested = False, 0
        self._earlier: dict[int, Any] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._earlier[number] = signal.signal(number, self._handle)
        return self

    def check(self) -> None:
        """Raise :class:`Stopped` if a signal was received and its exception was dropped."""
        if self.requested:
            raise Stopped(self.requested)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        is_second = bool(self.requested)
        self.requested = self.requested or number
        if not self.deferred or (is_second and number == signal.SIGINT):
            raise Stopped(number)
        if not is_second:
            os.write(2, _STOPPING)  # print is not allowed in a signal handler


def ignore_stop_signals(worker: int = 0) -> None:
    """Ignore the signals in a worker process, because the main process handles them."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def stop_with_message() -> Iterator[StopSignals]:
    """Let signals raise :class:`Stopped`, and print its message.

    The outermost context of a command, for the time outside of a training run: imports, and between
    the runs of a cross-validation.
    """
    try:
        with StopSignals() as signals:
            yield signals
    except Stopped as stopped:
        stopped.print_once()
        raise
