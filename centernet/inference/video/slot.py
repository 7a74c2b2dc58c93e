"""Hand items from one thread to another, and pause the receiving thread."""

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Slot(Generic[T]):
    """Holds the newest item; an item that was not taken before the next one is dropped.

    Attributes:
        dropped: number of items that were not taken.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._item: T | None = None
        self._closed = False
        self._changed = threading.Condition()

    def put(self, item: T) -> None:
        """Replace the item; a closed slot drops it."""
        with self._changed:
            if self._closed:
                self.dropped += 1
                return
            self._discard()
            self._item = item
            self._changed.notify_all()

    def take(self, timeout: float | None = None) -> T | None:
        """Wait for an item, and remove it.

        Args:
            timeout: seconds to wait; None waits until the slot is closed.

        Returns:
            None if there is none in time, or none left in a closed slot.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._closed, timeout)
            item, self._item = self._item, None
            return item

    def clear(self) -> None:
        """Drop the item."""
        with self._changed:
            self._discard()

    def close(self) -> None:
        """Accept no more items; the last one can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def finished(self) -> bool:
        """Whether it is closed and empty."""
        with self._changed:
            return self._closed and self._item is None

    def _discard(self) -> None:
        self.dropped += self._item is not None
        self._item = None


class Gate:
    """Lets a thread pass always, or once per permit."""

    def __init__(self) -> None:
        self._open, self._permits = True, 0
        self._changed = threading.Condition()

    def set_open(self, is_open: bool) -> None:
        """Open or close the gate."""
        with self._changed:
            self._open = is_open
            self._changed.notify_all()

    def permit(self) -> None:
        """Let the thread pass once through the closed gate."""
        with self._changed:
            self._permits += 1
            self._changed.notify_all()

    def wait(self) -> None:
        """Wait until the gate is open, or for a permit."""
        with self._changed:
            self._changed.wait_for(lambda: self._open or self._permits)
            if not self._open:
                self._permits -= 1
