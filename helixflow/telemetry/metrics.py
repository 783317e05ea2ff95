"""Every metric: what kind it is, what it says, its labels, its buckets.

Names and units follow Prometheus; what a model server measures is named and bucketed after vLLM's
metrics (`vllm:inter_token_latency_seconds`) and OpenTelemetry's GenAI conventions
(`gen_ai.server.time_to_first_token`). Label values are bounded: no tenant, user, key or request id
is ever one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias

from helixflow.signals import Metric

Bounds: TypeAlias = tuple[float, ...]
"""Upper bounds (inclusive), rising; what is above the last one is counted apart."""

SECONDS: Bounds = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    120.0, 300.0, 600.0,
)  # fmt: skip
"""From a cached answer of a small part to the longest generation."""

FIRST_TOKEN_SECONDS: Bounds = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    30.0, 60.0,
)  # fmt: skip
"""OpenTelemetry's, and on to the deadline of a first token."""

INTER_TOKEN_SECONDS: Bounds = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5,
)  # fmt: skip
"""OpenTelemetry's for the time per output token, and below for small models."""

STAGE_SECONDS: Bounds = (
    0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
    0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
)  # fmt: skip
"""From a cache's answer in this process to a call that times out."""


class MetricKind(StrEnum):
    """What a metric is to Prometheus."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Over(StrEnum):
    """What a gauge is over several processes."""

    MAX = "max"
    SUM = "sum"


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """One metric.

    Attributes:
        kind: counter, gauge or histogram.
        help: a sentence for whoever reads the page.
        labels: the names of its labels; others are left out.
        buckets: a histogram's.
        over: what a gauge is over the processes that report it.
    """

    kind: MetricKind
    help: str
    labels: tuple[str, ...] = ()
    buckets: Bounds = ()
    over: Over = Over.SUM


def _counter(help_: str, *labels: str) -> MetricInfo:
    return MetricInfo(MetricKind.COUNTER, help_, labels)


def _histogram(help_: str, *labels: str, buckets: Bounds = SECONDS) -> MetricInfo:
    return MetricInfo(MetricKind.HISTOGRAM, help_, labels, buckets)


def _sum(help_: str, *labels: str) -> MetricInfo:
    return MetricInfo(MetricKind.GAUGE, help_, labels)


def _max(help_: str, *labels: str) -> MetricInfo:
    return MetricInfo(MetricKind.GAUGE, help_, labels, over=Over.MAX)


METRICS: Mapping[Metric, MetricInfo] = MappingProxyType(
    {
        Metric.AUDIT_SEALED_AT: _max(
            "When all chains of the audit log were sealed last, in epoch seconds."
        ),
        Metric.CONTENTS: _counter(
            "Contents of requests that projects wanted to keep, by what became of them.", "outcome"
        ),
        Metric.CONTENT_STORED_BYTES: _max("Sealed content that is stored, in bytes."),
        Metric.COST_USD: _counter(
            "What answered requests cost at the price of their admission, in US dollars.",
            "model", "region",
        ),
        Metric.DEAD_LETTERS: _counter("Events that a sink will never take.", "sink"),
        Metric.DISK_USAGE: _max(
            "Share of the disk of the home folder in use, of the fullest node's."
        ),
        Metric.EVENTS: _counter("Events that came in, by kind.", "kind"),
        Metric.EVENTS_DROPPED: _counter("Events that could not be journaled.", "reason"),
        Metric.EVENTS_LOST: _counter("Events that a source had and nobody has any more."),
        Metric.HTTP_REQUESTS: _counter(
            "HTTP requests by their answer's status; `none` where the client got no answer.",
            "route", "status",
        ),
        Metric.HTTP_REQUEST_SECONDS: _histogram(
            "An HTTP request at the socket: from its head to the last byte of its answer.", "route"
        ),
        Metric.INTER_TOKEN_SECONDS: _histogram(
            "Between one output token and the next, in the model's replica.",
            "model", buckets=INTER_TOKEN_SECONDS,
        ),
        Metric.JOURNAL_LAG_SECONDS: _max(
            "Age of the oldest event that was not shipped, in the process where it is oldest."
        ),
        Metric.KV_CACHE_USAGE: _max(
            "Share of the KV cache in use, of the fullest replica.", "model"
        ),
        Metric.LIMIT_EXCHANGES: _counter(
            "Exchanges of an Ingress with the store of limits.", "outcome"
        ),
        Metric.LIMIT_REFUSALS: _counter("Requests that a limit refused, by the limit's name.", "limit"),
        Metric.LIMIT_RESERVATIONS: _counter(
            "Requests that were let through: by a lease, by an exchange, or by a lease while away.",
            "outcome",
        ),
        Metric.LIMIT_STORE_AWAY_SECONDS: _max(
            "How long the store of limits is away, where it is away longest."
        ),
        Metric.MODEL_READY_REPLICAS: _sum(
            "Replicas of a model that can be asked; 0 while it loads and after it failed.", "model"
        ),
        Metric.MODEL_STATE_CHANGES: _counter("Models that became something else."),
        Metric.ONGOING_REQUESTS: _sum("HTTP requests that are being answered."),
        Metric.PREFIX_CACHE_HIT_TOKENS: _counter(
            "Prompt tokens that came from the prefix cache.", "model"
        ),
        Metric.PROCESSES: _sum("Processes that report, by what they are.", "role"),
        Metric.QUEUE_WAIT_SECONDS: _histogram(
            "Before a sequence slot was free, in the model's replica.", "model", "service_class"
        ),
        Metric.QUEUED_REQUESTS: _sum(
            "Requests that wait for a sequence slot.", "model", "service_class"
        ),
        Metric.REFUSALS: _counter("Requests that were refused, by reason.", "reason"),
        Metric.REQUEST_SECONDS: _histogram(
            "A generation from its admission to its end, in the Ingress.", "model", "outcome"
        ),
        Metric.REQUESTS: _counter(
            "Generations by how they ended: ok, canceled, or the reason of the refusal.",
            "model", "outcome", "region",
        ),
        Metric.RUNNING_SEQUENCES: _sum("Sequences that are being generated.", "model"),
        Metric.SERIES_DROPPED: _counter(
            "Counts that a process had no room for, because it had too many series."
        ),
        Metric.SIGNING_KEY_SINCE: _max(
            "Since when the key signs that signs access tokens, in epoch seconds."
        ),
        Metric.SINK_FAILURES: _counter("Times that a sink could not take events.", "sink"),
        Metric.SINK_LAG_SECONDS: _histogram(
            "From an event to its place in a sink.", "sink"
        ),
        Metric.SINK_QUEUE_EVENTS: _sum("Events that wait for a sink.", "sink"),
        Metric.SPANS: _counter("Spans of kept traces by what became of them.", "outcome"),
        Metric.STAGE_SECONDS: _histogram(
            "One stage of a request's way through the Ingress.", "stage", buckets=STAGE_SECONDS
        ),
        Metric.TIME_TO_FIRST_TOKEN_SECONDS: _histogram(
            "To the first bytes of a streamed answer, in the Ingress.",
            "model", buckets=FIRST_TOKEN_SECONDS,
        ),
        Metric.TOKENS: _counter(
            "Tokens by kind: prompt (cached ones included) or completion.",
            "model", "kind", "region",
        ),
        Metric.VERDICT_LOOKUPS: _counter(
            "Authentications: a hit in the cache, or what came of the look-up.", "outcome"
        ),
    }
)  # fmt: skip


def bounds_of(metric: Metric) -> Bounds:
    """The bounds of a metric's buckets; those of seconds where it is no histogram."""
    return METRICS[metric].buckets or SECONDS
