from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.engine.gate import Gate, Ticket
from helixflow.engine.shedding import drain_s
from helixflow.errors import Overloaded, QuotaExceeded, Refusal
from helixflow.inference.model_spec import EngineKind, FairShares, ModelSpec
from helixflow.inference.quota import ServiceClass
from helixflow.inference.usage import Usage
from helixflow.signals import Metric
from helixflow.testing.clock import ManualClock
from helixflow.testing.engine import engine_request
from helixflow.testing.signals import RecordingSignals


def gate_of(
    slots: int, queue: int, clock: ManualClock | None = None, rules: FairShares | None = None
) -> Gate:
    shares = rules or FairShares(tenant_share=1.0)
    spec = ModelSpec(
        "echo-1", EngineKind.ECHO, sequences_max=slots, queue_max=queue, fair_queue=shares
    )
    return Gate(spec, lambda _: Usage(5, 5), clock or ManualClock(), RecordingSignals())


async def enter(gate: Gate, tenant: str = "org_1", **more: Any) -> Ticket:
    body = {"messages": [{"role": "user", "content": "hi"}]}
    return await gate.enter(replace(engine_request(body), tenant=tenant, **more))


async def settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_beyond_running_and_waiting_a_request_is_refused_at_once() -> None:
    gate = gate_of(1, 1)
    await enter(gate)
    waiter = asyncio.create_task(enter(gate))
    await settle()
    with pytest.raises(Overloaded) as caught:
        await enter(gate)
    assert caught.value.reason is Refusal.OVERLOADED
    assert caught.value.retry_after_s == 1.0
    waiter.cancel()


async def test_a_ticket_may_be_left_twice() -> None:
    gate = gate_of(1, 0)
    ticket = await enter(gate)
    ticket.leave()
    ticket.leave()
    assert gate.running == 0
    await enter(gate)
    assert gate.running == 1


async def test_a_refusal_says_when_those_who_wait_will_be_served() -> None:
    clock = ManualClock()
    gate = gate_of(1, 4, clock)
    ticket = await enter(gate)
    waiters = [asyncio.create_task(enter(gate)) for _ in range(4)]
    for turn in range(2):
        await settle()
        clock.advance(2.0)
        ticket.leave()
        ticket = await waiters[turn]
    waiters += [asyncio.create_task(enter(gate)) for _ in range(2)]
    await settle()
    clock.advance(2.0)
    with pytest.raises(Overloaded) as caught:
        await enter(gate)
    assert caught.value.retry_after_s == pytest.approx(8.0)
    for waiter in waiters:
        waiter.cancel()


async def test_an_empty_queue_forgets_the_pace() -> None:
    clock = ManualClock()
    gate = gate_of(1, 1, clock)
    ticket = await enter(gate)
    waiter = asyncio.create_task(enter(gate))
    await settle()
    ticket.leave()
    (await waiter).leave()
    clock.advance(1000.0)
    await enter(gate)
    waiter = asyncio.create_task(enter(gate))
    await settle()
    with pytest.raises(Overloaded) as caught:
        await enter(gate)
    assert caught.value.retry_after_s == 1.0
    waiter.cancel()


@given(
    st.lists(st.floats(0, 1e6), max_size=32).map(sorted),
    st.integers(0, 10_000),
    st.floats(0, 1e6),
)
def test_the_wait_is_always_between_a_second_and_a_minute(
    departures: list[float], waiting: int, later: float
) -> None:
    now = (departures[-1] if departures else 0.0) + later
    assert 1.0 <= drain_s(departures, waiting, now) <= 60.0


async def test_tenants_take_turns_however_many_requests_one_has_waiting() -> None:
    gate = gate_of(1, 8)
    ticket = await enter(gate, "flood")
    served: list[str] = []

    async def wait(tenant: str) -> None:
        mine = await enter(gate, tenant, tokens=10)
        served.append(tenant)
        mine.leave()

    waiters = [asyncio.create_task(wait("flood")) for _ in range(4)]
    await settle()
    waiters.append(asyncio.create_task(wait("trickle")))
    await settle()
    ticket.leave()
    await asyncio.gather(*waiters)
    assert served.index("trickle") <= 1
    assert served.count("flood") == 4


async def test_first_come_first_served_where_the_fair_queue_is_off() -> None:
    gate = gate_of(1, 8, rules=FairShares(enabled=False))
    ticket = await enter(gate, "flood")
    served: list[str] = []

    async def wait(tenant: str) -> None:
        mine = await enter(gate, tenant)
        served.append(tenant)
        mine.leave()

    waiters = [asyncio.create_task(wait(tenant)) for tenant in ("flood", "flood", "trickle")]
    await settle()
    ticket.leave()
    await asyncio.gather(*waiters)
    assert served == ["flood", "flood", "trickle"]


async def test_a_more_urgent_class_goes_first() -> None:
    gate = gate_of(1, 8)
    ticket = await enter(gate)
    served: list[ServiceClass] = []

    async def wait(kind: ServiceClass) -> None:
        mine = await enter(gate, service_class=kind)
        served.append(kind)
        mine.leave()

    kinds = (ServiceClass.BATCH, ServiceClass.STANDARD, ServiceClass.INTERACTIVE)
    waiters = [asyncio.create_task(wait(kind)) for kind in kinds]
    await settle()
    ticket.leave()
    await asyncio.gather(*waiters)
    assert served == [*reversed(kinds)]


async def test_a_tenants_part_of_the_queue_is_refused_as_its_own_limit() -> None:
    gate = gate_of(1, 10, rules=FairShares(tenant_share=0.5))
    await enter(gate)
    waiters = [asyncio.create_task(enter(gate)) for _ in range(5)]
    await settle()
    with pytest.raises(QuotaExceeded) as caught:
        await enter(gate)
    assert caught.value.reason is Refusal.QUEUE_FULL
    assert caught.value.breach is not None
    assert caught.value.breach.scope == "model=echo-1,organization=org_1"
    other = asyncio.create_task(enter(gate, "org_2"))
    await settle()
    assert gate.waiting == 6
    for waiter in (*waiters, other):
        waiter.cancel()


async def test_it_says_how_many_wait_and_how_long() -> None:
    spec = ModelSpec("echo-1", EngineKind.ECHO, sequences_max=1, queue_max=4)
    signals, clock = RecordingSignals(), ManualClock()
    gate = Gate(spec, lambda _: Usage(), clock, signals)
    ticket = await enter(gate)
    waiter = asyncio.create_task(enter(gate))
    await settle()
    labels = (("model", "echo-1"), ("service_class", "standard"))
    assert signals.gauges[Metric.QUEUED_REQUESTS, labels] == 1.0
    assert signals.gauges[Metric.RUNNING_SEQUENCES, labels[:1]] == 1.0
    clock.advance(2.0)
    ticket.leave()
    (await waiter).leave()
    waits = [
        seconds for metric, seconds, _ in signals.observed if metric is Metric.QUEUE_WAIT_SECONDS
    ]
    assert waits == [0.0, 2.0]
    assert signals.gauges[Metric.QUEUED_REQUESTS, labels] == 0.0


async def test_leaving_the_queue_early_frees_the_place() -> None:
    gate = gate_of(1, 1)
    ticket = await enter(gate)
    waiter = asyncio.create_task(enter(gate))
    await settle()
    waiter.cancel()
    await settle()
    assert gate.waiting == 0
    ticket.leave()
    assert gate.running == 0
