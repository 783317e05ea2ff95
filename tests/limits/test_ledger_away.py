from __future__ import annotations

import asyncio

import pytest

from helixflow.errors import QuotaExceeded, Refusal, Unavailable
from helixflow.inference.principal import Principal
from helixflow.inference.quota import LimitName, Scope
from helixflow.inference.usage import Usage
from helixflow.limits.ledger import Ledger
from helixflow.limits.ports import LimitView
from helixflow.signals import Metric
from helixflow.testing.limit_faults import Fault

from .bench import RPM, SLOTS, SPEND, TPM, Bench, refused, reserve, until
from .caller import SPEC, body, caller, quota


async def warm(bench: Bench, *quotas: tuple[LimitName, int]) -> tuple[Ledger, Principal]:
    """A ledger in use for a while, as far as its clock knows."""
    ledger = bench.ledger()
    principal = caller(*(quota(name, amount) for name, amount in quotas))
    await reserve(ledger, principal)
    running = asyncio.create_task(ledger.run())
    for _ in range(30):
        bench.clock.advance(1.0)
        (await reserve(ledger, principal)).settle(Usage(100, 10))
        before = bench.store.exchanges
        await until(lambda before=before: bench.store.exchanges > before + 1)  # type: ignore[misc]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return ledger, principal


async def take_away(bench: Bench, ledger: Ledger) -> None:
    bench.store.fault = Fault.AWAY
    await refused(ledger, caller(quota(RPM, 5, Scope.KEY), key="key_cold"))


async def test_rates_go_on_from_leases_and_standbys_and_then_refuse() -> None:
    bench = Bench()
    ledger, principal = await warm(bench, (RPM, 10**5), (TPM, 10**8))
    await take_away(bench, ledger)
    admitted = 0
    for _ in range(90):
        bench.clock.advance(1.0)
        try:
            reserved = ledger.try_reserve(principal, SPEC, body())
        except Unavailable:
            break
        assert reserved is not None, "nothing waits while the store is away"
        reserved.settle(Usage(100, 10))
        admitted += 1
    assert 29 <= admitted <= 60


async def test_spend_refuses_once_its_lease_is_over() -> None:
    bench = Bench()
    ledger, principal = await warm(bench, (RPM, 10**5), (SPEND, 10**15))
    await take_away(bench, ledger)
    bench.clock.advance(31.0)
    error = await refused(ledger, principal)
    assert isinstance(error, Unavailable)
    assert error.reason is Refusal.LIMITS_UNAVAILABLE
    assert error.retry_after_s is not None


async def test_slots_that_are_counted_for_this_process_can_be_used() -> None:
    bench = Bench()
    ledger, principal = await warm(bench, (SLOTS, 1_000))
    await take_away(bench, ledger)
    for _ in range(50):
        (await reserve(ledger, principal)).settle(None)
    bench.clock.advance(30.0)
    assert isinstance(await refused(ledger, principal), Unavailable)


async def test_what_is_known_to_be_used_up_is_still_refused_as_such() -> None:
    bench = Bench()
    ledger, full = bench.ledger(), caller(quota(RPM, 1))
    await reserve(ledger, full)
    await refused(ledger, full)
    await take_away(bench, ledger)
    assert isinstance(await refused(ledger, full), QuotaExceeded)


async def test_it_is_logged_once_and_tried_again_with_pauses(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "helixflow.limits.ledger")
    bench = Bench()
    ledger, _ = await warm(bench, (SPEND, 10**15))
    await take_away(bench, ledger)
    before = bench.store.exchanges
    for _ in range(1_000):
        await refused(ledger, caller(quota(RPM, 5, Scope.KEY), key="key_cold"))
        await asyncio.sleep(0)
    assert bench.store.exchanges == before, "its clock stands still"
    for pause_s in (0.1, 0.2, 0.5, 1.0, 1.0):
        bench.clock.advance(pause_s)
        before = bench.store.exchanges
        await refused(ledger, caller(quota(RPM, 5, Scope.KEY), key="key_cold"))
        await until(lambda before=before: bench.store.exchanges == before + 1)  # type: ignore[misc]
        await until(lambda: ledger._task is None)
    assert len(caplog.records) == 1
    assert bench.signals.gauges[Metric.LIMIT_STORE_AWAY_SECONDS, ()] > 2.0
    bench.store.fault = Fault.NONE
    bench.clock.advance(1.0)
    await refused(ledger, caller(quota(RPM, 5, Scope.KEY), key="key_cold"))
    await until(lambda: len(caplog.records) == 2)
    await reserve(ledger, caller(quota(RPM, 5, Scope.KEY), key="key_cold"))
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert bench.signals.gauges[Metric.LIMIT_STORE_AWAY_SECONDS, ()] == 0.0


@pytest.mark.parametrize("fault", [Fault.BROKEN, Fault.GARBLED, Fault.LOST])
async def test_answers_that_cannot_be_used_give_nothing_and_lose_nothing(
    fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench()
    ledger, principal = bench.ledger(), caller(quota(RPM, 5), quota(SLOTS, 5))
    bench.store.fault = fault
    assert isinstance(await refused(ledger, principal), Unavailable)
    assert [bool(record.exc_info) for record in caplog.records] == [fault is Fault.BROKEN]
    bench.store.fault = Fault.NONE
    bench.clock.advance(1.0)
    assert isinstance(await refused(ledger, principal), Unavailable)
    await until(lambda: ledger._task is None)
    reserved = [await reserve(ledger, principal) for _ in range(5)]
    assert isinstance(await refused(ledger, principal), QuotaExceeded)
    for each in reserved:
        each.cancel()
    await ledger.close()
    assert [view.remaining for view in await bench.ledger().view(principal)] == [5.0, 5.0]


async def test_a_caller_sees_what_is_known() -> None:
    bench = Bench()
    ledger, principal = await warm(bench, (RPM, 10**5))
    await take_away(bench, ledger)
    bench.clock.advance(5.0)
    cold = caller(quota(RPM, 7, Scope.USER), subject="user_1")
    before = bench.store.exchanges
    assert (await ledger.view(principal))[0].remaining is not None
    assert await ledger.view(cold) == [
        LimitView("requests_per_minute", "user=user_1", 7.0, None, None)
    ]
    assert bench.store.exchanges == before
