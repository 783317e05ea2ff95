from __future__ import annotations

import asyncio

import pytest

from helixflow.errors import InvalidRequest, Overloaded, QuotaExceeded, Refusal, Unavailable
from helixflow.inference.quota import NANO_USD, Scope
from helixflow.inference.usage import Usage
from helixflow.limits.ledger import Ledger
from helixflow.limits.ports import Limiter
from helixflow.limits.till import Reserved
from helixflow.settings import LimitsSettings
from helixflow.signals import Metric
from helixflow.testing.gateway import some_spec
from helixflow.testing.limit_faults import Fault

from .bench import RPM, SLOTS, SPEND, TPM, Bench, refused, reserve, told, until
from .caller import SPEC, body, caller, quota


async def test_who_has_no_limits_is_admitted_without_asking_anybody() -> None:
    bench = Bench()
    ledger = bench.ledger()
    limiter: Limiter = ledger
    reserved = await reserve(ledger, caller())
    assert (reserved.headers, reserved.tokens) == ((), 357)
    reserved.settle(Usage(1, 2))
    assert bench.store.exchanges == 0
    assert await limiter.view(caller()) == []


async def test_far_from_a_limit_a_thousand_requests_are_a_handful_of_exchanges() -> None:
    bench = Bench()
    ledger = bench.ledger()
    principal = caller(quota(RPM, 10**6), quota(TPM, 10**9, Scope.KEY), quota(SLOTS, 1_000))
    await reserve(ledger, principal)
    before = bench.store.exchanges
    for _ in range(1_000):
        (await reserve(ledger, principal)).settle(Usage(100, 20))
        await asyncio.sleep(0)
    assert bench.store.exchanges - before <= 5


async def test_at_the_limit_exactly_so_many_are_admitted_by_all_ledgers_together() -> None:
    bench = Bench(wait_s=30.0)
    ledgers = [bench.ledger() for _ in range(4)]
    principal = caller(quota(RPM, 100), quota(TPM, 10**9))

    async def one(ledger: Ledger) -> bool:
        try:
            (await reserve(ledger, principal)).settle(Usage(5, 5))
        except QuotaExceeded:
            return False
        return True

    results = await asyncio.gather(*(one(ledgers[turn % 4]) for turn in range(1_000)))
    assert sum(results) == 100
    assert bench.store.exchanges < 200


async def test_a_crowd_costs_few_exchanges_and_leaves_nothing_over() -> None:
    bench = Bench(wait_s=30.0)
    ledgers = [bench.ledger() for _ in range(4)]
    principal = caller(quota(RPM, 1_000), quota(SLOTS, 1_500))
    results = await asyncio.gather(
        *(reserve(ledgers[turn % 4], principal) for turn in range(2_000)), return_exceptions=True
    )
    held = [each for each in results if isinstance(each, Reserved)]
    refused_ = [each for each in results if isinstance(each, QuotaExceeded)]
    assert (len(held), len(refused_)) == (1_000, 1_000)
    assert bench.store.exchanges < 30


async def test_what_lies_unused_elsewhere_comes_back_within_a_heartbeat() -> None:
    bench = Bench()
    idle, busy = bench.ledger(), bench.ledger()
    principal = caller(quota(RPM, 200), quota(SLOTS, 5))
    (await reserve(idle, principal)).settle(None)  # of a lease of more than one
    error = None
    admitted = 0
    while error is None:
        try:
            (await reserve(busy, principal)).settle(None)
            admitted += 1
        except QuotaExceeded as refusal:
            error = refusal
    assert admitted < 199
    assert error.retry_after_s is not None
    assert error.retry_after_s <= 1.5
    said = bench.store.exchanges
    idle.beat()
    await until(lambda: bench.store.exchanges == said + 2)
    bench.clock.advance(error.retry_after_s)
    for _ in range(199 - admitted):
        (await reserve(busy, principal)).settle(None)
    assert isinstance(await refused(busy, principal), QuotaExceeded)


