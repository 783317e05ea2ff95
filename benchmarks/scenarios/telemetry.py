"""What telemetry costs a request, and how much the hub takes: both in this process."""

from __future__ import annotations

from benchmarks.scenarios.ports import Scenario
from benchmarks.settings import Depth
from benchmarks.systems.in_process import ThisProcess
from benchmarks.telemetry.hub_pace import HubPace, files, nothing
from benchmarks.telemetry.recording import Recording
from benchmarks.telemetry.tracing import TracesCost

TELEMETRY = "telemetry"


def telemetry(depth: Depth) -> Scenario:
    """Recording, shipping, and the hub with and without files behind it."""
    blocks = max(4, int(4 * depth.seconds))
    return Scenario(
        name=TELEMETRY,
        title="Telemetry: CPU added to a request, events through the hub, in process",
        systems=(ThisProcess,),
        loads=(
            Recording(blocks),
            TracesCost(blocks),
            HubPace("hub", "the hub alone", nothing, blocks * 4),
            HubPace("hub_files", "the hub with JSON files", files, blocks * 4),
        ),
        visits=depth.visits,
        rounds=depth.rounds,
    )
