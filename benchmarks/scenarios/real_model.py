"""A real model: HelixFlow beside vLLM's own server, with the same engine flags.

Every answer has exactly as many tokens as were asked for (`ignore_eos`), every request a prompt of
its own (so that no prefix cache answers it, but where a scenario is about that), and every system
gets the same prompts in the same order.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.load.plan import Closed, Expected
from benchmarks.scenarios.bodies import chat_body
from benchmarks.scenarios.ports import TURN, Load, Scenario
from benchmarks.settings import EMBEDDED_CONFIG, Depth, models_dir
from benchmarks.systems.bare_vllm import BareVllm
from benchmarks.systems.engine_facts import EngineFacts, engine_facts, real_model_of
from benchmarks.systems.helixflow_stack import HelixFlow
from benchmarks.systems.ports import System
from benchmarks.systems.ray_serve_llm import RayServeLlm

TOKENS = 64
_TOPICS = ("a river", "the moon", "an old ship", "a bakery", "winter", "a chess game", "a bridge")


def real_model(depth: Depth) -> Scenario:
    """Tokens per second, time to first token and time between tokens."""
    streams = (1, 8, 32, 64) if depth.full else (1,) if depth.checking else (1, 32)
    facts = facts_of(EMBEDDED_CONFIG)
    systems: list[Callable[[], System]] = [lambda: BareVllm(facts, base=EMBEDDED_CONFIG.name)]
    if depth.full:
        systems.append(lambda: BareVllm(facts, alike=True))
        systems.append(lambda: BareVllm(facts, bare=True))
    return Scenario(
        name="real_model",
        title=f"Real model, streams of {TOKENS} tokens",
        systems=(*systems, ours(EMBEDDED_CONFIG)),
        loads=tuple(_streams(count, depth.waves) for count in streams),
        visits=depth.visits,
        rounds=depth.rounds,
    )


def llm_peers(depth: Depth) -> Scenario:
    """The same streams through `ray.serve.llm`, on the same Ray and with the same engine."""
    streams = (1, 8, 32) if depth.full else (1,) if depth.checking else (1, 32)
    return Scenario(
        name="llm_peers",
        title=f"Real model on Ray, streams of {TOKENS} tokens",
        systems=(lambda: RayServeLlm(facts_of(EMBEDDED_CONFIG)), ours(EMBEDDED_CONFIG)),
        loads=tuple(_streams(count, depth.waves) for count in streams),
        visits=depth.visits,
        rounds=depth.rounds,
    )


def facts_of(config: Path) -> Callable[[], EngineFacts]:
    """How the engine of a configuration's model is run; the model is prepared when it is called."""
    return partial(engine_facts, config, models_dir())


def ours(config: Path) -> Callable[[], System]:
    """HelixFlow with that configuration."""

    def make() -> System:
        system = HelixFlow(config, models_dir())
        system.start_s = 55.0
        return system

    return make


def streamed(text: str, tokens: int, config: Path = EMBEDDED_CONFIG) -> str:
    """A request to a configuration's model for a stream of exactly so many tokens."""
    name = real_model_of(config).name
    return chat_body(name, text, tokens, stream=True, temperature=0, ignore_eos=True)


def _streams(count: int, waves: int) -> Load:
    each = waves if count > 1 else 2 * waves
    return Load(
        f"s{count}",
        f"{count} stream{'s' * (count > 1)}",
        tuple(
            streamed(
                f"Story {TURN}.{number} of {count}: a long story about {_topic(number)}.", TOKENS
            )
            for number in range(count * each)
        ),
        Expected(TOKENS, streamed=True),
        Closed(count, requests_each=each),
        Closed(min(count, 4), requests_each=1),
    )


def _topic(number: int) -> str:
    return _TOPICS[number % len(_TOPICS)]
