"""Open loop: a schedule drives requests, whatever the answers do."""

from __future__ import annotations

import asyncio
import time
from collections import deque

from benchmarks.load.arrivals import schedule
from benchmarks.load.connection import Connection
from benchmarks.load.loop import Loop
from benchmarks.load.plan import Open, Plan


class OpenLoop(Loop):
    """Requests leave when they are due; latency counts from then.

    A connection is opened when none is free, up to the plan's bound; beyond it requests wait.
    """

    def __init__(self, plan: Plan, pace: Open) -> None:
        super().__init__(plan)
        self._pace = pace
        self._due = schedule(pace)
        self._waiting: deque[float] = deque()
        self._idle: list[Connection] = []
        self._opening = 0
        self._done = False

    async def open(self) -> None:
        for _ in range(min(16, self._pace.connections_max)):
            self._idle.append(await self._connect())

    def begin(self, begin: float) -> None:
        loop = asyncio.get_running_loop()
        loop.run_in_executor(None, self._ring, loop, begin)

    def free(self, connection: Connection, now: float) -> None:
        if self._waiting:
            connection.start(self._exchange(self._waiting.popleft()), now)
            return
        self._idle.append(connection)
        self._end_if_done()

    def broken(self, connection: Connection, error: str) -> None:
        if connection in self._idle:
            self._idle.remove(connection)
        super().broken(connection, error)

    def _ring(self, loop: asyncio.AbstractEventLoop, begin: float) -> None:
        """Runs in a thread: an event loop's own timers are a millisecond coarse."""
        for offset in self._due:
            time.sleep(max(0.0, begin + offset - time.monotonic()))
            if self._over.is_set():
                return
            loop.call_soon_threadsafe(self._leave, begin + offset)
        loop.call_soon_threadsafe(self._last_left)

    def _leave(self, due: float) -> None:
        now = time.monotonic()
        if self._idle:
            self._recorder.outcome.late_ms.append((now - due) * 1e3)
            self._idle.pop().start(self._exchange(due), now)
            return
        self._waiting.append(due)
        if len(self._connections) + self._opening < self._pace.connections_max:
            self._opening += 1
            self._spawn(self._one_more())

    def _last_left(self) -> None:
        self._done = True
        self._end_if_done()

    async def _one_more(self) -> None:
        try:
            connection = await self._connect()
        except OSError:
            self._refused()
            return
        finally:
            self._opening -= 1
        self.free(connection, time.monotonic())

    def _end_if_done(self) -> None:
        if self._done and not self._waiting and all(c.exchange is None for c in self._connections):
            self._over.set()
