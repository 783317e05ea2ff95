"""What the platform costs: HelixFlow on its echo model beside the bare one-hop Serve app, and beside
LiteLLM's proxy.

HelixFlow authenticates, parses, resolves, queues, counts, and journals usage and audit; with
everything on it also asks policies and takes from five limits. The floor does none of it. All move
the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.gateway.stages import Stages
from benchmarks.load.plan import Closed, Expected, Open
from benchmarks.scenarios.bodies import chat_body
from benchmarks.scenarios.ports import Load, Scenario
from benchmarks.settings import (
    ECHO_CONFIG,
    GROWTH_CONFIG,
    OVERLOAD_CONFIG,
    Depth,
    models_dir,
)
from benchmarks.systems.bare_serve import BareServe
from benchmarks.systems.everything_on import EverythingOn
from benchmarks.systems.helixflow_stack import HelixFlow, Plain
from benchmarks.systems.litellm_proxy import LiteLlm
from benchmarks.systems.ports import System
from benchmarks.systems.ready_answers import PROMPT

MODEL = "echo-1"
_TOKENS, _STREAM_TOKENS = 16, 100

# What benchmarks/configs/overload.yaml gives: 32 sequences, each of ten tokens at 50 tokens/s.
PACED_TOKENS = 10
CAPACITY_PER_S = 160.0


def gateway(depth: Depth) -> Scenario:
    """Requests per second and latency, closed loop; streams of 100 chunks; open loop in full."""
    loads = [
        _plain(1, depth.seconds),
        _plain(32, depth.seconds),
        _streams(8, depth.seconds),
    ]
    if depth.full:
        loads += [_plain(64, depth.seconds), _poisson(300.0, depth.seconds)]
    return Scenario(
        name="gateway",
        title="Gateway overhead, echo model",
        systems=(
            BareServe,
            lambda: Plain(ECHO_CONFIG, models_dir()),
            lambda: EverythingOn(models_dir()),
        ),
        loads=tuple(loads),
        visits=depth.visits,
        rounds=depth.rounds,
    )


def peers(depth: Depth) -> Scenario:
    """The same loads before LiteLLM's proxy."""
    systems: list[Callable[[], System]] = [LiteLlm]
    if depth.full:
        systems.append(lambda: LiteLlm(workers=2))
    return Scenario(
        name="peers",
        title="Gateways, echo answers",
        systems=(*systems, lambda: EverythingOn(models_dir())),
        loads=(_plain(1, depth.seconds), _plain(32, depth.seconds), _streams(8, depth.seconds)),
        visits=depth.visits,
        rounds=depth.rounds,
    )


def overload(depth: Depth) -> Scenario:
    """Below a model's capacity, at twice of it, and below it again at once: an open loop."""
    rates = (("below", 0.8), ("flood", 2.0), ("after", 0.8))
    return Scenario(
        name="overload",
        title=f"Overload: a model that can answer {CAPACITY_PER_S:g} requests/s",
        systems=(lambda: HelixFlow(OVERLOAD_CONFIG, models_dir()),),
        loads=tuple(_offered(name, share, depth.seconds) for name, share in rates),
        visits=depth.visits,
        rounds=depth.rounds,
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
    )


def connections(depth: Depth) -> Scenario:
    """The same work over few and over very many connections."""
    most = 5000 if depth.full else 2000
    return Scenario(
        name="connections",
        title="Growth: connections",
        systems=(lambda: HelixFlow(GROWTH_CONFIG, models_dir()),),
        loads=tuple(_plain(count, depth.seconds) for count in (32, 512, most)),
        visits=min(depth.visits, 2),
        rounds=depth.rounds,
    )


def soak(depth: Depth) -> Scenario:
    """Minute after minute of the same load: memory and open files must not grow."""
    minutes = 60 if depth.full else 10 if depth.visits > 1 else 1
    seconds = 60.0 if depth.visits > 1 else depth.seconds
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
        (chat_body(MODEL, PROMPT, PACED_TOKENS, stream=False),),
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
        Closed(connections, duration_s=1.5),
    )


def _streams(connections: int, seconds: float) -> Load:
    return Load(
        f"s{connections}",
        f"{connections} streams of {_STREAM_TOKENS} chunks",
        (chat_body(MODEL, PROMPT, _STREAM_TOKENS, stream=True),),
        Expected(_STREAM_TOKENS, streamed=True),
        Closed(connections, duration_s=seconds),
        Closed(connections, duration_s=1.5),
    )


def _poisson(rate_per_s: float, seconds: float) -> Load:
    return Load(
        f"p{rate_per_s:g}",
        f"Poisson, {rate_per_s:g} requests/s",
        (chat_body(MODEL, PROMPT, _TOKENS, stream=False),),
        Expected(_TOKENS),
        Open(rate_per_s, seconds),
        Closed(8, duration_s=1.5),
    )
