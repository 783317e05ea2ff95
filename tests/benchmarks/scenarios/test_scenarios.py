from __future__ import annotations

import json

import pytest

from benchmarks.__main__ import SCENARIOS
from benchmarks.scenarios.bodies import chat_body
from benchmarks.scenarios.gateway import gateway
from benchmarks.scenarios.ports import TURN, Load
from benchmarks.settings import FULL, QUICK
from benchmarks.systems.ports import Running

RUNNING = Running("127.0.0.1", 8000, 1.0)


@pytest.mark.parametrize("name", ["ceiling", "gateway", "start"])
def test_a_scenario_describes_itself(name: str) -> None:
    described = SCENARIOS[name](FULL).described()
    assert described.name == name
    assert list(described.systems)[-1] in {"helixflow", "trivial"}


def test_both_systems_of_the_gateway_pair_get_the_same_requests() -> None:
    loads = gateway(QUICK).loads
    assert [load.name for load in loads] == ["c1", "c32", "s8"]
    assert all(load.plan(RUNNING, 1).bodies == load.plan(RUNNING, 2).bodies for load in loads)


def test_no_prompt_comes_twice_where_a_load_says_so() -> None:
    base = gateway(QUICK).loads[0]
    body = chat_body("m", f"{TURN}.1", 4, stream=False)
    load = Load("x", "x", (body,), base.expected, base.pace, base.warm_up)
    sent = [load.warming(RUNNING).bodies[0], *(load.plan(RUNNING, n).bodies[0] for n in (1, 2))]
    assert len(set(sent)) == 3


def test_a_streamed_body_asks_for_its_usage() -> None:
    body = json.loads(chat_body("m", "hi", 4, stream=True, temperature=0))
    assert body["stream_options"] == {"include_usage": True}
    assert (body["max_tokens"], body["temperature"]) == (4, 0)
