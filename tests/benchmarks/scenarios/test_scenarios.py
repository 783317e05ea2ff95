from __future__ import annotations

import json

import pytest

from benchmarks.__main__ import GROUPS, SCENARIOS, chosen
from benchmarks.scenarios.bodies import chat_body
from benchmarks.scenarios.estimate import estimate_s
from benchmarks.scenarios.gateway import gateway
from benchmarks.scenarios.identity import cold_keys
from benchmarks.scenarios.ports import TURN, Load, Scenario
from benchmarks.settings import CHECK, FULL, QUICK
from benchmarks.systems.ports import Running

RUNNING = Running("127.0.0.1", 8000, 1.0)


def requests_of(scenario: Scenario) -> list[Load]:
    return [load for load in scenario.loads if isinstance(load, Load)]


@pytest.mark.parametrize(
    "name", ["ceiling", "gateway", "start", "limits", *GROUPS["telemetry"], *GROUPS["identity"]]
)
def test_a_scenario_describes_itself(name: str) -> None:
    described = SCENARIOS[name](FULL).described()
    assert described.name == name
    assert list(described.systems)[-1] in {"helixflow", "postgres", "trivial"}


def test_a_group_stands_for_its_scenarios_and_nothing_for_the_usual_ones() -> None:
    assert chosen(["identity", "start"]) == [*GROUPS["identity"], "start"]
    assert set(GROUPS["identity"]) < set(chosen(None, full=True))
    assert set(chosen(None)) < set(SCENARIOS)
    assert not {"start", "peers"} & set(chosen(None, full=True))


def test_identity_is_measured_at_length_in_a_full_run_alone() -> None:
    for name, quick, full in (("identity_cpu", 2, 3), ("identity_revocation", 2, 3)):
        described = [SCENARIOS[name](depth) for depth in (QUICK, FULL)]
        assert [(each.visits, each.rounds) for each in described] == [(1, quick), (1, full)]


def test_a_million_keys_are_looked_up_in_a_full_run_alone() -> None:
    assert list(cold_keys(FULL).described().loads) == ["k1000", "k100000", "k1000000"]
    assert list(cold_keys(QUICK).described().loads) == ["k1000", "k100000"]
    assert list(cold_keys(CHECK).described().loads) == ["k1000"]


def test_both_systems_of_the_gateway_pair_get_the_same_requests() -> None:
    loads = requests_of(gateway(QUICK))
    assert [load.name for load in loads] == ["c1", "c32", "s8"]
    assert all(load.plan(RUNNING, 1).bodies == load.plan(RUNNING, 2).bodies for load in loads)


def test_no_prompt_comes_twice_where_a_load_says_so() -> None:
    base = requests_of(gateway(QUICK))[0]
    body = chat_body("m", f"{TURN}.1", 4, stream=False)
    load = Load("x", "x", (body,), base.expected, base.pace, base.warm_up)
    sent = [load.warming(RUNNING).bodies[0], *(load.plan(RUNNING, n).bodies[0] for n in (1, 2))]
    assert len(set(sent)) == 3


def test_a_streamed_body_asks_for_its_usage() -> None:
    body = json.loads(chat_body("m", "hi", 4, stream=True, temperature=0))
    assert body["stream_options"] == {"include_usage": True}
    assert (body["max_tokens"], body["temperature"]) == (4, 0)


def test_every_figure_of_the_short_run_has_a_spread() -> None:
    for name in chosen(None):
        described = SCENARIOS[name](QUICK)
        assert described.visits * described.rounds >= 2, name


def test_the_short_run_takes_about_ten_minutes() -> None:
    assert 400 < sum(estimate_s(SCENARIOS[name](QUICK)) for name in chosen(None)) < 720
