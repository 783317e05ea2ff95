"""What limits add to a request, and whether they are exact, in this process."""

from __future__ import annotations

from benchmarks.limits.probes import LimitsAccuracy, LimitsCost
from benchmarks.scenarios.ports import Scenario
from benchmarks.settings import Depth
from benchmarks.systems.in_process import ThisProcess

LIMITS = "limits"
_ACTIVE = 10_000


def limits(depth: Depth) -> Scenario:
    """1 to 20 limits, 10 to 1,000,000 counters, 1 to 8 ledgers."""
    seconds = 60 if depth.full else 2 if depth.checking else 20
    sizes: tuple[int, ...] = (10, 1_000) if depth.checking else (10, 1_000_000)
    if depth.full:
        sizes = (10, 1_000, 100_000, 1_000_000)
    return Scenario(
        name=LIMITS,
        title="Limits: CPU added to a request, exchanges, accuracy, in process",
        systems=(ThisProcess,),
        loads=(
            *(LimitsCost(f"q{count}", count, 1, 0, seconds) for count in (1, 5, 10, 20)),
            *(LimitsCost(f"n{size}", 5, _ACTIVE, size, seconds) for size in sizes),
            LimitsCost("warm", 5, _ACTIVE, 0, seconds, 9 * seconds),
            *(
                LimitsAccuracy(f"l{ledgers}_{limit}", ledgers, limit)
                for ledgers in (1, 2, 4, 8)
                for limit in (10, 100, 1_000)
            ),
        ),
        # Nothing is started, so that a further visit is a further round.
        visits=1,
        rounds=depth.repeats,
    )
