from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.engine.gate import Gate, drain_s
from helixflow.errors import Overloaded, Refusal
from helixflow.testing.clock import ManualClock


async def settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_beyond_running_and_waiting_a_request_is_refused_at_once() -> None:
    gate = Gate(1, 1, ManualClock())
    await gate.enter()
    waiter = asyncio.create_task(gate.enter())
    await settle()
    with pytest.raises(Overloaded) as caught:
        await gate.enter()
    assert caught.value.reason is Refusal.OVERLOADED
    assert caught.value.retry_after_s == 1.0
    waiter.cancel()


async def test_a_ticket_may_be_left_twice() -> None:
    gate = Gate(1, 0, ManualClock())
    ticket = await gate.enter()
    ticket.leave()
    ticket.leave()
    assert gate.running == 0
    await gate.enter()
    assert gate.running == 1


async def test_a_refusal_says_when_those_who_wait_will_be_served() -> None:
    clock = ManualClock()
    gate = Gate(1, 4, clock)
    ticket = await gate.enter()
    waiters = [asyncio.create_task(gate.enter()) for _ in range(4)]
    for turn in range(2):
        await settle()
        clock.advance(2.0)
        ticket.leave()
        ticket = await waiters[turn]
    waiters += [asyncio.create_task(gate.enter()) for _ in range(2)]
    await settle()
    clock.advance(2.0)
    with pytest.raises(Overloaded) as caught:
        await gate.enter()
    assert caught.value.retry_after_s == pytest.approx(8.0)
    for waiter in waiters:
        waiter.cancel()


async def test_an_empty_queue_forgets_the_pace() -> None:
    clock = ManualClock()
    gate = Gate(1, 1, clock)
    ticket = await gate.enter()
    waiter = asyncio.create_task(gate.enter())
    await settle()
    ticket.leave()
    (await waiter).leave()
    clock.advance(1000.0)
    await gate.enter()
    waiter = asyncio.create_task(gate.enter())
    await settle()
    with pytest.raises(Overloaded) as caught:
        await gate.enter()
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
