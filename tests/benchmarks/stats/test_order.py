from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.stats.order import alternating


def test_every_second_visit_goes_backwards_and_the_last_one_forwards() -> None:
    assert alternating("AB", 3) == [(0, "A"), (0, "B"), (1, "B"), (1, "A"), (2, "A"), (2, "B")]
    assert alternating("AB", 2) == [(0, "B"), (0, "A"), (1, "A"), (1, "B")]


@given(st.lists(st.integers(), unique=True, max_size=6), st.integers(0, 6))
def test_every_system_has_every_visit_once(systems: list[int], visits: int) -> None:
    turns = alternating(systems, visits)
    assert sorted(turns) == sorted((v, s) for v in range(visits) for s in systems)


@given(st.integers(1, 3))
def test_over_an_even_number_of_visits_nobody_is_earlier_on_average(pairs: int) -> None:
    turns = alternating("AB", 2 * pairs)
    places = {name: [i for i, (_, each) in enumerate(turns) if each == name] for name in "AB"}
    assert sum(places["A"]) == sum(places["B"])
