from __future__ import annotations

import pytest

from benchmarks.report.headline import Promise, headline, promises
from benchmarks.results import Described, Measurement, Run, Visit
from benchmarks.stats.spread import Figure

ECHO = {"trivial": 0.1, "serve": 2.0, "litellm": 12.1, "helixflow": 2.1}


def measured(scenario: str, system: str, load: str, visit: int, **figures: float) -> Measurement:
    return Measurement(scenario, system, load, visit, 0, {"answered": 1.0, **figures})


def a_run(scenario: str = "gateway", repeats: int = 2) -> Run:
    run = Run("2026-01-01T00:00:00+00:00")
    systems = {name: name for name in ECHO}
    run.scenarios = [Described(scenario, scenario, systems, {"c1": "1", "c32": "32"})]
    for visit in range(repeats):
        for system, wait_ms in ECHO.items():
            run.visits.append(Visit(scenario, system, visit, 0))
            run.measurements += [
                measured(scenario, system, "c1", visit, latency_p50_ms=wait_ms),
                measured(scenario, system, "c32", visit, requests_per_s=1800.0 / wait_ms),
            ]
    return run


def found(run: Run) -> dict[str, Promise]:
    return {each.what: each for each in promises(run)}


def test_added_latency_leaves_out_what_the_client_itself_takes() -> None:
    promise = found(a_run())["added latency (p50) at one connection beside LiteLLM"]
    assert promise.measured is not None
    assert promise.measured.median == pytest.approx(2.0 / 12.0)
    assert promise.verdict == "reached"


def test_a_short_run_of_one_scenario_says_the_same() -> None:
    for scenario in ("gateway", "peers"):
        promise = found(a_run(scenario))["requests/s on echo beside LiteLLM, 32 connections"]
        assert promise.measured is not None
        assert promise.measured.median == pytest.approx(12.1 / 2.1)
        assert promise.verdict == "**missed**"


def test_more_and_less_are_judged_each_in_its_way() -> None:
    seen = Figure(1.0, 0.5, 2.0, 2)
    assert Promise("x", 0.9, 1.0, "", seen).verdict == "goal reached (repeats on both sides)"
    assert Promise("x", 0.4, 1.1, "", seen).verdict == "reached"
    assert Promise("x", 0.8, 0.5, "", seen, at_least=False).verdict.startswith("**missed**")
    assert Promise("x", 3.0, 1.0, "", seen, at_least=False).verdict == "goal reached"
    assert Promise("x", 0.9, 1.0, "", None).verdict == "not measured"


def test_one_repeat_is_no_verdict() -> None:
    text = headline([a_run(repeats=1)])
    assert "| one repeat: no spread | measured once |" in text
    assert text.count("measured once") == 4
    assert text.count("not measured") == 6
    assert "not measured" not in headline([a_run(repeats=1)], whole=False)


def test_runs_are_put_together_repeat_by_repeat() -> None:
    whole = Run.merged([a_run(repeats=1), a_run(repeats=1)])
    assert whole.series("gateway", "serve", "c32", "requests_per_s") == [900.0, 900.0]
    assert len(whole.scenarios) == 1
    text = headline([a_run(repeats=1), a_run(repeats=1)])
    assert "| wrong answers on echo | ≤ 0 | ≤ 0 | 0 [0 - 0] | goal reached |" in text
    assert text.splitlines()[2].endswith("| 5.76 [5.76 - 5.76] | **missed** |")


def test_scenarios_of_one_name_keep_ours_last() -> None:
    run = Run("x")
    run.describe(Described("g", "G", {"a": "A", "helixflow": "H"}, {"c1": "1"}))
    run.describe(Described("g", "G", {"b": "B", "helixflow": "H"}, {"c2": "2"}))
    assert list(run.scenarios[0].systems) == ["a", "b", "helixflow"]
    assert list(run.scenarios[0].loads) == ["c1", "c2"]


def test_growth_says_how_far() -> None:
    run = Run("x")
    run.scenarios = [Described("growth", "", {"helixflow": "H"}, {"small": "1 key", "large": "2"})]
    for visit in range(2):
        run.measurements += [
            measured("growth", "helixflow", "small", visit, requests_per_s=100.0),
            measured("growth", "helixflow", "large", visit, requests_per_s=95.0),
        ]
    assert found(run)["requests/s grown (2 beside 1 key)"].verdict == "reached"
