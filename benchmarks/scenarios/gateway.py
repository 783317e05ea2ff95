"""What the platform costs: HelixFlow on its echo model beside the bare one-hop Serve app, and beside
LiteLLM's proxy.

HelixFlow authenticates, parses, resolves, queues and counts; the floor does none of it. All move
the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.load.plan import Closed, Expected, Open
from benchmarks.scenarios.bodies import chat_body
from benchmarks.scenarios.ports import Load, Scenario
from benchmarks.settings import ECHO_CONFIG, Depth, models_dir
from benchmarks.systems.bare_serve import BareServe
from benchmarks.systems.helixflow_stack import HelixFlow
from benchmarks.systems.litellm_proxy import LiteLlm
from benchmarks.systems.ports import System
from benchmarks.systems.ready_answers import PROMPT

MODEL = "echo-1"
_TOKENS, _STREAM_TOKENS = 16, 100


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
        systems=(BareServe, lambda: HelixFlow(ECHO_CONFIG, models_dir())),
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
        systems=(*systems, lambda: HelixFlow(ECHO_CONFIG, models_dir())),
        loads=(_plain(1, depth.seconds), _plain(32, depth.seconds), _streams(8, depth.seconds)),
        visits=depth.visits,
        rounds=depth.rounds,
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
