from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.engine.gate import Gate, Ticket
from helixflow.errors import Overloaded, QuotaExceeded, Refusal
from helixflow.inference.model_spec import EngineKind, FairShares, ModelSpec
from helixflow.inference.quota import ServiceClass
from helixflow.inference.request import EngineRequest
from helixflow.inference.usage import Usage
from helixflow.signals import Metric
from helixflow.testing.clock import ManualClock
from helixflow.testing.engine import engine_request
from helixflow.testing.signals import RecordingSignals

MODEL = ("model", "echo-1")


class Stage:
    """A gate, and what its requests have used."""

    def __init__(
        self, slots: int = 1, queue_max: int = 8, rules: FairShares | None = None, **spec: Any
    ) -> None:
        self.clock, self.signals = ManualClock(), RecordingSignals()
        self.used: dict[str, Usage] = {}
        self.gate = Gate(
            ModelSpec(
                "echo-1",
                EngineKind.ECHO,
                sequences_max=slots,
                queue_max=queue_max,
                fair_queue=rules or FairShares(tenant_share=1.0),
                **spec,
            ),
            lambda request_id: self.used.get(request_id, Usage()),
            self.clock,
            self.signals,
        )
        self.order: list[str] = []

    def come(self, tenant: str = "a", **how: Any) -> asyncio.Task[Ticket]:
        return asyncio.create_task(self.enter(ask(tenant, **how)))

    async def enter(self, request: EngineRequest) -> Ticket:
        ticket = await self.gate.enter(request)
        self.order.append(request.tenant)
        return ticket

    @property
    def counts(self) -> tuple[int, int]:
        return self.gate.running, self.gate.waiting


def ask(tenant: str = "a", **how: Any) -> EngineRequest:
    return engine_request({}, tenant=tenant, **how)


async def settle() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


async def test_a_free_slot_is_taken_at_once() -> None:
    stage = Stage(slots=3)
    await stage.enter(ask(choices=2))
    await stage.enter(ask())
    assert stage.counts == (3, 0)


async def test_a_ticket_may_be_left_twice() -> None:
    stage = Stage(queue_max=0)
    ticket = await stage.enter(ask())
    ticket.leave()
    ticket.leave()
    assert stage.counts == (0, 0)
    await stage.enter(ask())
    assert stage.counts == (1, 0)


async def test_a_slot_that_frees_goes_to_the_tenant_that_was_served_least() -> None:
    stage = Stage()
    first = ask("flood")
    ticket = await stage.enter(first)
    tasks = [stage.come("flood") for _ in range(3)]
    await settle()
    tasks.insert(0, stage.come("trickle"))
    await settle()
    stage.used[first.request_id] = Usage(1, 50)
    ticket.leave()
    for task in tasks:
        (await task).leave()
    assert stage.order == ["flood", "trickle", "flood", "flood", "flood"]
    assert stage.counts == (0, 0)


async def test_without_fair_shares_requests_are_served_as_they_come() -> None:
    stage = Stage(rules=FairShares(enabled=False, tenant_share=0.1, reserved_share=0.9))
    ticket = await stage.enter(ask("flood"))
    tasks = [stage.come("flood") for _ in range(7)]
    tasks.append(stage.come("urgent", service_class=ServiceClass.CRITICAL))
    await settle()
    ticket.leave()
    for task in tasks:
        (await task).leave()
    assert stage.order == ["flood"] * 8 + ["urgent"]


async def test_beyond_the_queue_a_request_is_refused_at_once() -> None:
    stage = Stage(queue_max=1)
    await stage.enter(ask("a"))
    waiter = stage.come("b")
    await settle()
    with pytest.raises(Overloaded) as caught:
        await stage.enter(ask("c"))
    assert caught.value.reason is Refusal.OVERLOADED
    assert caught.value.retry_after_s == 1.0
    assert "1 sequences run and 1 requests wait" in caught.value.message
    assert stage.counts == (1, 1)
    waiter.cancel()


async def test_a_tenant_that_fills_its_part_is_told_so_and_others_still_come() -> None:
    stage = Stage(queue_max=4, rules=FairShares(tenant_share=0.5))
    await stage.enter(ask("flood"))
    tasks = [stage.come("flood") for _ in range(2)]
    await settle()
    with pytest.raises(QuotaExceeded) as caught:
        await stage.enter(ask("flood"))
    assert caught.value.reason is Refusal.QUEUE_FULL
    breach = caught.value.breach
    assert breach is not None
    assert (breach.name, breach.scope) == ("queued_requests", "model=echo-1,organization=flood")
    assert (breach.limit, breach.current, breach.reset_s) == (2.0, 2.0, 1.0)
    tasks.append(stage.come("other"))
    await settle()
    assert stage.counts == (1, 3)
    for task in tasks:
        task.cancel()
    await settle()
    assert stage.counts == (1, 0)


