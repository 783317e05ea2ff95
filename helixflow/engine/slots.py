"""A bounded number of slots, given out first come, first served."""

from __future__ import annotations

import asyncio
from collections import deque


class Slots:
    """Slots that requests take before they generate, and give back after.

    A request may take several at once (one per choice). Nobody overtakes: a request that needs
    many slots holds back those behind it until enough are free, so that it is never starved.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._free = total
        self._queue: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def taken(self) -> int:
        """Slots in use."""
        return self._total - self._free

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return len(self._queue)

    async def take(self, wanted: int = 1) -> int:
        """Wait for `wanted` slots (never more than there are) and return how many were taken."""
        wanted = min(wanted, self._total)
        if not self._queue and self._free >= wanted:
            self._free -= wanted
            return wanted
        turn = (wanted, asyncio.get_running_loop().create_future())
        self._queue.append(turn)
        try:
            await turn[1]
        except asyncio.CancelledError:
            if turn[1].cancelled():
                if turn in self._queue:
                    self._queue.remove(turn)
                self._serve()
            else:
                self.give(wanted)
            raise
        return wanted

    def give(self, taken: int) -> None:
        """Give back what `take` returned."""
        self._free += taken
        self._serve()

    def _serve(self) -> None:
        while self._queue and self._queue[0][0] <= self._free:
            wanted, turn = self._queue.popleft()
            if turn.cancelled():
                continue
            self._free -= wanted
            turn.set_result(None)
