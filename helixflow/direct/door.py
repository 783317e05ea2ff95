"""A replica's door: answers the Ingresses of its machine.

Failure behavior: a caller that closes its connection cancels its request; one that cancels it by a
message is told what it had used. A caller that reads too
slowly holds up its own answer and nobody else's. Only processes of the same user are let in. `close`
lets nobody new in, waits for the answers that are under way, and then ends what is left. Where no
door can be opened (the folder cannot be written) the replica goes on without one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Protocol, cast

from helixflow.direct.place import listen
from helixflow.direct.wire import Cutter, Garbled, Kind, pack_frame, unpack_request
from helixflow.inference.frame import FrameWire
from helixflow.inference.request import EngineRequestWire

_log = logging.getLogger(__name__)
_PEER = struct.Struct("3i")  # process id, user id, group id: ucred of unix(7)


class Answers(Protocol):
    """What stands behind a door. `engine.replica.ModelReplica` implements it."""

    async def unary(self, wire: EngineRequestWire) -> FrameWire:
        """A whole answer as one frame with a sidecar."""
        ...

    def stream(self, wire: EngineRequestWire) -> AsyncGenerator[FrameWire, None]:
        """An answer's frames; exactly the last one has a sidecar."""
        ...

    def abandoned(self, wire: EngineRequestWire) -> FrameWire:
        """The end of an answer that was cancelled: what it had used."""
        ...


class Door:
    """The door of one replica."""

    def __init__(self, folder: Path, answers: Answers) -> None:
        self._folder = folder
        self._answers = answers
        self._server: asyncio.Server | None = None
        self._path: Path | None = None
        self._visits: set[_Visit] = set()

    @property
    def ongoing(self) -> int:
        """Requests that came in by this door and are being answered."""
        return sum(visit.busy for visit in self._visits)

    async def open(self) -> None:
        """Let Ingresses in; says so in the log where that is not possible."""
        try:
            listening, self._path = listen(self._folder)
        except OSError as error:
            _log.warning("no direct way to this replica: %s", error)
            return
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(
            lambda: _Visit(self._answers, self._visits), sock=listening
        )

    def shut(self) -> None:
        """Let nobody new in; whoever is inside is answered, and then sent away."""
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink()
            self._path = None
        if self._server is not None:
            self._server.close()
            self._server = None
        for visit in tuple(self._visits):
            visit.last()

    async def close(self, drain_s: float) -> None:
        """Shut the door, wait at most `drain_s` seconds for the answers under way, end the rest."""
        self.shut()
        tasks = [visit.task for visit in self._visits if visit.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=drain_s)
        for visit in tuple(self._visits):
            visit.end()


class _Visit(asyncio.Protocol):
    """One connection of one Ingress."""

    def __init__(self, answers: Answers, visits: set[_Visit]) -> None:
        self._answers = answers
        self._visits = visits
        self._cutter = Cutter()
        self._transport: asyncio.Transport | None = None
        self._writable: asyncio.Future[None] | None = None
        self._is_last = False
        self._is_canceled = False
        self.task: asyncio.Task[None] | None = None
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods of `asyncio.Transport` without being one.
        self._transport = cast(asyncio.Transport, transport)
        if _user_of(self._transport) != os.getuid():
            _log.warning("a process of another user was turned away at a replica's door")
            self._transport.abort()
            return
        self._visits.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._visits.discard(self)
        self._transport = None
        if self.task is not None:
            self.task.cancel()
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        try:
            for kind, payload in self._cutter.feed(data):
                if kind == Kind.CANCEL:
                    self._cancel()
                else:
                    self._begin(kind, unpack_request(payload))
        except Garbled as error:
            _log.warning("an Ingress was cut off: %s", error)
            self.end()

    def _begin(self, kind: int, wire: EngineRequestWire) -> None:
        if self.busy or kind not in (Kind.UNARY, Kind.STREAM):
            raise Garbled("a message came where none is expected")
        answer = self._unary(wire) if kind == Kind.UNARY else self._stream(wire)
        self.busy, self._is_canceled = True, False
        self.task = asyncio.get_running_loop().create_task(answer)
        self.task.add_done_callback(lambda task: self._ended(task, wire))

    def _cancel(self) -> None:
        # Without an answer under way, its end and the cancellation have passed each other.
        if self.busy and self.task is not None:
            self._is_canceled = True
            self.task.cancel()

    def _ended(self, task: asyncio.Task[None], wire: EngineRequestWire) -> None:
        if task.cancelled() and self._is_canceled and self.busy:
            self._finish(self._answers.abandoned(wire))

    def pause_writing(self) -> None:
        if self._writable is None:
            self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

    def last(self) -> None:
        """Close the connection after the answer that is under way, or at once."""
        self._is_last = True
        if not self.busy and self._transport is not None:
            self._transport.close()

    def end(self) -> None:
        """Close the connection at once; that cancels the answer."""
        if self._transport is not None:
            self._transport.abort()

    async def _unary(self, wire: EngineRequestWire) -> None:
        try:
            self._finish(await self._answers.unary(wire))
        except Exception:
            self._broken()

    async def _stream(self, wire: EngineRequestWire) -> None:
        try:
            end: FrameWire | None = None
            async with aclosing(self._answers.stream(wire)) as frames:
                async for frame in frames:
                    if frame[2] is not None:
                        end = frame
                        continue
                    self._write(pack_frame(frame))
                    if self._writable is not None:
                        await self._writable
            if end is None:
                raise RuntimeError("an answer had no end")
            self._finish(end)
        except Exception:
            self._broken()

    def _finish(self, end: FrameWire) -> None:
        # The caller may send its next request as soon as it has read the end.
        self.busy = False
        self._write(pack_frame(end))
        if self._is_last and self._transport is not None:
            self._transport.close()

    def _write(self, message: bytes) -> None:
        if self._transport is not None:
            self._transport.write(message)

    def _broken(self) -> None:
        _log.exception("an answer broke off at a replica's door")
        self.end()


def _user_of(transport: asyncio.Transport) -> int:
    """The user id of the process at the other end."""
    peer = transport.get_extra_info("socket")
    held = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    return int(_PEER.unpack(held)[1])
