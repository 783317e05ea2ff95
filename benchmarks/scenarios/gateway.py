"""What the platform costs: HelixFlow on its echo model beside the bare one-hop Serve app, LiteLLM's
proxy, and a server that does nothing (what the client itself takes).

HelixFlow authenticates, parses, resolves, queues, counts, and journals usage and audit; with
everything on it also asks policies and takes from five limits. The floor does none of it. All move
the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.gateway.stages import Stages
from benchmarks.load.plan import Closed, Expected, Open
from benchmarks.scenarios.bodies import chat_body
from benchmarks.scenarios.ports import Load, Scenario
from benchmarks.settings import (
    ECHO_CONFIG,
    GROWTH_CONFIG,
    Depth,
    models_dir,
)
from benchmarks.systems.bare_serve import BareServe
from benchmarks.systems.everything_on import EverythingOn
from benchmarks.systems.helixflow_stack import HelixFlow, Plain
from benchmarks.systems.litellm_proxy import LiteLlm
from benchmarks.systems.ports import System
from benchmarks.systems.ready_answers import PROMPT
from benchmarks.systems.trivial_server import TrivialServer

MODEL = "echo-1"
_TOKENS, _STREAM_TOKENS = 16, 100

# An echo model with a pace: 32 sequences of ten tokens at 50 tokens/s are 160 requests/s at most,
# far less than the gateway can carry, so that what is overloaded is the model.
PACED_TOKENS = 10
CAPACITY_PER_S = 160.0
PACED: dict[str, Any] = {
    "name": "echo-paced",
    "engine": "echo",
    "echo": {"tokens": PACED_TOKENS, "tokens_per_s": 50},
    "sequences_max": 32,
    "queue_max": 16,
    "resources": {"cpus": 0.1},
}


def gateway(depth: Depth) -> Scenario:
    """Requests per second and latency, closed loop; streams of 100 chunks; open loop in full."""
    systems: list[Callable[[], System]] = [TrivialServer, BareServe, LiteLlm]
    loads = list(usual_loads(depth.seconds))
    if depth.full:
        systems += [lambda: LiteLlm(workers=2), lambda: Plain(ECHO_CONFIG, models_dir())]
        loads += [
            _plain(64, depth.seconds),
            _poisson(300.0, depth.seconds),
            _poisson(300.0, depth.seconds, burst=20),
        ]
    return Scenario(
        name="gateway",
        title="Gateway overhead, echo answers",
        systems=(*systems, lambda: EverythingOn(models_dir())),
        loads=tuple(loads),
        visits=depth.visits,
        rounds=depth.rounds,
    )


def peers(depth: Depth) -> Scenario:
    """LiteLLM's proxy alone beside ours: the same, without the floor."""
    systems: list[Callable[[], System]] = [TrivialServer, LiteLlm]
    if depth.full:
        systems.append(lambda: LiteLlm(workers=2))
    return Scenario(
        name="peers",
        title="Gateways, echo answers",
        systems=(*systems, lambda: EverythingOn(models_dir())),
        loads=usual_loads(depth.seconds),
        visits=depth.visits,
        rounds=depth.rounds,
    )


def floor(depth: Depth) -> Scenario:
    """The bare Serve app alone beside ours, with everything on and with nothing: the same, without
    LiteLLM."""
    return Scenario(
        name="floor",
        title="Gateway overhead, echo answers",
        systems=(
            BareServe,
            lambda: Plain(ECHO_CONFIG, models_dir()),
            lambda: EverythingOn(models_dir()),
        ),
        loads=usual_loads(depth.seconds),
        visits=depth.visits,
        rounds=depth.rounds,
    )


def usual_loads(seconds: float) -> tuple[Load, ...]:
    return (_plain(1, seconds), _plain(32, seconds), _streams(8, seconds))


def overload(depth: Depth) -> Scenario:
    """Below a model's capacity, at twice of it, and below it again at once: an open loop."""
    rates = (("below", 0.8), ("flood", 2.0), ("after", 0.8))
    return Scenario(
        name="overload",
        title=f"Overload: a model that can answer {CAPACITY_PER_S:g} requests/s",
        systems=(lambda: EverythingOn(models_dir(), more=(PACED,)),),
        loads=tuple(_offered(name, share, depth.seconds) for name, share in rates),
        visits=depth.visits if depth.full else 1,
        rounds=depth.repeats,
    )


def stages(depth: Depth) -> Scenario:
    """Where the time of one request goes, with everything on."""
    return Scenario(
        name="stages",
        title="Where the time of a request goes, everything on (mean)",
        systems=(lambda: EverythingOn(models_dir()),),
        loads=(
            Stages("c1", "1 connection", 1, depth.seconds),
            Stages("c8", "8 connections", 8, depth.seconds),
        ),
        visits=min(depth.visits, 2),
        rounds=depth.rounds,
        probe_s=depth.seconds + 10.0,
    )


def connections(depth: Depth) -> Scenario:
    """The same work over few and over very many connections."""
    most = 5000 if depth.full else 2000
    return Scenario(
        name="connections",
        title="Growth: connections",
        systems=(lambda: HelixFlow(GROWTH_CONFIG, models_dir()),),
        loads=tuple(_plain(count, depth.seconds) for count in (32, 512, most)),
        visits=1,
        rounds=depth.repeats,
    )


def soak(depth: Depth) -> Scenario:
    """Minute after minute of the same load: memory and open files must not grow."""
    minutes = 60 if depth.full else 1 if depth.checking else 10
    seconds = depth.seconds if depth.checking else 60.0
    return Scenario(
        name="soak",
        title="Soak, everything on",
        systems=(lambda: EverythingOn(models_dir()),),
        loads=(_plain(8, seconds),),
        visits=1,
        rounds=minutes,
        watched=True,
    )


def _offered(name: str, share: float, seconds: float) -> Load:
    return Load(
        name,
        f"{share:g} of capacity, Poisson",
        (chat_body(PACED["name"], PROMPT, PACED_TOKENS, stream=False),),
        Expected(PACED_TOKENS, refusals=True),
        Open(share * CAPACITY_PER_S, 2 * seconds),
        Closed(8, duration_s=1.5),
    )


def _plain(connections: int, seconds: float) -> Load:
    return Load(
        f"c{connections}",
        f"{connections} connection{'s' * (connections > 1)}",
        (chat_body(MODEL, PROMPT, _TOKENS, stream=False),),
        Expected(_TOKENS),
        Closed(connections, duration_s=seconds),
        Closed(connections, duration_s=1.0),
    )


def _streams(connections: int, seconds: float) -> Load:
    return Load(
        f"s{connections}",
        f"{connections} streams of {_STREAM_TOKENS} chunks",
        (chat_body(MODEL, PROMPT, _STREAM_TOKENS, stream=True),),
        Expected(_STREAM_TOKENS, streamed=True),
        Closed(connections, duration_s=seconds),
        Closed(connections, duration_s=1.0),
    )


def _poisson(rate_per_s: float, seconds: float, burst: int = 1) -> Load:
    bursts = f", bursts of {burst}" if burst > 1 else ""
    return Load(
        f"p{rate_per_s:g}" + f"b{burst}" * (burst > 1),
        f"Poisson, {rate_per_s:g} requests/s{bursts}",
        (chat_body(MODEL, PROMPT, _TOKENS, stream=False),),
        Expected(_TOKENS),
        Open(rate_per_s, seconds, burst=burst),
        Closed(8, duration_s=1.5),
    )
