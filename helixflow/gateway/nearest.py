"""The way to a model's replica: directly where one has a door on this machine, else by Serve.

Replicas near and far share the load: while every running replica of the model is near, all requests
go directly; where others run elsewhere, a near one is taken as long as it has a sequence slot free
as far as this Ingress knows, and Serve chooses among all of them otherwise.

Failure behavior: a replica that is lost is `engine_died`, as by Serve; the pipeline then tries
again, and finds the door gone. A door that cannot be entered sends the request by Serve. A request
that is left early is cancelled in its replica, which then says what it had used; one that does not
say so in time is left by closing the connection.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncGenerator, Awaitable

from helixflow.direct.channel import Channel
from helixflow.direct.doors import Doors, SeenDoor
from helixflow.direct.wire import Kind
from helixflow.errors import Refusal, Unavailable
from helixflow.gateway.ports import Dispatcher
from helixflow.ids import RequestId
from helixflow.inference.frame import Frame
from helixflow.inference.request import EngineRequest
from helixflow.inference.usage import Usage
from helixflow.routing.registry import Catalog

_LAST_WORDS_S = 0.5


class NearestDispatcher:
    """Implements `gateway.ports.Dispatcher`.

    Args:
        far: reaches every replica, wherever it runs.
    """

    def __init__(self, doors: Doors, far: Dispatcher, catalog: Catalog) -> None:
        self._doors = doors
        self._far = far
        self._catalog = catalog
        self._left: dict[RequestId, asyncio.Task[Usage | None]] = {}

    async def unary(self, request: EngineRequest) -> Frame:
        """See `Dispatcher.unary`."""
        entered = await self._enter(request.model)
        if entered is None:
            return await self._far.unary(request)
        door, channel = entered
        try:
            channel.send(Kind.UNARY, request)
            return self._seen(door, await channel.receive())
        except ConnectionError as error:
            raise _lost() from error
        finally:
            self._leave(request.request_id, door, channel)

    async def stream(self, request: EngineRequest) -> AsyncGenerator[Frame, None]:
        """See `Dispatcher.stream`."""
        entered = await self._enter(request.model)
        if entered is None:
            frames = self._far.stream(request)
            try:
                async for frame in frames:
                    yield frame
            finally:
                await frames.aclose()
            return
        door, channel = entered
        try:
            channel.send(Kind.STREAM, request)
            while True:
                frame = self._seen(door, await channel.receive())
                yield frame
                if frame.sidecar is not None:
                    return
        except ConnectionError as error:
            raise _lost() from error
        finally:
            self._leave(request.request_id, door, channel)

    def left(self, request_id: RequestId) -> Awaitable[Usage | None] | None:
        """See `Dispatcher.left`."""
        return self._left.pop(request_id, None) or self._far.left(request_id)

    def _leave(self, request_id: RequestId, door: SeenDoor, channel: Channel) -> None:
        if channel.idle or channel.lost:
            door.ongoing -= 1
            door.give_back(channel)
            return
        leaving = asyncio.get_running_loop().create_task(
            _last_words(door, channel), context=contextvars.Context()
        )
        self._left[request_id] = leaving
        leaving.add_done_callback(lambda _: self._left.pop(request_id, None))

    async def _enter(self, model: str) -> tuple[SeenDoor, Channel] | None:
        """A door with a connection to it, counted in; None where Serve is the way."""
        while True:
            door, near = self._doors.choose(model)
            if door is None or self._is_better_elsewhere(model, door, near):
                return None
            door.ongoing += 1
            try:
                return door, await door.channel()
            except (ConnectionRefusedError, FileNotFoundError):
                door.ongoing -= 1
                self._doors.gone(model, door)
            except OSError:
                door.ongoing -= 1
                self._doors.rest(door)
            except BaseException:
                door.ongoing -= 1
                raise

    def _is_better_elsewhere(self, model: str, door: SeenDoor, near: int) -> bool:
        entry = self._catalog.entry(model)
        if entry is None or entry.status.replicas <= near:
            return False
        return door.ongoing >= entry.spec.sequences_max

    def _seen(self, door: SeenDoor, frame: Frame) -> Frame:
        side = frame.sidecar
        refused = None if side is None else side.refused
        if refused is not None and refused.reason is Refusal.ENGINE_DIED:
            self._doors.rest(door)
        return frame


async def _last_words(door: SeenDoor, channel: Channel) -> Usage | None:
    """Cancel what a door is asked for, and hear what it had used."""
    try:
        async with asyncio.timeout(_LAST_WORDS_S):
            side = (await channel.cancel()).sidecar
    except (TimeoutError, ConnectionError):
        return None
    else:
        return None if side is None else side.usage
    finally:
        door.ongoing -= 1
        door.give_back(channel)


def _lost() -> Unavailable:
    return Unavailable(Refusal.ENGINE_DIED, "The model's replica was lost.", retry_after_s=5.0)
