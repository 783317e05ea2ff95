from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path

import pytest

from helixflow.direct.door import Door
from helixflow.direct.doors import Doors
from helixflow.direct.place import folder_of, listen
from helixflow.engine.echo import EchoEngine
from helixflow.engine.replica import ModelReplica
from helixflow.errors import Refusal, Unavailable
from helixflow.gateway.nearest import NearestDispatcher
from helixflow.ids import RequestId
from helixflow.inference.frame import Frame, FrameWire, Sidecar
from helixflow.inference.model_spec import EngineKind, ModelSpec
from helixflow.inference.request import EngineRequest, EngineRequestWire
from helixflow.inference.usage import Usage
from helixflow.routing.ports import ModelState, ModelStatus
from helixflow.routing.registry import Catalog, Entry, Snapshot
from helixflow.testing.clock import ManualClock
from helixflow.testing.engine import ScriptedEngine, engine_request

SPEC = ModelSpec("echo-1", EngineKind.ECHO, sequences_max=2, queue_max=8)
FAR = Frame(b"far", Sidecar())


class Far:
    """Serve, as far as a dispatcher sees it."""

    def __init__(self) -> None:
        self.asked = 0
        self.closed = 0
        self.asked_for = ""

    def left(self, request_id: RequestId) -> None:
        self.asked_for = request_id

    async def unary(self, request: EngineRequest) -> Frame:
        self.asked += 1
        return FAR

    async def stream(self, request: EngineRequest) -> AsyncGenerator[Frame, None]:
        self.asked += 1
        try:
            yield Frame(b"so ")
            yield FAR
        finally:
            self.closed += 1


class Stage:
    """A model's replicas, near ones with doors, and an Ingress that reaches them."""

    def __init__(self, run: Path) -> None:
        self.run, self.clock, self.far, self.catalog = run, ManualClock(), Far(), Catalog(1.0)
        self.doors = Doors(run, self.clock)
        self.dispatcher = NearestDispatcher(self.doors, self.far, self.catalog)

    def running(self, replicas: int) -> None:
        status = ModelStatus(ModelState.READY, "", 1.0, replicas)
        self.catalog.replace(Snapshot("e", 1, 0, (Entry(SPEC, status),)))

    @asynccontextmanager
    async def replica(self, replica: ModelReplica) -> AsyncIterator[Door]:
        door = Door(folder_of(self.run, SPEC.name), replica)
        await door.open()
        self.clock.advance(1.0)
        try:
            yield door
        finally:
            await door.close(0.0)
            self.doors.close()
            await asyncio.sleep(0)


def echo() -> ModelReplica:
    return ModelReplica(SPEC, EchoEngine(SPEC))


def ask(text: str = "a b c", *, stream: bool = False) -> EngineRequest:
    return engine_request({"messages": [{"role": "user", "content": text}]}, stream=stream)


