"""How long a scenario takes, before it runs: the sum of its parts, as two cores take it."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.load.plan import Closed, Pace
from benchmarks.scenarios.ports import Load, Scenario
from benchmarks.stats.order import alternating
from benchmarks.systems.ports import System

# Processes of the generator that start and end, and a look at all processes of a system.
AROUND_S = 0.6
# A request of a load that counts its requests: an engine's stream on two cores. Very roughly.
_STREAM_S = 1.7
_STREAM_MORE_S = 0.26


def estimate_s(scenario: Scenario) -> float:
    """Seconds. Starts that neighbours share count once; what an earlier scenario left is not
    known here."""
    loads_s = sum(_load_s(load, scenario.probe_s, scenario.rounds) for load in scenario.loads)
    return sum(
        (0.0 if shared else system.start_s) + loads_s
        for system, shared in _in_turn([make for _, make in _visits(scenario)])
    )


def minutes(seconds: float) -> str:
    """`9:05 min`."""
    whole, rest = divmod(round(seconds), 60)
    return f"{whole}:{rest:02d} min"


def _visits(scenario: Scenario) -> list[tuple[int, Callable[[], System]]]:
    return alternating(scenario.systems, scenario.visits)


def _in_turn(makers: list[Callable[[], System]]) -> list[tuple[System, bool]]:
    """Each visit's system, and whether it is the one before."""
    found: list[tuple[System, bool]] = []
    for make in makers:
        system = make()
        shared = bool(found and system.base and found[-1][0].base == system.base)
        found.append((system, shared))
    return found


def _load_s(load: object, probe_s: float, rounds: int) -> float:
    """A load with its warm-up, over all rounds of a visit."""
    if not isinstance(load, Load):
        return probe_s * rounds
    warm_s = _pace_s(load.warm_up) + AROUND_S
    return warm_s + rounds * (_pace_s(load.pace) + AROUND_S)


def _pace_s(pace: Pace) -> float:
    if not isinstance(pace, Closed) or not pace.requests_each:
        return pace.duration_s
    return pace.requests_each * (_STREAM_S + _STREAM_MORE_S * pace.connections)
