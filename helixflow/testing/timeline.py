"""Time that passes only when everybody sleeps: paced work in no time, the same at every run."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count

from helixflow.testing.clock import ManualClock

_TURNS = 6


class Timeline(ManualClock):
    """A clock, and the `sleep` that belongs to it.

    engine = EchoEngine(spec, clock=timeline, sleep=timeline.sleep)
    while await timeline.step():
        ...
    """

    def __init__(self) -> None:
        super().__init__(monotonic=0.0)
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = count()

    async def sleep(self, seconds: float) -> None:
        """Wait until so many seconds have passed on this clock."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.monotonic() + seconds, next(self._numbers), turn))
        await turn

    async def step(self) -> bool:
        """Let time pass until the next one wakes, and wake all whose time has come; False where
        nobody sleeps."""
        await settle()
        while self._sleepers and self._sleepers[0][2].cancelled():
            heapq.heappop(self._sleepers)
        if not self._sleepers:
            return False
        self.advance(max(0.0, self._sleepers[0][0] - self.monotonic()))
        while self._sleepers and self._sleepers[0][0] <= self.monotonic():
            turn = heapq.heappop(self._sleepers)[2]
            if not turn.done():
                turn.set_result(None)
        await settle()
        return True


async def settle() -> None:
    """Let every task go on until it waits."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)
