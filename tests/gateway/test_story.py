from __future__ import annotations

import asyncio

import pytest

from helixflow.errors import Unavailable
from helixflow.gateway.pipeline import Pipeline
from helixflow.inference.facts import CANCELED, OK, Admitted, Ended
from helixflow.inference.frame import Frame
from helixflow.inference.model_spec import Price
from helixflow.inference.usage import Usage
from helixflow.routing.ports import ModelState, ModelStatus
from helixflow.routing.registry import Entry
from helixflow.signals import EventKind, Metric
from helixflow.testing.gateway import last_frame, some_catalog, some_spec
from helixflow.testing.stage import Stage

READY = ModelStatus(ModelState.READY, "", 1.0, 1)


async def test_a_request_is_journaled_when_it_is_admitted_and_when_it_ends() -> None:
    stage = Stage(Pipeline)
    await stage.answer()
    admitted, ended = stage.signals.events
    assert (admitted.kind, ended.kind) == (EventKind.REQUEST_ADMITTED, EventKind.REQUEST_ENDED)
    assert admitted.id == ended.id
    assert Admitted.read(admitted.facts).model == "echo-1"
    told = Ended.read(ended.facts)
    assert told.outcome == OK
    assert told.usage is not None
    assert told.first_token_s is not None
    assert told.duration_s >= told.first_token_s


async def test_what_was_never_admitted_has_no_event() -> None:
    stage = Stage(Pipeline)
    await stage.refused(model="nobody")
    assert stage.signals.events == []


async def test_the_admission_is_journaled_before_the_request_is_forwarded() -> None:
    stage = Stage(Pipeline, [[asyncio.Event()]])
    task = asyncio.create_task(stage.answer(stream=True))
    while not stage.dispatcher.open:
        await asyncio.sleep(0)
    assert [event.kind for event in stage.signals.events] == [EventKind.REQUEST_ADMITTED]
    task.cancel()
    await asyncio.wait({task})
    assert Ended.read(stage.signals.events[-1].facts).outcome == CANCELED


def outcomes(stage: Stage) -> list[str]:
    ends = [one for one in stage.signals.events if one.kind is EventKind.REQUEST_ENDED]
    return [Ended.read(one.facts).outcome for one in ends]


async def test_a_whole_answer_is_journaled_before_it_goes_out() -> None:
    stage = Stage(Pipeline)
    async with stage.exchange():
        assert outcomes(stage) == [OK]
    assert outcomes(stage) == [OK]


async def test_a_stream_is_journaled_before_its_last_bytes_go_out() -> None:
    stage = Stage(Pipeline, [[Frame(b"1"), Frame(b"2"), last_frame(b"3", Usage(3, 5))]])
    seen = {}
    async with stage.exchange(stream=True) as exchange:
        seen[exchange.first] = outcomes(stage)
        async for data in exchange.rest():
            seen[data] = outcomes(stage)
    assert seen == {b"1": [], b"2": [], b"3": [OK]}
    assert Ended.read(stage.signals.events[-1].facts).usage == Usage(3, 5)


async def test_a_client_that_is_gone_before_the_last_bytes_amends_the_end() -> None:
    stage = Stage(Pipeline)
    with pytest.raises(ConnectionError):
        async with stage.exchange():
            raise ConnectionResetError
    assert outcomes(stage) == [OK, CANCELED]
    first, second = [Ended.read(event.facts) for event in stage.signals.events[1:]]
    assert first.whole_s is None
    assert first.duration_s == second.whole_s < second.duration_s
    stage.assert_over(CANCELED, settled=[Usage(3, 5)])


async def test_a_broken_answer_ends_with_its_reason() -> None:
    stage = Stage(Pipeline, [[Frame(b"1")]])
    assert isinstance(await stage.refused(stream=True), Unavailable)
    assert Ended.read(stage.signals.events[-1].facts).outcome == "engine_died"


async def test_an_answer_is_charged_at_its_models_price() -> None:
    spec = some_spec(price=Price(1.0, 0.5, 2.0), region="eu")
    stage = Stage(
        Pipeline,
        [[last_frame(b"x", Usage(1_000_000, 500_000))]],
        catalog=some_catalog(Entry(spec, READY)),
    )
    await stage.answer()
    labels = (("model", "echo-1"), ("region", "eu"))
    assert stage.signals.counts[Metric.COST_USD, labels] == 2.0
