from __future__ import annotations

import json
from collections import Counter

import pytest

from benchmarks.load.crew import LoadFailed
from benchmarks.scenarios.growth import Grown, echo_models, growth
from benchmarks.settings import FULL, QUICK
from benchmarks.systems.in_process import HOME
from benchmarks.systems.ports import Running
from helixflow.settings import Settings

RUNNING = Running("127.0.0.1", 8000, 1.0, private={HOME: "/nowhere"})


def grown(depth: str) -> list[Grown]:
    scenario = growth(FULL if depth == "full" else QUICK)
    return [load for load in scenario.loads if isinstance(load, Grown)]


def test_a_full_run_grows_as_far_as_is_promised() -> None:
    small, _, large = grown("full")
    assert (small.keys, small.models) == (10, 1)
    assert (large.keys, large.active, large.models) == (1_000_000, 10_000, 50)


def test_its_repeats_come_before_it_grows_further() -> None:
    scenario = growth(QUICK)
    assert [(load.name, n) for n, load in scenario.turns()] == [
        (name, n) for name in ("small", "keys", "large") for n in range(2)
    ]
    assert scenario.spoils


def test_callers_and_models_come_in_zipfs_proportions() -> None:
    *_, large = grown("quick")
    large.known[:] = [f"key-{n}" for n in range(large.active)]
    plan = large.plan(RUNNING, turn=1)
    callers = Counter(plan.callers)
    assert callers["key-0"] > 5 * callers["key-9"] > 0
    models = Counter(json.loads(body)["model"] for body in plan.bodies)
    assert set(models) == {f"echo-{n + 1}" for n in range(10)}
    assert models["echo-1"] > 5 * models["echo-10"]


def test_added_models_are_valid_and_fit_two_cores() -> None:
    settings = Settings.of({"models": list(echo_models(50))})
    assert len(settings.models) == 49
    assert sum(model.resources.cpus for model in settings.models) < 0.5


def test_a_system_that_cannot_be_given_models_says_so() -> None:
    *_, large = grown("quick")
    large.known[:] = ["k"] * large.active
    with pytest.raises(LoadFailed, match="more models"):
        large.prepare(RUNNING)
