from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from helixflow.engine.echo import EchoEngine
from helixflow.engine.replica import ModelReplica
from helixflow.errors import InvalidRequest, Refusal, Refused, Unavailable
from helixflow.inference.facts import CANCELED, Generated
from helixflow.inference.frame import Frame, Sidecar
from helixflow.inference.load import Load
from helixflow.inference.model_spec import EngineKind, ModelSpec
from helixflow.inference.request import EngineRequest
from helixflow.inference.usage import Usage
from helixflow.signals import EventKind, Metric
from helixflow.testing.engine import ScriptedEngine, engine_request
from helixflow.testing.signals import RecordingSignals

SPEC = ModelSpec("echo-1", EngineKind.ECHO, sequences_max=1, queue_max=1)
END = Frame(b"end", Sidecar(Usage(3, 2, 1), "stop"))


def ask(stream: bool = True, timeout_s: float = 60.0, **more: Any) -> EngineRequest:
    body = {"messages": [{"role": "user", "content": "a b"}], **more}
    return engine_request(body, stream=stream, timeout_s=timeout_s)


async def answers(replica: ModelReplica, request: EngineRequest) -> list[Frame]:
    return [Frame.from_wire(wire) async for wire in replica.stream(request.to_wire())]


def side_of(frame: Frame) -> Sidecar:
    assert frame.sidecar is not None
    return frame.sidecar


def refused(frame: Frame) -> Refused:
    refusal = side_of(frame).refused
    assert refusal is not None
    return refusal


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_frames_pass_and_the_last_has_the_sidecar() -> None:
    engine = ScriptedEngine(Frame(b"one"), Frame(b"two"), END)
    engine.used = Usage(3, 2, 1)
    frames = await answers(ModelReplica(SPEC, engine), ask())
    assert [frame.data for frame in frames] == [b"one", b"two", b"end"]
    assert [frame.sidecar is None for frame in frames] == [True, True, False]
    assert side_of(frames[-1]) == Sidecar(Usage(3, 2, 1), "stop")


async def test_an_answer_that_is_not_streamed_is_one_frame() -> None:
    replica = ModelReplica(SPEC, EchoEngine(SPEC))
    frame = Frame.from_wire(await replica.unary(ask(stream=False, max_tokens=2).to_wire()))
    assert b'"a b"' in frame.data
    assert side_of(frame).usage == Usage(2, 2, 0)


async def test_a_refusal_is_a_frame() -> None:
    refusal = InvalidRequest(Refusal.INVALID_VALUE, "No.", param="n")
    [frame] = await answers(ModelReplica(SPEC, ScriptedEngine(refusal)), ask())
    assert isinstance(refused(frame), InvalidRequest)
    assert (refused(frame).message, refused(frame).param, frame.data) == ("No.", "n", b"")


async def test_an_error_in_mid_stream_is_the_last_frame() -> None:
    died = Unavailable(Refusal.ENGINE_DIED, "Dead.", retry_after_s=5.0)
    engine = ScriptedEngine(Frame(b"one"), died)
    engine.used = Usage(3, 1, 0)
    first, last = await answers(ModelReplica(SPEC, engine), ask())
    assert first == Frame(b"one")
    assert refused(last).retry_after_s == 5.0
    assert side_of(last).usage == Usage(3, 1, 0)


async def test_a_fault_of_the_engine_is_a_refusal_without_its_words() -> None:
    replica = ModelReplica(SPEC, ScriptedEngine(RuntimeError("secret path")))
    [frame] = await answers(replica, ask())
    assert refused(frame).reason is Refusal.INTERNAL_ERROR
    assert "secret" not in refused(frame).message


async def test_a_request_of_a_stranger_version_is_a_refusal() -> None:
    replica = ModelReplica(SPEC, ScriptedEngine(END))
    wire = (1, "req_1", "telepathy", b"{}", "echo-1", False, "t", 1.0)
    frame = Frame.from_wire(await replica.unary(wire))
    assert refused(frame).reason is Refusal.INTERNAL_ERROR


async def test_a_timeout_of_the_engines_own_is_not_our_deadline() -> None:
    [frame] = await answers(ModelReplica(SPEC, ScriptedEngine(TimeoutError())), ask())
    assert refused(frame).reason is Refusal.INTERNAL_ERROR


async def test_beyond_the_queue_a_request_is_refused_at_once() -> None:
    forever = asyncio.Event()
    replica = ModelReplica(SPEC, ScriptedEngine(forever.wait, END))
    held = [asyncio.create_task(answers(replica, ask())) for _ in range(2)]
    await settle()
    assert replica.load().waiting == 1
    [frame] = await answers(replica, ask())
    assert refused(frame).reason is Refusal.OVERLOADED
    assert refused(frame).retry_after_s is not None
    forever.set()
    for frames in await asyncio.gather(*held):
        assert frames[-1].data == b"end"


