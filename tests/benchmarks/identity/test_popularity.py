from __future__ import annotations

from collections import Counter

from benchmarks.identity.popularity import Popularity, spread_out


def test_the_same_seed_draws_the_same_callers() -> None:
    assert Popularity(50, seed=7).draw(100) == Popularity(50, seed=7).draw(100)


def test_the_first_caller_comes_ten_times_as_often_as_the_tenth() -> None:
    seen = Counter(Popularity(100).draw(20_000))
    assert 7 < seen[0] / seen[9] < 14


def test_everybody_comes_for_the_first_time_once_and_the_busy_ones_earlier() -> None:
    order = Popularity(1_000).first_uses()
    assert sorted(order) == list(range(1_000))
    assert sum(map(order.index, range(10))) < sum(map(order.index, range(990, 1_000)))


def test_rows_in_use_lie_all_over_the_store() -> None:
    assert spread_out(4, 100) == [0, 25, 50, 75]
    assert spread_out(3, 3) == [0, 1, 2]
    assert len(set(spread_out(7, 10))) == 7
