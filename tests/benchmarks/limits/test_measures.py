from __future__ import annotations

import pytest

from benchmarks.limits.bench import some_quotas
from benchmarks.limits.measures import accuracy, cost


async def test_a_cost_is_measured_of_callers_far_from_their_limits() -> None:
    got = await cost(quotas=5, active=3, counters=20, seconds=2, warm_s=2)
    assert got.ingress_us > 0
    assert got.store_us > 0
    assert 0 < got.exchanges < 20
    assert (got.misses, got.new) == (0, 0)
    assert got.known_exchanges == got.exchanges


async def test_exchanges_of_new_callers_are_told_apart() -> None:
    got = await cost(quotas=2, active=400, counters=0, seconds=2, warm_s=1)
    assert 50 < got.new < 500
    assert got.misses >= got.new
    assert got.known_exchanges == pytest.approx(got.exchanges - got.new)


async def test_limits_are_exact_for_any_number_of_ledgers() -> None:
    got = await accuracy(ledgers=3, limit=10, offered=50)
    assert (got.admitted, got.over) == (10, 0)


async def test_all_of_a_limit_is_used_though_a_crowd_left_something_over_in_one_ledger() -> None:
    got = await accuracy(ledgers=8, limit=1_000, offered=4_000)
    assert got.at_once >= 900
    assert (got.admitted, got.over, got.unavailable) == (1_000, 0, 0)


def test_there_are_as_many_limits_as_are_asked_for() -> None:
    assert len(set(some_quotas(20))) == 20