async def test_a_refusal_says_when_those_who_wait_will_be_served() -> None:
    stage = Stage(queue_max=4)
    ticket = await stage.enter(ask())
    waiters = [stage.come() for _ in range(4)]
    for turn in range(2):
        await settle()
        stage.clock.advance(2.0)
        ticket.leave()
        ticket = await waiters[turn]
    waiters += [stage.come() for _ in range(2)]
    await settle()
    stage.clock.advance(2.0)
    with pytest.raises(Overloaded) as caught:
        await stage.enter(ask())
    # Two were dispatched in the four seconds since the first of them.
    assert caught.value.retry_after_s == pytest.approx(8.0)
    for waiter in waiters:
        waiter.cancel()


async def test_an_empty_queue_forgets_the_pace() -> None:
    stage = Stage(queue_max=1)
    ticket = await stage.enter(ask())
    waiter = stage.come()
    await settle()
    ticket.leave()
    (await waiter).leave()
    stage.clock.advance(1000.0)
    await stage.enter(ask())
    waiter = stage.come()
    await settle()
    with pytest.raises(Overloaded) as caught:
        await stage.enter(ask())
    assert caught.value.retry_after_s == 1.0
    waiter.cancel()


async def test_leaving_the_queue_lets_those_behind_move_up() -> None:
    stage = Stage(slots=2)
    await stage.enter(ask())
    wide, narrow = stage.come("b", choices=2), stage.come("c")
    await settle()
    assert stage.counts == (1, 2)
    wide.cancel()
    await narrow
    assert stage.counts == (2, 0)


async def test_a_slot_given_to_someone_who_just_left_goes_to_the_next() -> None:
    stage = Stage()
    ticket = await stage.enter(ask())
    leaver, stayer = stage.come("b"), stage.come("c")
    await settle()
    ticket.leave()
    leaver.cancel()
    await stayer
    assert stage.counts == (1, 0)
    assert leaver.cancelled()


async def test_a_slot_that_frees_while_someone_leaves_goes_to_the_next() -> None:
    stage = Stage()
    ticket = await stage.enter(ask())
    leaver, stayer = stage.come("b"), stage.come("c")
    await settle()
    leaver.cancel()
    ticket.leave()
    await stayer
    assert stage.counts == (1, 0)
    assert leaver.cancelled()


async def test_depth_wait_and_running_sequences_are_told() -> None:
    stage = Stage(slots=2)
    batch = (MODEL, ("service_class", "batch"))
    ticket = await stage.enter(ask(choices=2))
    waiter = stage.come(service_class=ServiceClass.BATCH)
    await settle()
    gauges = stage.signals.gauges
    assert gauges[Metric.QUEUED_REQUESTS, batch] == 1
    assert gauges[Metric.RUNNING_SEQUENCES, (MODEL,)] == 2
    stage.clock.advance(1.5)
    ticket.leave()
    (await waiter).leave()
    assert gauges[Metric.QUEUED_REQUESTS, batch] == 0
    assert gauges[Metric.RUNNING_SEQUENCES, (MODEL,)] == 0
    standard = (MODEL, ("service_class", "standard"))
    assert stage.signals.observed == [
        (Metric.QUEUE_WAIT_SECONDS, 0.0, standard),
        (Metric.QUEUE_WAIT_SECONDS, 1.5, batch),
    ]


@pytest.mark.parametrize(
    ("tokens", "context", "guess"), [(0, 0, 250), (20, 0, 20), (0, 100, 100), (20, 100, 20)]
)
async def test_a_prompt_is_guessed_from_its_bytes_and_never_above_what_is_known(
    tokens: int, context: int, guess: int
) -> None:
    stage = Stage(slots=3, context_tokens=context)
    long = engine_request(b" " * 1000, tenant="long", tokens=tokens)
    assert stage.gate._place(long).prompt == guess
    assert stage.gate._place(engine_request(b"", tenant="short")).prompt == 1


comers = st.tuples(
    st.sampled_from("abc"),
    st.integers(1, 4),
    st.sampled_from(ServiceClass),
    st.booleans(),
    st.integers(0, 2),
)


@given(
    st.lists(comers, max_size=30),
    st.integers(1, 4),
    st.integers(0, 8),
    st.sampled_from([0.0, 0.3]),
)
def test_whatever_happens_slots_are_never_exceeded_nor_lost(
    comers: list[tuple[str, int, ServiceClass, bool, int]],
    slots: int,
    queue_max: int,
    reserved: float,
) -> None:
    async def play() -> None:
        stage = Stage(slots, queue_max, FairShares(tenant_share=0.7, reserved_share=reserved))

        async def one(request: EngineRequest) -> None:
            ticket = await stage.enter(request)
            try:
                assert 0 < stage.gate.running <= slots
                assert stage.gate.waiting <= queue_max
                await asyncio.sleep(0)
            finally:
                ticket.leave()

        tasks = []
        for tenant, choices, kind, leaves, turns in comers:
            request = ask(tenant, choices=choices, service_class=kind)
            tasks.append(asyncio.create_task(one(request)))
            for _ in range(turns):
                await asyncio.sleep(0)
            if leaves:
                tasks[len(tasks) // 2].cancel()
        for end in await asyncio.gather(*tasks, return_exceptions=True):
            assert end is None or isinstance(
                end, (asyncio.CancelledError, Overloaded, QuotaExceeded)
            )
        assert stage.counts == (0, 0)

    asyncio.run(play())