async def test_a_replica_with_a_door_is_called_directly(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.running(1)
    async with stage.replica(echo()):
        for _ in range(2):
            whole = await stage.dispatcher.unary(ask())
            assert b"a b c" in whole.data
            assert whole.sidecar is not None
            assert whole.sidecar.usage.completion_tokens > 0
        async with aclosing(stage.dispatcher.stream(ask(stream=True))) as frames:
            parts = [frame async for frame in frames]
        assert b"[DONE]" in b"".join(part.data for part in parts)
        assert [part.sidecar is not None for part in parts][-1]
        assert stage.far.asked == 0
        door, _ = stage.doors.choose(SPEC.name)
        assert door is not None
        assert door.ongoing == 0


async def test_without_a_door_serve_is_the_way(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.running(1)
    assert await stage.dispatcher.unary(ask()) == FAR
    async with aclosing(stage.dispatcher.stream(ask(stream=True))) as frames:
        assert [frame.data async for frame in frames] == [b"so ", b"far"]
    async with aclosing(stage.dispatcher.stream(ask(stream=True))) as frames:
        assert (await anext(frames)).data == b"so "
    assert (stage.far.asked, stage.far.closed) == (3, 2)


async def test_the_door_of_a_replica_that_died_is_passed_by(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    listening, path = listen(folder_of(tmp_path, SPEC.name))
    listening.close()
    assert await stage.dispatcher.unary(ask()) == FAR
    assert not path.exists()


async def test_a_door_that_cannot_be_entered_is_left_alone_for_a_while(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    folder_of(tmp_path, SPEC.name).mkdir(parents=True)
    (folder_of(tmp_path, SPEC.name) / ("x" * 200)).touch()  # longer than a socket's path may be
    assert await stage.dispatcher.unary(ask()) == FAR
    assert stage.doors.choose(SPEC.name) == (None, 1)


async def test_of_many_replicas_a_near_one_is_taken_while_it_has_a_slot(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.running(2)  # one of them is elsewhere
    engine = ScriptedEngine(Frame(b"near "), asyncio.Event().wait)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(stage.replica(ModelReplica(SPEC, engine)))
        for _ in range(SPEC.sequences_max):
            frames = stage.dispatcher.stream(ask(stream=True))
            await stack.enter_async_context(aclosing(frames))
            assert (await anext(frames)).data == b"near "
        assert await stage.dispatcher.unary(ask()) == FAR
        stage.running(1)  # now there is no other one: it waits in the replica's queue
        waiting = asyncio.create_task(stage.dispatcher.unary(ask()))
        await asyncio.sleep(0.02)
        assert not waiting.done()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert stage.far.asked == 1


async def test_a_request_that_is_left_early_is_cancelled_and_what_it_used_is_known(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path)
    engine = ScriptedEngine(Frame(b"near "), asyncio.Event().wait)
    engine.used = Usage(3, 2)
    replica = ModelReplica(SPEC, engine)
    async with stage.replica(replica) as door:
        for _ in range(3):
            request = ask(stream=True)
            async with aclosing(stage.dispatcher.stream(request)) as frames:
                await anext(frames)
            told = stage.dispatcher.left(request.request_id)
            assert told is not None
            assert await told == Usage(3, 2)
            assert stage.dispatcher.left(request.request_id) is None
            assert door.ongoing == replica.held("") == 0
        whole = asyncio.create_task(stage.dispatcher.unary(waiting := ask()))
        await asyncio.sleep(0.02)
        whole.cancel()
        with pytest.raises(asyncio.CancelledError):
            await whole
        told = stage.dispatcher.left(waiting.request_id)
        assert told is not None
        assert await told == Usage(3, 2)
        assert len(engine.closed) == 4
        assert stage.far.asked_for == request.request_id


async def test_a_replica_that_goes_away_meanwhile_leaves_it_unknown(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    engine = ScriptedEngine(Frame(b"near "), asyncio.Event().wait)
    request = ask(stream=True)
    async with stage.replica(ModelReplica(SPEC, engine)) as door:
        async with aclosing(stage.dispatcher.stream(request)) as frames:
            await anext(frames)
            await door.close(0.0)
        told = stage.dispatcher.left(request.request_id)
        assert told is None or await told is None


class Broken:
    """A replica that breaks off in the middle of every answer, or says that its engine died."""

    def __init__(self, *, says_so: bool = False) -> None:
        self.says_so = says_so

    async def unary(self, wire: EngineRequestWire) -> FrameWire:
        if self.says_so:
            refused = Unavailable(Refusal.ENGINE_DIED, "The engine died.")
            return Frame(b"", Sidecar(refused=refused)).to_wire()
        raise RuntimeError("lost")

    async def stream(self, wire: EngineRequestWire) -> AsyncGenerator[FrameWire, None]:
        yield Frame(b"near ").to_wire()
        raise RuntimeError("lost")

    def abandoned(self, wire: EngineRequestWire) -> FrameWire:
        raise NotImplementedError


async def test_a_replica_that_is_lost_is_an_engine_that_died(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    door = Door(folder_of(tmp_path, SPEC.name), Broken())
    await door.open()
    with pytest.raises(Unavailable) as unary:
        await stage.dispatcher.unary(ask())
    async with aclosing(stage.dispatcher.stream(ask(stream=True))) as frames:
        assert (await anext(frames)).data == b"near "
        with pytest.raises(Unavailable) as stream:
            await anext(frames)
    assert unary.value.reason is stream.value.reason is Refusal.ENGINE_DIED
    await door.close(0.0)


async def test_after_an_engine_died_the_next_try_goes_elsewhere(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    door = Door(folder_of(tmp_path, SPEC.name), Broken(says_so=True))
    await door.open()
    frame = await stage.dispatcher.unary(ask())
    assert frame.sidecar is not None
    assert frame.sidecar.refused is not None
    assert await stage.dispatcher.unary(ask()) == FAR
    await door.close(0.0)
    stage.doors.close()
