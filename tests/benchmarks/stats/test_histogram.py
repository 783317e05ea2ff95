from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.stats.histogram import Histogram
from benchmarks.stats.spread import quantile

VALUES = st.lists(st.floats(0.002, 1e6), min_size=1, max_size=200)


def filled(values: list[float]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    return histogram


@given(VALUES, st.floats(0.01, 1.0))
def test_a_quantile_is_within_two_percent_of_the_exact_one(
    values: list[float], share: float
) -> None:
    exact = quantile(values, share)
    assert filled(values).quantile(share) == pytest.approx(exact, rel=0.021)


@given(VALUES, VALUES)
def test_two_together_are_as_if_all_were_counted_in_one(
    left: list[float], right: list[float]
) -> None:
    assert filled(left).plus(filled(right)) == filled(left + right)


def test_an_empty_one_has_no_quantile() -> None:
    assert Histogram().quantile(0.5) == 0.0


def test_values_too_small_to_tell_are_counted() -> None:
    assert filled([0.0, 0.0]).count == 2
    assert filled([0.0, 0.0]).quantile(0.5) == 0.0
