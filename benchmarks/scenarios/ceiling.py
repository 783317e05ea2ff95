"""The load generator's own ceiling: the same loads against a server that does nothing.

A figure of another scenario that comes near these says something about the generator, not about
the system.
"""

from __future__ import annotations

from benchmarks.scenarios.gateway import gateway
from benchmarks.scenarios.ports import Scenario
from benchmarks.settings import Depth
from benchmarks.systems.trivial_server import TrivialServer


def ceiling(depth: Depth) -> Scenario:
    """The gateway's loads, a few seconds each."""
    loads = gateway(depth).loads[:3]
    return Scenario(
        name="ceiling",
        title="The load generator against a server that does nothing",
        systems=(TrivialServer,),
        loads=loads,
        visits=1,
        rounds=depth.repeats,
    )
