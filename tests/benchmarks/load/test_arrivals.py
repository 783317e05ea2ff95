from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.load.arrivals import schedule
from benchmarks.load.plan import Open


@given(st.integers(0, 10_000), st.integers(1, 20))
def test_due_times_ascend_within_the_duration(seed: int, burst: int) -> None:
    due = schedule(Open(200.0, 1.0, seed=seed, burst=burst))
    assert due == sorted(due)
    assert all(0 <= at < 1.0 for at in due)
    assert len(due) % burst == 0


@pytest.mark.parametrize("burst", [1, 10])
def test_the_mean_rate_is_the_asked_one_with_and_without_bursts(burst: int) -> None:
    due = schedule(Open(1000.0, 60.0, burst=burst))
    assert len(due) / 60.0 == pytest.approx(1000.0, rel=0.05)


def test_gaps_vary_as_exponential_ones_do() -> None:
    due = schedule(Open(1000.0, 60.0))
    gaps = [b - a for a, b in itertools.pairwise(due)]
    mean = sum(gaps) / len(gaps)
    variance = sum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    assert variance**0.5 / mean == pytest.approx(1.0, rel=0.05)


def test_the_same_seed_gives_the_same_schedule_and_another_one_another() -> None:
    assert schedule(Open(50.0, 1.0, seed=3)) == schedule(Open(50.0, 1.0, seed=3))
    assert schedule(Open(50.0, 1.0, seed=3)) != schedule(Open(50.0, 1.0, seed=4))


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="rate"):
        schedule(Open(0.0, 1.0))
