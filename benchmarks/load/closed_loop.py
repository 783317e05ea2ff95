"""Closed loop: answers drive requests."""

from __future__ import annotations

import time

from benchmarks.load.connection import Connection
from benchmarks.load.loop import Loop
from benchmarks.load.plan import Closed, Plan


class ClosedLoop(Loop):
    """Every connection sends again as soon as it was answered."""

    def __init__(self, plan: Plan, pace: Closed) -> None:
        super().__init__(plan)
        self._pace = pace
        self._left = pace.connections * pace.requests_each
        self._until = 0.0
        self._busy = pace.connections

    async def open(self) -> None:
        for _ in range(self._pace.connections):
            await self._connect()

    def begin(self, begin: float) -> None:
        self._until = begin + self._pace.duration_s
        for connection in list(self._connections):
            self.free(connection, time.monotonic())

    def free(self, connection: Connection, now: float) -> None:
        more = self._left > 0 if self._pace.requests_each else now < self._until
        if more:
            self._left -= 1
            connection.start(self._exchange(now), now)
            return
        self._connections.discard(connection)
        connection.close()
        self._busy -= 1
        if self._busy <= 0:
            self._over.set()
