"""What happened between two pages of metrics: rates, latencies and queues, by model.

Pure. Rates are per second of the time between the pages; latencies are of what ended in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from helixflow.signals import Labels, Metric
from helixflow.telemetry.scrape import (
    Buckets,
    Scrape,
    bucket_increases,
    increase,
    merged,
    quantile,
    sums,
)

_OK = "ok"


@dataclass(frozen=True, slots=True)
class Latency:
    """Quantiles in seconds; None where nothing was measured."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None

    @staticmethod
    def of(buckets: Buckets) -> Latency:
        return Latency(*(quantile(share, buckets) for share in (0.5, 0.95, 0.99)))


@dataclass(frozen=True, slots=True)
class ModelPace:
    """One model, or all of them.

    Attributes:
        model: its name; empty where a request named none that there is.
        requests_per_s: generations that ended, refused ones too.
        prompt_tokens_per_s, completion_tokens_per_s: of answers that ended.
        refusals_per_s: by reason.
        first_token: from a request to its first bytes.
        end_to_end: from a request to the end of its answer, of those that were answered.
        queued, running: right now.
        requests, tokens: in all since the counters began.
    """

    model: str
    requests_per_s: float
    prompt_tokens_per_s: float
    completion_tokens_per_s: float
    refusals_per_s: Mapping[str, float]
    first_token: Latency
    end_to_end: Latency
    queued: int
    running: int
    requests: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Pace:
    """What happened in `seconds`.

    Attributes:
        models: by name.
        platform: all of it; its model is empty.
        refusals_per_s: of the whole platform by reason, in alphabetical order.
    """

    seconds: float
    models: tuple[ModelPace, ...]
    platform: ModelPace
    refusals_per_s: Mapping[str, float]


def pace(before: Scrape, after: Scrape) -> Pace:
    """The difference of two pages; nothing happened in no time."""
    seconds = max(0.0, after.at - before.at)
    between = _Between(before, after, seconds)
    return Pace(
        seconds,
        tuple(between.model(name) for name in between.names()),
        between.model(None),
        between.refusals(Metric.REFUSALS, "reason"),
    )


class _Between:
    """Both pages, their differences taken once."""

    def __init__(self, before: Scrape, after: Scrape, seconds: float) -> None:
        self._before, self._after, self._seconds = before, after, seconds
        self._requests = increase(before, after, Metric.REQUESTS)
        self._tokens = increase(before, after, Metric.TOKENS)
        self._first = bucket_increases(before, after, Metric.TIME_TO_FIRST_TOKEN_SECONDS)
        self._whole = bucket_increases(before, after, Metric.REQUEST_SECONDS)

    def names(self) -> list[str]:
        """Every model that a page tells of."""
        told = (Metric.REQUESTS, Metric.TOKENS, Metric.RUNNING_SEQUENCES, Metric.QUEUED_REQUESTS)
        return sorted({model for name in told for (model,) in sums(self._now(name), "model")})

    def refusals(self, metric: Metric, label: str) -> dict[str, float]:
        """Per second by reason, without those that did not happen."""
        grown = sums(increase(self._before, self._after, metric), label)
        return {reason: self._rate(count) for (reason,), count in sorted(grown.items()) if count}

    def model(self, name: str | None) -> ModelPace:
        """One of them; None for all."""
        tokens = _by(self._tokens, name, "kind")
        outcomes = _by(self._requests, name, "outcome")
        refused = sorted((o, n) for o, n in outcomes.items() if n and o not in (_OK, "canceled"))
        return ModelPace(
            model=name or "",
            requests_per_s=self._rate(sum(outcomes.values())),
            prompt_tokens_per_s=self._rate(tokens.get("prompt", 0.0)),
            completion_tokens_per_s=self._rate(tokens.get("completion", 0.0)),
            refusals_per_s={reason: self._rate(count) for reason, count in refused},
            first_token=Latency.of(merged(self._first, lambda labels: _is(labels, name))),
            end_to_end=Latency.of(
                merged(self._whole, lambda o: _is(o, name) and o.get("outcome") == _OK)
            ),
            queued=self._total(Metric.QUEUED_REQUESTS, name),
            running=self._total(Metric.RUNNING_SEQUENCES, name),
            requests=self._total(Metric.REQUESTS, name),
            tokens=self._total(Metric.TOKENS, name),
        )

    def _now(self, metric: Metric) -> Mapping[Labels, float]:
        return self._after.series(metric)

    def _total(self, metric: Metric, name: str | None) -> int:
        return round(sum(v for labels, v in self._now(metric).items() if _is(dict(labels), name)))

    def _rate(self, grown: float) -> float:
        return grown / self._seconds if self._seconds else 0.0


def _is(labels: Mapping[str, str], name: str | None) -> bool:
    return name is None or labels.get("model", "") == name


def _by(grown: Mapping[Labels, float], name: str | None, label: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for (model, value), count in sums(grown, "model", label).items():
        if name is None or model == name:
            found[value] = found.get(value, 0.0) + count
    return found
