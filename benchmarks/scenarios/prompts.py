"""A real model under other prompts: long ones, such that share their beginning, and lengths as they
are in real conversations. HelixFlow beside vLLM's own server, with the same engine flags.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.load.plan import Closed, Expected
from benchmarks.scenarios.lengths import conversation, words
from benchmarks.scenarios.ports import TURN, Load, Scenario
from benchmarks.scenarios.real_model import facts_of, ours, streamed
from benchmarks.settings import EMBEDDED_CONFIG, LONG_CONFIG, Depth
from benchmarks.systems.bare_vllm import BareVllm

LONG_PROMPT, LONG_ANSWER = 4_000, 32
PREFIX, SUFFIX, SHARED_ANSWER = 1_000, 50, 32
PREFIXES = 4
_MIX_MOST = 900
"""Prompt and answer fit into the embedded model's context together."""


def long_prompts(depth: Depth) -> Scenario:
    """Prompts of 4,000 tokens, each of its own."""
    streams = (1, 4, 8) if depth.full else (1,) if depth.checking else (1, 4)
    loads = tuple(
        _load(
            f"s{count}",
            f"{count} stream{'s' * (count > 1)}, prompts of {LONG_PROMPT:,} tokens",
            [f"{TURN}.{n}.{count} {words(LONG_PROMPT, n)}" for n in range(count * depth.waves)],
            [LONG_ANSWER],
            Closed(count, requests_each=depth.waves),
            LONG_CONFIG,
        )
        for count in streams
    )
    return _beside_vllm("long_prompts", "Real model, long prompts", loads, depth, LONG_CONFIG)


def shared_prefixes(depth: Depth) -> Scenario:
    """Four long beginnings, each shared by many requests: a prefix cache knows most of a prompt."""
    count, each = 8, 2 * depth.waves
    texts = [
        f"{words(PREFIX, n % PREFIXES)} {TURN}.{n} {words(SUFFIX, n)}" for n in range(count * each)
    ]
    load = _load(
        f"s{count}",
        f"{count} streams, prompts of {PREFIX:,} shared and {SUFFIX} other tokens",
        texts,
        [SHARED_ANSWER],
        Closed(count, requests_each=each),
    )
    return _beside_vllm("shared_prefixes", "Real model, shared prefixes", (load,), depth)


def length_mix(depth: Depth) -> Scenario:
    """Prompts and answers as long as in real conversations."""
    lengths = conversation(64 if depth.full else 8 if depth.checking else 16, _MIX_MOST)
    count = 8
    load = _load(
        f"s{count}",
        f"{count} streams, lengths of conversations",
        [f"{TURN}.{n} {words(prompt, n)}" for n, (prompt, _) in enumerate(lengths)],
        [answer for _, answer in lengths],
        Closed(count, requests_each=len(lengths) // count),
    )
    return _beside_vllm("length_mix", "Real model, lengths of conversations", (load,), depth)


def _load(
    name: str,
    title: str,
    texts: list[str],
    answers: list[int],
    pace: Closed,
    config: Path = EMBEDDED_CONFIG,
) -> Load:
    """Streams of these prompts; `answers` are their lengths, or one for all."""
    each = answers if len(answers) > 1 else answers * len(texts)
    return Load(
        name,
        title,
        tuple(streamed(text, tokens, config) for text, tokens in zip(texts, each, strict=True)),
        Expected(answers[0], streamed=True),
        pace,
        Closed(min(pace.connections, PREFIXES), requests_each=1),
        tuple(answers) if len(answers) > 1 else (),
    )


def _beside_vllm(
    name: str, title: str, loads: tuple[Load, ...], depth: Depth, config: Path = EMBEDDED_CONFIG
) -> Scenario:
    facts = facts_of(config)
    return Scenario(
        name=name,
        title=title,
        systems=(lambda: BareVllm(facts, base=config.name), ours(config)),
        loads=loads,
        visits=min(depth.visits, 3),
        rounds=depth.rounds,
    )
