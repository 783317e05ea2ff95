"""Two tenants that contend for one replica, with its fair queue and without."""

from __future__ import annotations

from benchmarks.fairness.probes import EchoContest, RealContest
from benchmarks.scenarios.ports import Scenario
from benchmarks.settings import Depth
from benchmarks.systems.in_process import FirstComeReplica, ThisProcess

FAIRNESS = "fairness"


def fairness(depth: Depth) -> Scenario:
    """A flood, another one that comes later, and a trickle."""
    return Scenario(
        name=FAIRNESS,
        title="Fair shares: tenants that contend for one replica with 8 sequence slots",
        systems=(FirstComeReplica, ThisProcess),
        loads=(EchoContest(), RealContest()),
        visits=min(depth.visits, 2),
        rounds=2 if depth.full else 1,
        probe_s=60.0,
    )
