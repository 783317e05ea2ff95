"""What telemetry costs a request, how much it takes, and whether it keeps up and stays small.

Three scenarios under one name: costs and paces in this process, memory in this process, and how far
the journals are behind on a real stack.
"""

from __future__ import annotations

from benchmarks.scenarios.ports import Scenario
from benchmarks.settings import ECHO_CONFIG, Depth, models_dir
from benchmarks.systems.helixflow_stack import HelixFlow
from benchmarks.systems.in_process import ThisProcess
from benchmarks.telemetry.books import books, files, nothing
from benchmarks.telemetry.hub_pace import HubPace
from benchmarks.telemetry.journal_lag import JournalLag
from benchmarks.telemetry.memory import Memory
from benchmarks.telemetry.recording import Recording
from benchmarks.telemetry.tracing import TracesCost
from benchmarks.telemetry.verifying import Verifying

COSTS, MEMORY, LAG = "telemetry_costs", "telemetry_memory", "telemetry_lag"
TELEMETRY = (COSTS, MEMORY, LAG)
_CONNECTIONS = 32


def telemetry_costs(depth: Depth) -> Scenario:
    """Recording, shipping, the hub with and without sinks behind it, and verifying."""
    blocks = max(4, int(2 * depth.seconds))
    records = 100_000 if depth.full else 1_000 if depth.checking else 10_000
    return Scenario(
        name=COSTS,
        title="Telemetry: CPU added to a request, events through the hub, in process",
        systems=(ThisProcess,),
        loads=(
            Recording(blocks),
            TracesCost(blocks),
            HubPace("hub", "the hub alone", nothing, blocks * 2),
            HubPace("hub_files", "the hub with JSON files", files, blocks * 2),
            HubPace("hub_books", "the hub with usage and audit", books, blocks * 2),
            Verifying(records),
        ),
        visits=min(depth.visits, 2),
        rounds=depth.rounds,
    )


def telemetry_memory(depth: Depth) -> Scenario:
    """Once: it is the longest of them."""
    requests = 1_000_000 if depth.full else 1_000 if depth.checking else 100_000
    return Scenario(
        name=MEMORY,
        title="Telemetry: memory, in process",
        systems=(ThisProcess,),
        loads=(Memory(requests),),
        visits=1,
        rounds=1,
        probe_s=requests / 1_500.0,
    )


def telemetry_lag(depth: Depth) -> Scenario:
    """The whole platform, as busy as it can be."""
    return Scenario(
        name=LAG,
        title="Telemetry: how far the journals are behind under full load, echo model",
        systems=(lambda: HelixFlow(ECHO_CONFIG, models_dir()),),
        loads=(
            JournalLag(
                "lag", f"closed loop, {_CONNECTIONS} connections", _CONNECTIONS, 1.5 * depth.seconds
            ),
        ),
        visits=1,
        rounds=depth.repeats,
        probe_s=1.5 * depth.seconds + 5.0,
    )
