from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from helixflow.errors import NotFound
from helixflow.gateway.pipeline import Pipeline
from helixflow.gateway.tracing import Tracing
from helixflow.inference.facts import Ended
from helixflow.inference.trace import TraceContext, own_span_id
from helixflow.inference.trace_facts import Personal, Traced
from helixflow.settings import TracesSettings
from helixflow.signals import EventKind
from helixflow.testing.clock import ManualClock
from helixflow.testing.gateway import some_call
from helixflow.testing.stage import Stage

CALLER = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", True, "a=1")


def traced_stage(**settings: Any) -> Stage:
    stage = Stage(Pipeline, clock=ManualClock())
    stage.pipeline.tracing = Tracing(
        TracesSettings(endpoint="http://receiver", **settings), stage.clock
    )
    return stage


async def play(stage: Stage, **changes: Any) -> Any:
    call = replace(some_call(clock=stage.clock), **changes)
    async with stage.pipeline.exchange(call) as exchange:
        async for _ in exchange.rest():
            pass
    return call


async def test_the_end_of_a_request_says_what_its_trace_needs() -> None:
    stage = traced_stage()
    await play(stage, trace=CALLER)
    admitted, ended = stage.signals.events
    traced = Traced.read(ended.facts)
    assert (traced.model, traced.door, traced.caller) == ("echo-1", "http", CALLER)
    assert traced.personal is None
    assert "trace_parent" not in admitted.facts
    assert list(Ended.read(ended.facts).stages) == [
        "authenticate", "parse", "resolve", "authorize", "reserve", "first_token", "rest",
    ]  # fmt: skip


async def test_the_context_is_handed_on_to_the_model() -> None:
    stage = traced_stage()
    call = await play(stage, trace=CALLER)
    (request,) = stage.dispatcher.requests
    assert TraceContext.of(request.trace) == TraceContext(
        CALLER.trace_id, own_span_id(call.request_id), sampled=True
    )


async def test_who_asked_is_said_only_where_that_is_switched_on() -> None:
    stage = traced_stage(include_personal=True)
    await play(stage, source="192.0.2.1")
    who = stage.principal
    assert Traced.read(stage.signals.events[-1].facts).personal == Personal(
        who.organization, who.project, who.key, who.subject, "192.0.2.1"
    )
    await stage.refused(model="nobody")
    assert Traced.read(stage.signals.events[-1].facts).personal == Personal()


async def test_a_request_that_was_never_admitted_is_told_up_to_a_rate() -> None:
    stage = traced_stage(refusals_per_s=2.0)
    for _ in range(4):
        assert isinstance(await stage.refused(model="nobody"), NotFound)
    kinds = [event.kind for event in stage.signals.events]
    assert kinds == [EventKind.REQUEST_REFUSED] * 2
    assert Ended.read(stage.signals.events[0].facts).outcome == "model_not_found"


def test_the_rate_comes_back_with_time() -> None:
    clock = ManualClock()
    tracing = Tracing(TracesSettings(endpoint="http://receiver", refusals_per_s=0.5), clock)
    assert [tracing.may_tell(), tracing.may_tell()] == [True, False]
    clock.advance(1.0)
    assert not tracing.may_tell()
    clock.advance(1.0)
    assert [tracing.may_tell(), tracing.may_tell()] == [True, False]


async def test_without_traces_nothing_is_added() -> None:
    stage = Stage(Pipeline)
    await play(stage, trace=CALLER)
    assert "trace_parent" not in stage.signals.events[-1].facts
    assert not stage.pipeline.tracing.may_tell()


async def test_a_client_that_hangs_up_before_its_admission_has_no_trace() -> None:
    stage = traced_stage()
    stage.authenticator.remembers = False
    stage.authenticator.held = asyncio.Event()
    task = asyncio.create_task(play(stage))
    while not stage.authenticator.asked:
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    assert stage.signals.events == []
