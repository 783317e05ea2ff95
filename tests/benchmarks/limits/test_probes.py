from __future__ import annotations

from benchmarks.limits.probes import LimitsAccuracy, LimitsCost
from benchmarks.systems.ports import Running

RUNNING = Running("", 0, 0.0)


def test_a_cost_has_its_figures() -> None:
    probe = LimitsCost("q2", 2, 3, 10, 1)
    probe.prepare(RUNNING)
    figures = probe.measure(RUNNING).figures
    assert figures["limits_us"] > 0
    assert figures["limits_exchanges"] > 0


def test_an_accuracy_says_who_was_admitted() -> None:
    probe = LimitsAccuracy("l2_5", 2, 5, 20)
    probe.prepare(RUNNING)
    assert probe.measure(RUNNING).figures == {
        "limits_ledgers": 2.0, "limits_limit": 5.0, "limits_unused": 0.0, "limits_offered": 20.0, "limits_at_once": 5.0, "limits_admitted": 5.0, "limits_over": 0.0,
        "limits_unavailable": 0.0,
    }  # fmt: skip
