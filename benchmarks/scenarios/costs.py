"""What identity, limits and telemetry cost a request, in this process, in a minute.

Some of `identity_cpu`, `limits` and `telemetry_costs`, each of which says more.
"""

from __future__ import annotations

from benchmarks.identity.warm_path import NO_POLICY, SECOND_OF_ADDRESS, WarmPath
from benchmarks.limits.probes import LimitsCost
from benchmarks.scenarios.ports import Scenario
from benchmarks.settings import Depth
from benchmarks.systems.in_process import ThisProcess
from benchmarks.telemetry.books import books
from benchmarks.telemetry.hub_pace import HubPace
from benchmarks.telemetry.recording import Recording
from benchmarks.telemetry.verifying import Verifying

COST_PARTS = "costs"


def costs(depth: Depth) -> Scenario:
    """One or two figures of each part."""
    blocks = max(4, int(depth.seconds))
    return Scenario(
        name=COST_PARTS,
        title="What the parts cost a request, in process",
        systems=(ThisProcess,),
        loads=(
            WarmPath("none", "identity, no policy", NO_POLICY, blocks),
            WarmPath(
                "both", "identity, a policy that reads the request", SECOND_OF_ADDRESS, blocks
            ),
            LimitsCost("q5", 5, 1, 0, 2 if depth.checking else 8),
            Recording(blocks),
            HubPace("hub_books", "the hub with usage and audit", books, 2 * blocks),
            Verifying(1_000 if depth.checking else 10_000),
        ),
        # Nothing is started, so that a further visit is a further round.
        visits=1,
        rounds=depth.repeats,
        probe_s=1.5,
    )
