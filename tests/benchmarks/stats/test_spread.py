from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.stats.spread import Figure, figure, quantile, ratios

VALUES = st.lists(st.floats(0.1, 1e6), min_size=1, max_size=50)


@given(VALUES)
def test_the_median_lies_in_the_range(values: list[float]) -> None:
    seen = figure(values)
    assert seen is not None
    assert seen.low <= seen.median <= seen.high
    assert seen.samples == len(values)


def test_nothing_measured_is_no_figure() -> None:
    assert figure([]) is None
    assert ratios([], [1.0]) is None


def test_ratios_are_taken_repeat_by_repeat() -> None:
    # The machine became half as fast after the first repeat; ours is faster all the same.
    assert ratios([110.0, 55.0], [100.0, 50.0]) == Figure(1.1, 1.1, 1.1, 2)


def test_a_repeat_without_a_partner_is_left_out() -> None:
    assert ratios([2.0, 4.0], [1.0]) == Figure(2.0, 2.0, 2.0, 1)
    assert ratios([2.0, 4.0], [0.0, 1.0]) == Figure(4.0, 4.0, 4.0, 1)


@given(VALUES, st.floats(0, 1))
def test_a_quantile_is_a_value_that_was_measured(values: list[float], share: float) -> None:
    assert quantile(values, share) in values


def test_quantiles_are_nearest_ranks() -> None:
    values = [float(number) for number in range(1, 101)]
    assert quantile(values, 0.5) == 50.0
    assert quantile(values, 0.99) == 99.0
    assert quantile(values, 1.0) == 100.0
    assert quantile([], 0.5) == 0.0
