from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.engine.shedding import Bounds, Waiting, drain_s, part_of
from helixflow.errors import Refusal


@given(
    st.lists(st.floats(0, 1e6), max_size=32).map(sorted),
    st.integers(0, 10_000),
    st.floats(0, 1e6),
)
def test_the_wait_is_always_between_a_second_and_a_minute(
    departures: list[float], ahead: int, later: float
) -> None:
    now = (departures[-1] if departures else 0.0) + later
    assert 1.0 <= drain_s(departures, ahead, now) <= 60.0


@given(
    st.integers(0, 60),
    st.floats(0, 0.9),
    st.floats(0.1, 1),
    st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=150),
)
def test_however_they_come_the_queue_keeps_its_bounds(
    queue_max: int, reserved: float, share: float, comers: list[tuple[int, bool]]
) -> None:
    bounds = Bounds(queue_max, part_of(reserved, queue_max), share)
    waiting: list[tuple[int, bool]] = []
    for tenant, critical in comers:
        ordinary = sum(not urgent for _, urgent in waiting)
        mine = sum(who == tenant for who, _ in waiting)
        refusal = bounds.refusal(Waiting(len(waiting), ordinary, mine), critical=critical)
        full = len(waiting) >= queue_max or (
            not critical and ordinary >= queue_max - bounds.reserved
        )
        assert (refusal is Refusal.OVERLOADED) == full
        if refusal is None:
            waiting.append((tenant, critical))
            assert mine + 1 <= max(1, round(share, 3) * queue_max)
        elif refusal is Refusal.QUEUE_FULL:
            assert mine >= 1


@pytest.mark.parametrize("others", range(6))
def test_however_many_tenants_flood_there_is_a_place_for_one_more(others: int) -> None:
    bounds, held = Bounds(256, 0, 0.8), dict.fromkeys(range(others + 1), 0)
    for _ in range(256):
        for tenant in held:
            waiting = sum(held.values())
            if bounds.refusal(Waiting(waiting, waiting, held[tenant]), critical=False) is None:
                held[tenant] += 1
    assert max(held.values()) - min(held.values()) <= 1
    assert 256 - sum(held.values()) >= 256 // (4 * (others + 1) + 1)
    newcomer = Waiting(sum(held.values()), sum(held.values()), 0)
    assert bounds.refusal(newcomer, critical=False) is None


@pytest.mark.parametrize(
    ("share", "whole", "part"),
    [
        (0.0, 8, 0),
        (0.1, 8, 1),
        (0.1, 10, 1),
        (0.07, 100, 7),
        (0.9, 1, 0),
        (0.99, 4, 3),
        (0.5, 0, 0),
    ],
)
def test_a_part_is_rounded_up_and_never_all(share: float, whole: int, part: int) -> None:
    assert part_of(share, whole) == part