async def test_a_granted_request_is_admitted_though_its_process_was_late_to_look() -> None:
    bench = Bench(wait_s=0.0)  # the deadline passes together with the answer
    reserved = await reserve(bench.ledger(), caller(quota(RPM, 5)))
    assert told(reserved)["remaining-requests"] == "4"


async def test_slots_are_exact_across_ledgers_and_all_come_back() -> None:
    bench = Bench(wait_s=30.0)
    ledgers = [bench.ledger() for _ in range(3)]
    principal = caller(quota(SLOTS, 7))
    for _ in range(3):
        held: list[Reserved] = []

        async def one(ledger: Ledger, held: list[Reserved] = held) -> None:
            try:
                held.append(await reserve(ledger, principal))
            except QuotaExceeded:
                return

        await asyncio.gather(*(one(ledgers[turn % 3]) for turn in range(60)))
        assert len(held) == 7
        for reserved in held:
            reserved.settle(None)
        await asyncio.sleep(0.05)
        bench.clock.advance(0.2)


async def test_a_refusal_says_what_is_used_up_and_spends_nothing() -> None:
    bench = Bench()
    ledger = bench.ledger()
    principal = caller(quota(RPM, 2, Scope.KEY), quota(TPM, 100_000, Scope.PROJECT))
    for _ in range(2):
        (await reserve(ledger, principal)).settle(Usage(1_000, 0))
    before = await ledger.view(principal)
    bench.clock.advance(10.0)
    error = await refused(ledger, principal)
    assert isinstance(error, QuotaExceeded)
    assert error.reason is Refusal.RATE_LIMIT_EXCEEDED
    assert error.retry_after_s is not None
    assert 50 < error.retry_after_s <= 51
    breach = error.breach
    assert breach is not None
    assert (breach.name, breach.scope, breach.limit, breach.current) == (
        "requests_per_minute", "key=key_1", 2.0, 2.0,
    )  # fmt: skip
    assert "requests_per_minute of key=key_1: 2 allowed, 2 used" in error.message
    bench.clock.advance(2.0)
    after = await ledger.view(principal)
    assert [view.remaining for view in after] == [view.remaining for view in before]
    assert bench.signals.labels(Metric.LIMIT_REFUSALS) == [{"limit": "requests_per_minute"}]
    assert dict(ledger.headers(principal, SPEC.name))[b"x-ratelimit-remaining-requests"] == b"0"


async def test_a_hard_limit_of_spend_takes_the_most_that_a_request_can_cost() -> None:
    bench = Bench()
    ledger, principal = bench.ledger(), caller(quota(SPEND, 1_000_000, hard=True))
    most = body(prompt_bytes=36, max_tokens=10)  # 100 tokens at 2 and 10 at 10 dollars a million
    held = [await reserve(ledger, principal, most) for _ in range(3)]
    with pytest.raises(QuotaExceeded) as caught:
        await reserve(ledger, principal, most)
    breach = caught.value.breach
    assert breach is not None
    assert breach.current == pytest.approx(0.0009)
    for each in held:
        each.settle(Usage(10, 1))
    bench.clock.advance(1.0)
    (view,) = await ledger.view(principal)
    assert view.remaining == pytest.approx(0.001 - 3 * 0.00003)


async def test_what_can_never_be_is_refused_at_once_and_without_a_time() -> None:
    bench = Bench()
    error = await refused(bench.ledger(), caller(quota(TPM, 90, Scope.KEY)))
    assert error.retry_after_s is None
    assert "this request may take 112" in error.message
    assert bench.store.exchanges == 0
    none = await refused(bench.ledger(), caller(quota(SLOTS, 0)))
    assert isinstance(none, QuotaExceeded)


async def test_a_flood_at_the_limit_is_refused_without_asking_each_time() -> None:
    bench = Bench()
    ledger, principal = bench.ledger(), caller(quota(RPM, 1))
    await reserve(ledger, principal)
    await refused(ledger, principal)
    before = bench.store.exchanges
    for _ in range(100):
        await refused(ledger, principal)
    assert bench.store.exchanges == before
    bench.clock.advance(62.0)
    await reserve(ledger, principal)


