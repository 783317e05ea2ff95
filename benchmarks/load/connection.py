"""One kept-alive connection: sends a request, reads its answer, says that it is free again.

Failure behavior: whatever breaks the connection ends its exchange with an error of one word; the
owner decides what comes next. Nothing is retried in silence.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol, cast

from benchmarks.load.http1 import BadResponse
from benchmarks.load.recorder import Exchange


class Owner(Protocol):
    """What a connection reports to."""

    def finished(self, connection: Connection, exchange: Exchange, now: float) -> None:
        """A whole answer has come; the connection is free."""
        ...

    def broken(self, connection: Connection, error: str) -> None:
        """The connection is gone; `error` is `""` where no request was under way."""
        ...


class Connection(asyncio.Protocol):
    """A socket. `exchange` is what it is busy with."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._over = False
        self.exchange: Exchange | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def start(self, exchange: Exchange, now: float) -> None:
        """Send a request. The connection must be free."""
        exchange.sent = now
        self.exchange = exchange
        assert self._transport is not None
        self._transport.write(exchange.request)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        exchange = self.exchange
        if exchange is None:
            self.abandon("bytes_unasked")
            return
        response = exchange.response
        try:
            piece = response.feed(data)
        except BadResponse as error:
            self.abandon(str(error))
            return
        if piece:
            exchange.answer.feed(piece, now)
        if not response.complete:
            return
        self.exchange = None
        self._owner.finished(self, exchange, now)
        if not response.keep_alive:
            self.abandon("")

    def connection_lost(self, exc: Exception | None) -> None:
        self.abandon("connection_lost" if self.exchange is not None else "")

    def abandon(self, error: str) -> None:
        """Close and report, once."""
        if self._over:
            return
        self._over = True
        self.exchange = None
        if self._transport is not None:
            self._transport.abort()
        self._owner.broken(self, error)

    def close(self) -> None:
        """Close without a report: the load is over."""
        self._over = True
        if self._transport is not None:
            self._transport.abort()
