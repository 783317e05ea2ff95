from __future__ import annotations

import msgspec

from benchmarks.load.outcome import Outcome
from benchmarks.stats.histogram import Histogram


def test_processes_that_worked_together_are_added_up() -> None:
    lag = Histogram()
    lag.add(2.0)
    one = Outcome([1.0], [10.0], tokens=16, errors={"timeout": 1}, cpu_s=0.5, wall_s=2.0)
    two = Outcome([2.0], [20.0], tokens=16, errors={"timeout": 2}, lag_ms=lag, wall_s=1.0)
    whole = Outcome.merge([one, two])
    assert whole.latency_ms == [10.0, 20.0]
    assert (whole.answered, whole.failed, whole.tokens) == (2, 3, 32)
    assert (whole.processes, whole.wall_s, whole.cpu_s) == (2, 2.0, 0.5)
    assert whole.lag_ms.count == 1


def test_an_outcome_survives_the_way_from_another_process() -> None:
    outcome = Outcome([1.0], [2.0], gaps_ms=Histogram({3: 4}, 4, 1.0))
    assert msgspec.json.decode(msgspec.json.encode(outcome), type=Outcome) == outcome