async def test_spend_is_told_in_dollars() -> None:
    bench = Bench()
    ledger, principal = bench.ledger(), caller(quota(SPEND, NANO_USD // 100))
    (await reserve(ledger, principal)).settle(Usage(1_000, 1_000))
    bench.clock.advance(3.0)
    (view,) = await ledger.view(principal)
    assert (view.limit, view.remaining) == (0.01, 0.0)
    error = await refused(ledger, principal)
    assert error.breach is not None
    assert error.breach.limit == 0.01
    assert "0.01 USD allowed" in error.message


async def test_cached_prompt_tokens_are_priced_apart_and_what_was_not_used_comes_back() -> None:
    bench = Bench()
    ledger, principal = bench.ledger(), caller(quota(SPEND, NANO_USD), quota(TPM, 10**6))
    reserved = await reserve(ledger, principal)
    reserved.settle(Usage(100, 10, 60))
    reserved.settle(Usage(9_999, 9_999))
    await ledger.close()
    views = await bench.ledger().view(principal)
    used = [round((view.limit - (view.remaining or 0)) * NANO_USD) for view in views]
    assert used == [40 * 2_000 + 60 * 500 + 10 * 10_000, 110 * NANO_USD]


async def test_debt_is_carried_unless_the_limit_is_hard() -> None:
    bench = Bench()
    ledger, soft = bench.ledger(), caller(quota(TPM, 1_000))
    (await reserve(ledger, soft)).settle(Usage(100, 5_000))
    error = await refused(ledger, soft)
    assert error.breach is not None
    assert error.breach.current == 1_000
    bench.clock.advance(63.0)
    await reserve(ledger, soft)

    hard = caller(quota(TPM, 2_000, Scope.KEY, hard=True))
    held = await reserve(ledger, hard, body(400, max_tokens=1_000))
    await refused(ledger, hard)
    held.settle(Usage(100, 10))
    await reserve(ledger, hard)


async def test_a_hard_limit_needs_to_know_how_long_an_answer_may_be() -> None:
    ledger = Bench().ledger()
    with pytest.raises(InvalidRequest):
        ledger.try_reserve(caller(quota(TPM, 10_000, hard=True)), some_spec(), body())


async def test_a_warm_request_needs_no_waiting() -> None:
    ledger, principal = Bench().ledger(), caller(quota(RPM, 1_000))
    assert ledger.try_reserve(principal, SPEC, body()) is None
    await reserve(ledger, principal)
    assert ledger.try_reserve(principal, SPEC, body()) is not None


async def test_answers_carry_what_is_left() -> None:
    ledger = Bench().ledger()
    principal = caller(quota(RPM, 1_000), quota(TPM, 100_000, Scope.KEY))
    first = told(await reserve(ledger, principal))
    assert first["limit-requests"] == "1000"
    assert first["remaining-requests"] == "999"
    assert int(first["remaining-tokens"]) == 100_000 - 357
    assert told(await reserve(ledger, principal))["remaining-requests"] == "998"


async def test_who_hangs_up_while_waiting_has_taken_nothing() -> None:
    bench = Bench()
    ledger, principal = bench.ledger(), caller(quota(RPM, 5), quota(SLOTS, 5))
    bench.store.held.clear()
    early = asyncio.create_task(reserve(ledger, principal))
    late = asyncio.create_task(reserve(ledger, principal))
    await until(lambda: bench.store.exchanges == 1)
    early.cancel()
    await asyncio.sleep(0)
    bench.store.held.set()
    await until(lambda: not ledger._waiting)
    late.cancel()  # it was served already, and does not know it yet
    results = await asyncio.gather(early, late, return_exceptions=True)
    assert [type(result) for result in results] == [asyncio.CancelledError] * 2
    await ledger.close()
    views = await bench.ledger().view(principal)
    assert [view.remaining for view in views] == [5.0, 5.0]


async def test_a_wait_that_was_refused_and_given_up_at_once_is_no_trouble() -> None:
    bench = Bench()
    ledger, principal = bench.ledger(), caller(quota(RPM, 1))
    await reserve(ledger, principal)
    bench.clock.advance(1.0)
    waiting = asyncio.create_task(reserve(ledger, principal))
    await until(lambda: bool(ledger._waiting))
    await until(lambda: not ledger._waiting)
    waiting.cancel()
    with pytest.raises((asyncio.CancelledError, QuotaExceeded)):
        await waiting


async def test_every_wait_has_a_deadline_and_a_store_that_hangs_is_away() -> None:
    bench = Bench(wait_s=0.02)
    ledger = bench.ledger()
    bench.store.fault = Fault.HANGING
    errors = await asyncio.gather(
        *(refused(ledger, caller(quota(RPM, 5), key=f"key_{n}")) for n in range(3))
    )
    assert {type(error) for error in errors} == {Unavailable}
    assert {error.reason for error in errors} == {Refusal.LIMITS_UNAVAILABLE}
    assert all(error.retry_after_s for error in errors)


async def test_a_wait_ends_by_its_deadline_also_while_exchanges_go_on() -> None:
    bench = Bench(wait_s=0.02)
    ledger, principal = bench.ledger(), caller(quota(RPM, 5))
    bench.store.held.clear()
    error = await refused(ledger, principal)
    assert error.reason is Refusal.LIMITS_UNAVAILABLE
    bench.store.held.set()


async def test_only_so_many_may_wait() -> None:
    bench = Bench(LimitsSettings(waiters_max=2))
    ledger, principal = bench.ledger(), caller(quota(RPM, 5))
    bench.store.held.clear()
    waiting = [asyncio.create_task(reserve(ledger, principal)) for _ in range(2)]
    await until(lambda: len(ledger._waiting) == 2)
    with pytest.raises(Overloaded):
        await reserve(ledger, principal)
    bench.store.held.set()
    await asyncio.gather(*waiting)


async def test_only_so_many_counters_are_held() -> None:
    bench = Bench(LimitsSettings(held_max=1))
    ledger = bench.ledger()
    await reserve(ledger, caller(quota(RPM, 5)))
    other = caller(quota(RPM, 5, Scope.KEY))
    with pytest.raises(Overloaded):
        await reserve(ledger, other)
    assert ledger.headers(other, SPEC.name) == ()
    assert (await ledger.view(other))[0].remaining is None


async def test_a_caller_sees_its_limits_also_those_of_models() -> None:
    bench = Bench()
    ledger = bench.ledger()
    principal = caller(
        quota(RPM, 60), quota(SLOTS, 8), quota(TPM, 500, Scope.MODEL), quota(RPM, 9, Scope.USER)
    )
    held = await reserve(ledger, principal)
    bench.clock.advance(2.0)
    views = await ledger.view(principal, ["echo-1", "other"])
    assert [(view.name, view.scope, view.limit, view.remaining) for view in views] == [
        ("requests_per_minute", "organization", 60.0, 59.0),
        ("concurrent_requests", "organization", 8.0, 7.0),
        ("tokens_per_minute", "model=echo-1", 500.0, 500.0 - 101 - 62),
        ("tokens_per_minute", "model=other", 500.0, 500.0),
    ]
    assert all(view.reset_s is not None for view in views)
    assert held.tokens == 357


async def test_a_free_slot_near_its_limit_goes_back_in_a_moment() -> None:
    bench = Bench()
    mine, theirs = bench.ledger(), bench.ledger()
    principal = caller(quota(SLOTS, 1))
    (await reserve(mine, principal)).settle(None)
    (await reserve(mine, principal)).settle(None)
    await until(lambda: mine._timer is not None)
    await until(lambda: mine._timer is None and mine._task is None)
    await reserve(theirs, principal)


async def test_a_heartbeat_is_a_sign_of_life_and_brings_news() -> None:
    bench = Bench()
    ledger = bench.ledger()
    running = asyncio.create_task(ledger.run())
    await until(lambda: bench.store.exchanges >= 3)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    before = bench.store.exchanges
    await asyncio.sleep(0.02)
    assert bench.store.exchanges == before


async def test_a_ledger_that_closes_gives_everything_back_but_what_runs() -> None:
    bench = Bench()
    ledger, principal = bench.ledger(), caller(quota(RPM, 1_000), quota(SLOTS, 100))
    for _ in range(3):
        (await reserve(ledger, principal)).settle(None)
    running = await reserve(ledger, principal)
    bench.store.held.clear()
    waiting = asyncio.create_task(reserve(ledger, caller(quota(RPM, 5, Scope.KEY))))
    keeping = asyncio.create_task(ledger.run())
    await until(lambda: bool(ledger._waiting))
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    bench.store.held.set()
    await ledger.close()
    with pytest.raises(Unavailable):
        await waiting
    assert isinstance(await refused(ledger, principal), Unavailable)
    views = await bench.ledger().view(principal)
    assert [view.remaining for view in views] == [996.0, 99.0]
    running.settle(None)


async def test_a_ledger_can_close_while_the_store_is_away() -> None:
    bench = Bench()
    ledger, principal = bench.ledger(), caller(quota(SLOTS, 1))
    (await reserve(ledger, principal)).settle(None)
    bench.store.fault = Fault.AWAY
    await ledger.close()


async def test_a_caller_whose_counters_were_forgotten_is_known_again() -> None:
    bench = Bench(LimitsSettings(heartbeat_s=0.001, idle_s=1.0))
    ledger, principal = bench.ledger(), caller(quota(RPM, 1_000))
    await reserve(ledger, principal)
    running = asyncio.create_task(ledger.run())
    for _ in range(50):
        bench.clock.advance(5.0)
        before = bench.store.exchanges
        await until(lambda before=before: bench.store.exchanges > before)  # type: ignore[misc]
    assert len(ledger._purse) == 0
    await reserve(ledger, principal)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_who_waits_while_its_counters_are_forgotten_is_measured_again() -> None:
    bench = Bench(LimitsSettings(held_max=2, idle_s=60.0))
    ledger, principal = bench.ledger(), caller(quota(RPM, 1_000))
    bench.store.held.clear()
    first = asyncio.create_task(reserve(ledger, caller(quota(RPM, 5, Scope.KEY))))
    await until(lambda: bench.store.exchanges == 1)
    waiting = [asyncio.create_task(reserve(ledger, principal)) for _ in range(3)]
    await until(lambda: len(ledger._waiting) == 4)
    bench.clock.advance(61.0)
    ledger._purse.tick(bench.clock.monotonic())
    assert len(ledger._purse) == 1
    waiting[0].cancel()
    bench.store.held.set()
    results = await asyncio.gather(first, *waiting, return_exceptions=True)
    kinds = [type(result) for result in results]
    assert kinds == [Reserved, asyncio.CancelledError, Reserved, Reserved]


async def test_who_waits_while_its_counters_are_forgotten_for_others_is_refused() -> None:
    bench = Bench(LimitsSettings(held_max=2, idle_s=60.0))
    ledger = bench.ledger()
    bench.store.held.clear()
    first = asyncio.create_task(reserve(ledger, caller(quota(RPM, 5, Scope.KEY))))
    await until(lambda: bench.store.exchanges == 1)
    waiting = asyncio.create_task(refused(ledger, caller(quota(RPM, 1_000))))
    await until(lambda: len(ledger._waiting) == 2)
    bench.clock.advance(61.0)
    ledger._purse.tick(bench.clock.monotonic())
    other = asyncio.create_task(reserve(ledger, caller(quota(RPM, 9, Scope.KEY), key="key_2")))
    await until(lambda: len(ledger._waiting) == 3)
    bench.store.held.set()
    assert isinstance(await waiting, Overloaded)
    await asyncio.gather(first, other)


async def test_it_is_counted_by_what_a_request_was_let_through() -> None:
    bench = Bench()
    ledger = bench.ledger()
    principal = caller(quota(RPM, 10**6))
    for _ in range(3):
        await reserve(ledger, principal)
    counts = {
        dict(labels)["outcome"]: count
        for (metric, labels), count in bench.signals.counts.items()
        if metric is Metric.LIMIT_RESERVATIONS
    }
    assert counts == {"exchange": 1, "lease": 2}
