from __future__ import annotations

import pytest

from benchmarks.load.plan import Closed, Expected, Open
from benchmarks.scenarios.estimate import AROUND_S, estimate_s, minutes
from benchmarks.scenarios.ports import Load, Scenario
from benchmarks.systems.in_process import ThisProcess


class Slow(ThisProcess):
    base = "slow"
    start_s = 100.0


class Quick(ThisProcess):
    start_s = 10.0


def scenario(visits: int, rounds: int) -> Scenario:
    load = Load("x", "x", ("{}",), Expected(1), Open(10.0, 20.0), Closed(1, duration_s=4.0))
    return Scenario("x", "x", (Slow, Quick), (load,), visits, rounds)


def test_a_visit_is_a_start_a_warm_up_and_its_rounds() -> None:
    assert estimate_s(scenario(1, 1)) == pytest.approx(110.0 + 2 * (24.0 + 2 * AROUND_S))
    assert estimate_s(scenario(1, 3)) == pytest.approx(110.0 + 2 * (64.0 + 4 * AROUND_S))


def test_neighbours_with_the_same_base_start_once() -> None:
    # Quick, Slow | Slow, Quick
    assert estimate_s(scenario(2, 1)) == pytest.approx(120.0 + 4 * (24.0 + 2 * AROUND_S))


def test_minutes_are_read_at_a_glance() -> None:
    assert minutes(65.4) == "1:05 min"
