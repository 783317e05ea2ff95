"""What identity costs a request, and how soon it forgets a key.

Three scenarios under one name: CPU of the warm path and cold look-ups, both in this process, and
revocation on a stack with several Ingress replicas. Each takes a minute or so, and several where a
run is full.
"""

from __future__ import annotations

from benchmarks.identity.cold_keys import ColdKeys
from benchmarks.identity.revocation import Revocation
from benchmarks.identity.warm_path import (
    ACTIVE,
    HOUR_AND_ADDRESS,
    NO_CONTEXT,
    NO_POLICY,
    SECOND_AND_ADDRESS,
    SECOND_OF_ADDRESS,
    WarmPath,
)
from benchmarks.scenarios.ports import Scenario
from benchmarks.settings import ECHO_CONFIG, Depth, models_dir
from benchmarks.systems.helixflow_stack import HelixFlow
from benchmarks.systems.in_process import Postgres, Sqlite, ThisProcess

INGRESS_REPLICAS = 4
CPU, KEYS, REVOCATION = "identity_cpu", "identity_keys", "identity_revocation"
IDENTITY = (CPU, KEYS, REVOCATION)


def warm_requests(depth: Depth) -> Scenario:
    """CPU that authentication, permissions and policies add to a warm request."""
    blocks = max(4, int(2 * depth.seconds))
    return Scenario(
        name=CPU,
        title=f"Identity: CPU added to a warm request, in process, {ACTIVE:,} callers (Zipf)",
        systems=(ThisProcess,),
        loads=(
            WarmPath("none", "no policy", NO_POLICY, blocks),
            WarmPath("plain", "a policy that reads no context", NO_CONTEXT, blocks),
            WarmPath("context", "policies that read address and hour", HOUR_AND_ADDRESS, blocks),
            WarmPath("second", "policies that read address and second", SECOND_AND_ADDRESS, blocks),
            WarmPath("both", "one policy that reads both", SECOND_OF_ADDRESS, blocks),
        ),
        # Nothing is started, so that a further visit is a further round.
        visits=1,
        rounds=depth.repeats,
    )


def cold_keys(depth: Depth) -> Scenario:
    """Look-ups of keys that an Ingress does not know, in stores of several sizes."""
    most = 1_000_000 if depth.full else 1_000 if depth.checking else 100_000
    sizes = [size for size in (1_000, 100_000, 1_000_000) if size <= most]
    active = ACTIVE if depth.full else 3_000
    return Scenario(
        name=KEYS,
        title="Identity: cold key look-ups, in process",
        systems=(Sqlite, Postgres),
        loads=tuple(ColdKeys(size, min(size, active)) for size in sizes),
        # A visit fills every store anew, which takes minutes for a million keys.
        visits=1,
        rounds=depth.repeats,
        probe_s=30.0,
    )


def revocation(depth: Depth) -> Scenario:
    """From a revocation to its last acceptance, over all Ingress replicas."""
    replicas = {"HELIXFLOW__STACK__INGRESS_REPLICAS": str(INGRESS_REPLICAS)}
    connections = 16
    keys = 2 if depth.checking else 10
    return Scenario(
        name=REVOCATION,
        title=f"Identity: revocation at {INGRESS_REPLICAS} Ingress replicas",
        systems=(lambda: HelixFlow(ECHO_CONFIG, models_dir(), replicas),),
        loads=(Revocation("revoke", f"{keys} keys, {connections} connections", keys, connections),),
        visits=1,
        rounds=depth.repeats,
        probe_s=4.0 * keys,
    )
