"""How each part of a platform is, from what the platform says of itself.

`/readyz` tells of the front door and the models, `/metrics` of the limits' store and of Telemetry
(counters since Telemetry started), and one question to the administration of Auth and its database.

Failure behavior: a part that cannot be asked is `unknown`, with the reason; nothing raises.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum

from helixflow.cli.admin.api import path
from helixflow.cli.failure import CommandFailed
from helixflow.cli.gateway_api import GatewayApi, ModelReadiness, Readiness
from helixflow.cli.http import Answer, Client, Unreachable, require_ok
from helixflow.cli.scraper import KeyRefused, Scraper
from helixflow.signals import Metric
from helixflow.telemetry.scrape import Scrape, sums

_ASK_S = 5.0
_SLOW_S = 1.0
_LAG_S = 10.0
"""Events are shipped every quarter of a second; a journal that is older waits for something."""
_QUEUE_EVENTS = 5_000
_NO_KEY = "no admin key is known: it is in the home's env file"
_NO_FRONT = "the front door does not answer"
_DROPPED = {"full": "the disk is full", "unwritable": "the disk cannot be written"}


class Health(StrEnum):
    """A part's state, for people and programs."""

    OK = "ok"
    DEGRADED = "degraded"
    AWAY = "away"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Component:
    """One part, how it is, and why."""

    name: str
    health: Health
    reason: str = ""

    def as_json(self) -> dict[str, str]:
        """For `--json`."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Findings:
    """What was heard.

    Attributes:
        readiness: None while the front does not answer.
        auth: what Auth answered from its database, judged already.
        metrics: a page, or why there is none.
    """

    readiness: Readiness | None
    auth: Component
    metrics: Scrape | CommandFailed


def ask(base_url: str, key: str) -> Findings:
    """Ask a platform; each question has five seconds. An empty key asks only what is open."""
    readiness = GatewayApi(base_url).readiness()
    if readiness is None:
        return Findings(None, _auth(Health.UNKNOWN, _NO_FRONT), KeyRefused(_NO_FRONT))
    if not key:
        return Findings(readiness, _auth(Health.UNKNOWN, _NO_KEY), KeyRefused(_NO_KEY))
    try:
        metrics: Scrape | CommandFailed = Scraper(base_url, key, _ASK_S).scrape()
    except CommandFailed as error:
        metrics = error
    return Findings(readiness, _ask_auth(base_url, key), metrics)


def judge(found: Findings) -> tuple[Component, ...]:
    """Every part, the front door first and the models last."""
    return (
        _front(found.readiness),
        found.auth,
        *_behind_metrics(found.metrics),
        *(
            _model(model, found.metrics)
            for model in (found.readiness.models if found.readiness else ())
        ),
    )


def _front(readiness: Readiness | None) -> Component:
    if readiness is None:
        return Component("front door", Health.AWAY, "nothing answers at its address")
    waiting = ", ".join(readiness.waiting)
    if not readiness.ready:
        return Component("front door", Health.AWAY, f"it answers, but is not ready: {waiting}")
    if waiting:
        return Component("front door", Health.DEGRADED, f"ready, but for {waiting}")
    return Component("front door", Health.OK, "ready")


def _ask_auth(base_url: str, key: str) -> Component:
    began = time.monotonic()
    try:
        answer = Client(base_url, key, _ASK_S).request("GET", path())
    except Unreachable as error:
        return _auth(Health.AWAY, str(error))
    return judge_auth(answer, time.monotonic() - began)


def judge_auth(answer: Answer, seconds: float) -> Component:
    """From an answer that Auth reads in its database."""
    try:
        require_ok(answer)
    except CommandFailed as error:
        said = str(error)
        if answer.status in (401, 403):  # Auth says no, and so is there
            return _auth(Health.OK, f"it answers, but not to this key: {said}")
        return _auth(Health.DEGRADED if answer.status == 429 else Health.AWAY, said)
    slow = seconds > _SLOW_S
    took = f"answered in {seconds:.1f} s" if slow else f"answered in {seconds * 1000:.0f} ms"
    return _auth(Health.DEGRADED if slow else Health.OK, took)


def _auth(health: Health, reason: str) -> Component:
    return Component("Auth and database", health, reason)


def _behind_metrics(metrics: Scrape | CommandFailed) -> tuple[Component, Component]:
    if isinstance(metrics, Scrape):
        return _limits(metrics), _telemetry(metrics)
    unknown = isinstance(metrics, KeyRefused)
    limits = f"{metrics}" if unknown else "Telemetry does not answer"
    telemetry = Health.UNKNOWN if unknown else Health.AWAY
    return (
        Component("limits' store", Health.UNKNOWN, limits),
        Component("Telemetry", telemetry, str(metrics)),
    )


def _limits(scrape: Scrape) -> Component:
    away_s = _level(scrape, Metric.LIMIT_STORE_AWAY_SECONDS)
    if away_s > 0:
        return Component("limits' store", Health.AWAY, f"for {away_s:.0f} s at least")
    lost = sums(scrape.series(Metric.LIMIT_EXCHANGES), "outcome").get(("lost",), 0.0)
    remark = f"it is back; {lost:,.0f} exchanges were lost" if lost else ""
    return Component("limits' store", Health.OK, remark)


def _telemetry(scrape: Scrape) -> Component:
    troubles = list(_troubles(scrape))
    if troubles:
        return Component("Telemetry", Health.DEGRADED, "; ".join(troubles))
    waiting = sum(scrape.series(Metric.SINK_QUEUE_EVENTS).values())
    reason = f"{waiting:,.0f} events wait for a sink" if waiting else "nothing waits"
    return Component("Telemetry", Health.OK, reason)


def _troubles(scrape: Scrape) -> Iterator[str]:
    lag_s = _level(scrape, Metric.JOURNAL_LAG_SECONDS)
    if lag_s > _LAG_S:
        yield f"the oldest event that is not shipped is {lag_s:.0f} s old"
    for (sink,), count in sums(scrape.series(Metric.SINK_QUEUE_EVENTS), "sink").items():
        if count > _QUEUE_EVENTS:
            yield f"{count:,.0f} events wait for the sink {sink}"
    for (reason,), count in sums(scrape.series(Metric.EVENTS_DROPPED), "reason").items():
        if count:
            yield f"{count:,.0f} events were dropped: {_DROPPED.get(reason, reason)}"
    if lost := _level(scrape, Metric.EVENTS_LOST):
        yield f"{lost:,.0f} events are lost"
    for (sink,), count in sums(scrape.series(Metric.DEAD_LETTERS), "sink").items():
        if count:
            yield f"{count:,.0f} dead letters of {sink}"


def _level(scrape: Scrape, metric: Metric) -> float:
    return max(scrape.series(metric).values(), default=0.0)


def _model(model: ModelReadiness, metrics: Scrape | CommandFailed) -> Component:
    name = f"model {model.name}"
    if model.state == "failed":
        return Component(name, Health.AWAY, f"failed: {model.detail}".removesuffix(": "))
    if model.state != "ready":
        share = f" {model.progress:.0%}" if model.progress else ""
        return Component(name, Health.DEGRADED, f"{model.state}{share} {model.detail}".strip())
    if not isinstance(metrics, Scrape):
        return Component(name, Health.OK)
    queued = sums(metrics.series(Metric.QUEUED_REQUESTS), "model").get((model.name,), 0.0)
    running = sums(metrics.series(Metric.RUNNING_SEQUENCES), "model").get((model.name,), 0.0)
    return Component(name, Health.OK, f"{running:,.0f} running, {queued:,.0f} queued")
