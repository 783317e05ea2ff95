"""An Ingress's connection to a door: one exchange at a time, then the next.

What arrives while nobody reads is joined into one frame, so that under load a reader that is behind
catches up with fewer, larger pieces. Beyond a bound the socket is not read: the replica then waits.

Failure behavior: a connection that breaks off raises `ConnectionError` in `receive`. One that is
closed before its exchange is complete cancels the generation.
"""

from __future__ import annotations

import asyncio
from typing import cast

from helixflow.direct.wire import Cutter, Garbled, Kind, pack_cancel, pack_request, unpack_end
from helixflow.inference.frame import Frame
from helixflow.inference.request import EngineRequest

_UNREAD_BYTES_MAX = 256 * 1024


class Channel(asyncio.Protocol):
    """A connection that is open. `idle` says whether the next exchange may begin."""

    def __init__(self) -> None:
        self._cutter = Cutter()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._parts: list[bytes] = []
        self._unread = 0
        self._is_paused = False
        self._end: Frame | None = None
        self._lost = False
        self.idle = True

    @property
    def lost(self) -> bool:
        """Whether the other side has gone."""
        return self._lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods of `asyncio.Transport` without being one.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = True
        self._wake()

    def data_received(self, data: bytes) -> None:
        try:
            for kind, payload in self._cutter.feed(data):
                self._take(kind, payload)
        except Garbled:
            self.close()
            return
        if self._unread > _UNREAD_BYTES_MAX and not self._is_paused and self._transport:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    def _take(self, kind: int, payload: bytes) -> None:
        if self.idle or self._end is not None:
            raise Garbled("an answer came that nobody asked for")
        if kind == Kind.DATA:
            self._parts.append(payload)
            self._unread += len(payload)
        elif kind == Kind.END:
            self._end = _frame(payload)
        else:
            raise Garbled("a door sent a request")

    def send(self, kind: Kind, request: EngineRequest) -> None:
        """Begin an exchange. Raises `ConnectionError` where the connection is lost."""
        if self._lost or self._transport is None:
            raise ConnectionResetError("the replica has closed the connection")
        self.idle = False
        self._transport.write(pack_request(kind, request.to_wire()))

    async def cancel(self) -> Frame:
        """End the exchange early; the frame with the sidecar, which says what it had used.

        Raises `ConnectionError` where the connection is lost.
        """
        if self._transport is not None and not self._lost:
            self._transport.write(pack_cancel())
        while True:
            frame = await self.receive()
            if frame.sidecar is not None:
                return frame

    async def receive(self) -> Frame:
        """What has arrived, as one frame; the one with the sidecar ends the exchange.

        Raises `ConnectionError` where the answer broke off.
        """
        while not self._parts and self._end is None:
            if self._lost:
                raise ConnectionResetError("the replica broke off")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._unread = 0
        end, self._end = self._end, None
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()
        if end is None:
            return Frame(data)
        self.idle = True
        return Frame(data + end.data, end.sidecar)

    def close(self) -> None:
        """Close at once; a generation that is under way is cancelled. Harmless when repeated."""
        if self._transport is not None and not self._lost:
            self._transport.abort()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _frame(payload: bytes) -> Frame:
    try:
        return Frame.from_wire(unpack_end(payload))
    except (IndexError, TypeError, ValueError) as error:
        raise Garbled("an answer's end is none") from error
