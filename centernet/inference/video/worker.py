"""Threads of live runs."""

import threading
from collections.abc import Callable


class Worker(threading.Thread):
    """A thread that keeps the exception that ends it.

    Attributes:
        error: the exception, if any.
    """

    def __init__(self, name: str, work: Callable[[], None], finish: Callable[[], None]) -> None:
        """Run ``work``, then ``finish`` in any case."""
        super().__init__(name=f"centernet-{name}", daemon=True)
        self.error: BaseException | None = None
        self._work, self._finish = work, finish

    def run(self) -> None:
        """Do the work."""
        try:
            self._work()
        except BaseException as error:  # Ctrl-C, too: the main thread raises it again
            self.error = error
        finally:
            self._finish()
