"""The health of each part, from what the platform says of itself."""

from __future__ import annotations

import json

import pytest

from helixflow.cli.failure import CommandFailed
from helixflow.cli.gateway_api import ModelReadiness, Readiness
from helixflow.cli.health import Component, Findings, Health, ask, judge, judge_auth
from helixflow.cli.http import Answer
from helixflow.cli.scraper import KeyRefused, PlatformAway
from helixflow.signals import Labels, Metric
from helixflow.telemetry.scrape import Scrape

AUTH = Component("Auth and database", Health.OK)
READY = Readiness(True, (), (ModelReadiness("m", "ready"),))


def scrape(*levels: tuple[Metric, Labels, float]) -> Scrape:
    samples: dict[str, dict[Labels, float]] = {}
    for metric, labels, value in levels:
        samples.setdefault(metric, {})[labels] = value
    return Scrape(0.0, samples)


def judged(
    metrics: Scrape | CommandFailed, readiness: Readiness | None = READY
) -> dict[str, tuple[str, str]]:
    found = judge(Findings(readiness, AUTH, metrics))
    return {each.name: (each.health.value, each.reason) for each in found}


def test_a_platform_that_is_well() -> None:
    model = (("model", "m"),)
    found = judged(scrape((Metric.RUNNING_SEQUENCES, model, 3), (Metric.QUEUED_REQUESTS, model, 2)))
    assert found == {
        "front door": ("ok", "ready"),
        "Auth and database": ("ok", ""),
        "limits' store": ("ok", ""),
        "Telemetry": ("ok", "nothing waits"),
        "model m": ("ok", "3 running, 2 queued"),
    }


@pytest.mark.parametrize(
    ("metric", "labels", "value", "words"),
    [
        (Metric.JOURNAL_LAG_SECONDS, (), 42.0, "42 s old"),
        (Metric.SINK_QUEUE_EVENTS, (("sink", "usage"),), 9_000.0, "9,000 events wait for the sink"),
        (Metric.EVENTS_DROPPED, (("reason", "full"),), 3.0, "the disk is full"),
        (Metric.EVENTS_LOST, (), 2.0, "2 events are lost"),
        (Metric.DEAD_LETTERS, (("sink", "audit"),), 1.0, "1 dead letters of audit"),
    ],
)
def test_telemetry_that_holds_something_back_is_degraded(
    metric: Metric, labels: Labels, value: float, words: str
) -> None:
    health, reason = judged(scrape((metric, labels, value)))["Telemetry"]
    assert health == "degraded"
    assert words in reason
    assert judged(scrape((metric, labels, 0.0)))["Telemetry"][0] == "ok"


def test_a_few_events_that_wait_are_no_trouble() -> None:
    found = judged(scrape((Metric.SINK_QUEUE_EVENTS, (("sink", "usage"),), 7)))
    assert found["Telemetry"] == ("ok", "7 events wait for a sink")


def test_the_store_of_limits_is_away_or_back() -> None:
    lost = (Metric.LIMIT_EXCHANGES, (("outcome", "lost"),), 4.0)
    found = judged(scrape(lost, (Metric.LIMIT_STORE_AWAY_SECONDS, (), 12.0)))
    assert found["limits' store"] == ("away", "for 12 s at least")
    assert judged(scrape(lost))["limits' store"] == ("ok", "it is back; 4 exchanges were lost")


def test_without_metrics_telemetry_is_away_or_nobody_knows() -> None:
    found = judged(PlatformAway("the platform answered 503: no"))
    assert found["Telemetry"] == ("away", "the platform answered 503: no")
    assert found["limits' store"][0] == "unknown"
    assert found["model m"] == ("ok", "")
    assert judged(KeyRefused("no key"))["Telemetry"] == ("unknown", "no key")


def test_the_front_door_and_each_model() -> None:
    models = (
        ModelReadiness("a", "failed", "no memory"),
        ModelReadiness("b", "loading", "reading", 0.5),
        ModelReadiness("c", "ready"),
    )
    found = judged(scrape(), Readiness(True, ("model a: no memory",), models))
    assert found["front door"] == ("degraded", "ready, but for model a: no memory")
    assert found["model a"] == ("away", "failed: no memory")
    assert found["model b"] == ("degraded", "loading 50% reading")
    waiting = judged(scrape(), Readiness(False, ("Router",)))["front door"]
    assert waiting == ("away", "it answers, but is not ready: Router")
    assert judged(scrape(), None)["front door"][0] == "away"


@pytest.mark.parametrize(
    ("status", "seconds", "health", "words"),
    [
        (200, 0.012, Health.OK, "12 ms"),
        (200, 2.0, Health.DEGRADED, "2.0 s"),
        (403, 0.1, Health.OK, "not to this key"),
        (429, 0.1, Health.DEGRADED, "busy"),
        (503, 0.1, Health.AWAY, "busy"),
    ],
)
def test_auth_is_judged_by_its_answer(
    status: int, seconds: float, health: Health, words: str
) -> None:
    answer = Answer(status, json.dumps({"error": {"message": "busy"}}).encode())
    found = judge_auth(answer, seconds)
    assert found.health is health
    assert words in found.reason


def test_a_platform_that_does_not_answer_is_asked_nothing_more() -> None:
    found = {each.name: each.health for each in judge(ask("http://127.0.0.1:9", "key"))}
    assert found["front door"] is Health.AWAY
    assert found["Auth and database"] is Health.UNKNOWN
    assert found["Telemetry"] is Health.UNKNOWN
