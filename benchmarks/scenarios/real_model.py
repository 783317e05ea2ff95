"""A real model: HelixFlow beside vLLM's own server, with the same engine flags.

Every answer has exactly 64 tokens (`ignore_eos`), every request a prompt of its own (so that no
prefix cache answers it), and every system gets the same prompts in the same order.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.load.plan import Closed, Expected
from benchmarks.scenarios.bodies import chat_body
from benchmarks.scenarios.ports import TURN, Load, Scenario
from benchmarks.settings import EMBEDDED_CONFIG, Depth, models_dir
from benchmarks.systems.bare_vllm import BareVllm
from benchmarks.systems.engine_facts import engine_facts
from benchmarks.systems.helixflow_stack import HelixFlow
from benchmarks.systems.ports import System
from benchmarks.systems.ray_serve_llm import RayServeLlm

TOKENS = 64
_TOPICS = ("a river", "the moon", "an old ship", "a bakery", "winter", "a chess game", "a bridge")


def real_model(depth: Depth) -> Scenario:
    """Tokens per second, time to first token and time between tokens."""
    facts = engine_facts(EMBEDDED_CONFIG, models_dir())
    streams = (1, 8, 32, 64) if depth.full else (1, 8, 32)
    systems: list[Callable[[], System]] = [lambda: BareVllm(facts)]
    if depth.full:
        systems.append(lambda: BareVllm(facts, alike=True))
    systems.append(lambda: HelixFlow(EMBEDDED_CONFIG, models_dir()))
    return Scenario(
        name="real_model",
        title=f"Real model, streams of {TOKENS} tokens",
        systems=tuple(systems),
        loads=tuple(_streams(facts.name, count, depth.waves) for count in streams),
        visits=depth.visits,
        rounds=depth.rounds,
    )


def llm_peers(depth: Depth) -> Scenario:
    """The same streams through `ray.serve.llm`, on the same Ray and with the same engine."""
    facts = engine_facts(EMBEDDED_CONFIG, models_dir())
    return Scenario(
        name="llm_peers",
        title=f"Real model on Ray, streams of {TOKENS} tokens",
        systems=(
            lambda: RayServeLlm(facts),
            lambda: HelixFlow(EMBEDDED_CONFIG, models_dir()),
        ),
        loads=tuple(_streams(facts.name, count, depth.waves) for count in (1, 8, 32)),
        visits=depth.visits,
        rounds=depth.rounds,
    )


def _streams(model: str, count: int, waves: int) -> Load:
    each = waves if count > 1 else 2 * waves
    return Load(
        f"s{count}",
        f"{count} stream{'s' * (count > 1)}",
        tuple(
            chat_body(
                model,
                f"Story {TURN}.{number} of {count}: a long story about {_topic(number)}.",
                TOKENS,
                stream=True,
                temperature=0,
                ignore_eos=True,
            )
            for number in range(count * each)
        ),
        Expected(TOKENS, streamed=True),
        Closed(count, requests_each=each),
        Closed(count, requests_each=1),
    )


def _topic(number: int) -> str:
    return _TOPICS[number % len(_TOPICS)]
