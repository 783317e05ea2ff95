from __future__ import annotations

import json

from benchmarks.scenarios.ports import Load, Scenario
from benchmarks.scenarios.prompts import (
    LONG_ANSWER,
    LONG_PROMPT,
    PREFIX,
    PREFIXES,
    length_mix,
    long_prompts,
    shared_prefixes,
)
from benchmarks.settings import LONG_CONFIG, QUICK
from benchmarks.systems.engine_facts import real_model_of
from benchmarks.systems.ports import Running

RUNNING = Running("127.0.0.1", 8000, 1.0)


def texts(scenario: Scenario, turn: int = 1) -> list[str]:
    loads = [load for load in scenario.loads if isinstance(load, Load)]
    bodies = [body for load in loads for body in load.plan(RUNNING, turn).bodies]
    return [json.loads(body)["messages"][0]["content"] for body in bodies]


def test_long_prompts_fit_their_model_and_none_begins_like_another() -> None:
    assert real_model_of(LONG_CONFIG).context_tokens > LONG_PROMPT + LONG_ANSWER + 100
    sent = texts(long_prompts(QUICK)) + texts(long_prompts(QUICK), turn=2)
    assert all(len(text.split()) > LONG_PROMPT for text in sent)
    assert len({text.split()[0] for text in sent}) == len(sent)


def test_shared_prefixes_are_few_and_what_follows_is_new_every_time() -> None:
    sent = texts(shared_prefixes(QUICK)) + texts(shared_prefixes(QUICK), turn=2)
    assert len({" ".join(text.split()[:PREFIX]) for text in sent}) == PREFIXES
    assert len(set(sent)) == len(sent)


def test_a_mix_asks_for_answers_of_many_lengths_and_expects_them() -> None:
    (load,) = length_mix(QUICK).loads
    assert isinstance(load, Load)
    asked = [json.loads(body)["max_tokens"] for body in load.bodies]
    assert tuple(asked) == load.tokens
    assert len(set(asked)) == len(asked) == 16
    assert [right.tokens for _, _, right in load.plan(RUNNING, 1).requests()] == asked
