"""What every way to pace a load shares: connections, exchanges and the end.

Failure behavior: a connection that breaks is opened again; while a system refuses connections the
loop tries a bounded number of times a second, and gives up after many refusals in a row: a dead
system gives errors, not a spin and not a hang.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from itertools import cycle
from typing import Any

from benchmarks.load.answers import PlainAnswer, StreamAnswer
from benchmarks.load.connection import Connection
from benchmarks.load.http1 import encode
from benchmarks.load.outcome import Outcome
from benchmarks.load.plan import Plan
from benchmarks.load.recorder import Exchange, Recorder

_RETRY_S = 0.05
_SWEEP_S = 1.0
_REFUSALS_MAX = 200


class Loop:
    """Implements `Owner`; `ClosedLoop` and `OpenLoop` say when requests leave."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._requests = cycle(
            [(encode(target, body.encode()), right) for target, body, right in plan.requests()]
        )
        self._kind = StreamAnswer if plan.expected.streamed else PlainAnswer
        self._connections: set[Connection] = set()
        self._recorder = Recorder(0.0)
        self._over = asyncio.Event()
        self._refusals = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Open the first connections."""
        raise NotImplementedError

    def begin(self, begin: float) -> None:
        """Send the first requests."""
        raise NotImplementedError

    def free(self, connection: Connection, now: float) -> None:
        """A connection can take a request."""
        raise NotImplementedError

    async def run(self, begin: float) -> Outcome:
        """Drive the load from `begin` (monotonic seconds) to its end."""
        self._recorder = Recorder(begin)
        await asyncio.sleep(max(0.0, begin - time.monotonic()))
        self._spawn(self._sweep())
        self.begin(begin)
        await self._over.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in self._connections:
            connection.close()
        return self._recorder.outcome

    def finished(self, connection: Connection, exchange: Exchange, now: float) -> None:
        """See `Owner.finished`."""
        error = self._recorder.answered(exchange, now)
        if not exchange.response.keep_alive:
            return  # the connection reports itself broken next
        if error:
            self._spawn(self._rest(connection))
        else:
            self.free(connection, now)

    def broken(self, connection: Connection, error: str) -> None:
        """See `Owner.broken`."""
        self._connections.discard(connection)
        if error:
            self._recorder.failed(error)
        else:
            self._recorder.outcome.reconnects += 1
        if not self._over.is_set():
            self._spawn(self._replace())

    async def _connect(self) -> Connection:
        target = self._plan.target
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(self), target.host, target.port
        )
        self._connections.add(connection)
        return connection

    async def _replace(self) -> None:
        await asyncio.sleep(_RETRY_S)
        try:
            connection = await self._connect()
        except OSError:
            self._refused()
            return
        self._refusals = 0
        self.free(connection, time.monotonic())

    def _refused(self) -> None:
        """No connection was to be had: try again, but not forever."""
        self._recorder.failed("connect")
        self._refusals += 1
        if self._refusals > _REFUSALS_MAX:
            self._over.set()
        else:
            self._spawn(self._replace())

    async def _rest(self, connection: Connection) -> None:
        """A wrong answer costs its connection a pause."""
        await asyncio.sleep(_RETRY_S)
        if connection in self._connections and connection.exchange is None:
            self.free(connection, time.monotonic())

    async def _sweep(self) -> None:
        """End exchanges that take too long."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            limit = time.monotonic() - self._plan.timeout_s
            for connection in list(self._connections):
                if connection.exchange is not None and connection.exchange.sent < limit:
                    connection.abandon("timeout")

    def _exchange(self, due: float) -> Exchange:
        request, expected = next(self._requests)
        return Exchange(request, self._kind(expected), due)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