async def test_a_deadline_that_passes_aborts_and_frees_the_place() -> None:
    engine = ScriptedEngine(Frame(b"one"), asyncio.Event().wait)
    replica = ModelReplica(SPEC, engine)
    request = ask(timeout_s=0.01)
    first, last = await answers(replica, request)
    assert first.data == b"one"
    assert refused(last).reason is Refusal.DEADLINE_EXCEEDED
    assert engine.closed == [request.request_id]
    assert replica.load().waiting == 0


async def test_a_deadline_passes_in_the_queue_too() -> None:
    engine = ScriptedEngine(asyncio.Event().wait)
    replica = ModelReplica(SPEC, engine)
    running = asyncio.create_task(answers(replica, ask()))
    await settle()
    [frame] = await answers(replica, ask(timeout_s=0.01))
    assert refused(frame).reason is Refusal.DEADLINE_EXCEEDED
    assert engine.closed == []
    running.cancel()


async def test_a_hang_up_closes_the_engine_and_counts_what_was_used() -> None:
    signals = RecordingSignals()
    engine = ScriptedEngine(Frame(b"one"), Frame(b"two"), END)
    engine.used = Usage(3, 1, 0)
    replica = ModelReplica(SPEC, engine, signals=signals)
    request = ask()
    stream = replica.stream(request.to_wire())
    await anext(stream)
    await stream.aclose()
    assert engine.closed == [request.request_id]
    model = ("model", "echo-1")
    assert signals.counts == {
        (Metric.TOKENS, (model, ("kind", "prompt"))): 3,
        (Metric.TOKENS, (model, ("kind", "completion"))): 1,
    }
    (event,) = signals.events
    assert (event.kind, event.id) == (EventKind.REQUEST_GENERATED, request.request_id)
    told = Generated.read(event.facts)
    assert (told.outcome, told.usage) == (CANCELED, Usage(3, 1, 0))
    assert (await answers(replica, ask()))[-1].data == b"end"


async def test_a_hang_up_of_a_unary_call_frees_the_place() -> None:
    engine = ScriptedEngine(asyncio.Event().wait)
    replica = ModelReplica(SPEC, engine)
    request = ask(stream=False)
    call = asyncio.create_task(replica.unary(request.to_wire()))
    await settle()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert engine.closed == [request.request_id]


async def test_a_hang_up_in_the_queue_lets_the_next_one_in() -> None:
    gone = asyncio.Event()
    engine = ScriptedEngine(gone.wait, END)
    replica = ModelReplica(SPEC, engine)
    running = asyncio.create_task(answers(replica, ask()))
    await settle()
    waiting = asyncio.create_task(answers(replica, ask()))
    await settle()
    waiting.cancel()
    await settle()
    after = asyncio.create_task(answers(replica, ask()))
    await settle()
    gone.set()
    assert (await running)[-1].data == (await after)[-1].data == b"end"


async def test_the_place_is_free_before_the_last_frame_is_read() -> None:
    engine = ScriptedEngine(Frame(b"one"), END)
    replica = ModelReplica(SPEC, engine)
    slow = replica.stream(ask().to_wire())
    await anext(slow)
    await anext(slow)
    assert len(engine.closed) == 1
    assert (await answers(replica, ask()))[-1].data == b"end"
    await slow.aclose()


async def test_the_sidecar_tells_the_load_of_the_replica() -> None:
    engine = ScriptedEngine(END)
    engine.loaded = Load(5, 2, 0.5)
    [frame] = await answers(ModelReplica(SPEC, engine), ask())
    assert side_of(frame).load == Load(5, 2, 0.5)


async def test_it_knows_what_it_runs_or_has_waiting_for_each_holder() -> None:
    forever = asyncio.Event()
    replica = ModelReplica(SPEC, ScriptedEngine(forever.wait, END))
    running = asyncio.create_task(answers(replica, replace(ask(), holder="ing_1")))
    await settle()
    waiting = asyncio.create_task(answers(replica, replace(ask(), holder="ing_2")))
    await settle()
    assert [replica.held(holder) for holder in ("ing_1", "ing_2", "ing_3")] == [1, 1, 0]
    [frame] = await answers(replica, replace(ask(), holder="ing_1"))
    assert refused(frame).reason is Refusal.OVERLOADED
    assert replica.held("ing_1") == 1
    waiting.cancel()
    await settle()
    assert replica.held("ing_2") == 0
    forever.set()
    await running
    assert replica.held("ing_1") == 0


async def test_life_and_health_are_the_engines() -> None:
    engine = ScriptedEngine()
    replica = ModelReplica(SPEC, engine)
    said: list[str] = []
    await replica.start(lambda what, _far: said.append(what))
    await replica.health()
    engine.fault = Unavailable(Refusal.ENGINE_DIED, "Dead.")
    with pytest.raises(Unavailable):
        await replica.health()
    await replica.stop()
    assert (said, engine.stopped) == (["ready"], True)
