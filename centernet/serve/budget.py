"""A bound on memory that requests share."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager


class Budget:
    """A number of units, such as bytes or pixels. Only the thread of the event loop uses it."""

    def __init__(self, most: int) -> None:
        """Start with ``most`` free units."""
        self._most = self._free = most
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def reserved(self, units: int) -> AsyncIterator[None]:
        """Wait until the units are free, in turn; they are in use until the context ends."""
        units = min(units, self._most)  # more than everything would wait forever
        if self._waiting or not self.take(units):
            await self._wait(units)
        try:
            yield
        finally:
            self.give_back(units)

    async def _wait(self, units: int) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((units, turn))
        try:
            await turn
        except asyncio.CancelledError:
            # Without units of its own, it only lets those behind it continue.
            self.give_back(units if turn.done() and not turn.cancelled() else 0)
            raise

    @contextmanager
    def lease(self) -> Iterator["Lease"]:
        """A share that grows without waiting; it is in use until the context ends."""
        lease = Lease(self)
        try:
            yield lease
        finally:
            self.give_back(lease.units)

    def take(self, units: int) -> bool:
        """Take units if they are free; return whether they were."""
        if units > self._free:
            return False
        self._free -= units
        return True

    def give_back(self, units: int) -> None:
        """Free units, and let those continue that wait for them."""
        self._free += units
        while self._waiting:
            wanted, turn = self._waiting[0]
            if not turn.done() and not self.take(wanted):
                return
            self._waiting.popleft()
            if not turn.done():  # else it was canceled
                turn.set_result(None)


class Lease:
    """A growing share of a budget.

    Attributes:
        units: the units in use.
    """

    def __init__(self, budget: Budget) -> None:
        """Start with no units; :meth:`.Budget.lease` creates it."""
        self._budget, self.units = budget, 0

    def grow(self, units: int) -> bool:
        """Use further units; return whether they were free."""
        if not self._budget.take(units):
            return False
        self.units += units
        return True
