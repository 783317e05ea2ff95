"""The port through which every part counts and reports.

Parts know only `Signals`; `telemetry/` implements it. Counting never waits and never raises: a
signal that cannot be kept is dropped, the request goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias


class Metric(StrEnum):
    """Names of what is counted or measured, with the unit last (Prometheus conventions).

    `telemetry/metrics.py` says of each what it is, its labels and its buckets.
    """

    AUDIT_SEALED_AT = "helixflow_audit_sealed_timestamp_seconds"
    CONTENTS = "helixflow_contents_total"
    CONTENT_STORED_BYTES = "helixflow_content_stored_bytes"
    COST_USD = "helixflow_cost_usd_total"
    DEAD_LETTERS = "helixflow_dead_letters_total"
    DISK_USAGE = "helixflow_disk_usage_ratio"
    EVENTS = "helixflow_events_total"
    EVENTS_DROPPED = "helixflow_events_dropped_total"
    EVENTS_LOST = "helixflow_events_lost_total"
    HTTP_REQUESTS = "helixflow_http_requests_total"
    HTTP_REQUEST_SECONDS = "helixflow_http_request_duration_seconds"
    INTER_TOKEN_SECONDS = "helixflow_inter_token_latency_seconds"  # noqa: S105 (of text)
    JOURNAL_LAG_SECONDS = "helixflow_journal_lag_seconds"
    KV_CACHE_USAGE = "helixflow_kv_cache_usage_ratio"
    LIMIT_EXCHANGES = "helixflow_limit_exchanges_total"
    LIMIT_REFUSALS = "helixflow_limit_refusals_total"
    LIMIT_RESERVATIONS = "helixflow_limit_reservations_total"
    LIMIT_STORE_AWAY_SECONDS = "helixflow_limit_store_away_seconds"
    MODEL_READY_REPLICAS = "helixflow_model_ready_replicas"
    MODEL_STATE_CHANGES = "helixflow_model_state_changes_total"
    ONGOING_REQUESTS = "helixflow_ongoing_requests"
    PREFIX_CACHE_HIT_TOKENS = "helixflow_prefix_cache_hit_tokens_total"
    PROCESSES = "helixflow_processes"
    QUEUED_REQUESTS = "helixflow_queued_requests"
    QUEUE_WAIT_SECONDS = "helixflow_queue_wait_seconds"
    REFUSALS = "helixflow_refusals_total"
    REQUESTS = "helixflow_requests_total"
    REQUEST_SECONDS = "helixflow_request_duration_seconds"
    RUNNING_SEQUENCES = "helixflow_running_sequences"
    SERIES_DROPPED = "helixflow_series_dropped_total"
    SIGNING_KEY_SINCE = "helixflow_signing_key_timestamp_seconds"
    SINK_FAILURES = "helixflow_sink_failures_total"
    SINK_LAG_SECONDS = "helixflow_sink_lag_seconds"
    SINK_QUEUE_EVENTS = "helixflow_sink_queue_events"
    SPANS = "helixflow_spans_total"
    STAGE_SECONDS = "helixflow_stage_duration_seconds"
    TIME_TO_FIRST_TOKEN_SECONDS = "helixflow_time_to_first_token_seconds"  # noqa: S105 (of text)
    TOKENS = "helixflow_tokens_total"
    VERDICT_LOOKUPS = "helixflow_verdict_lookups_total"


Labels: TypeAlias = tuple[tuple[str, str], ...]
"""Label names and values. Never a tenant, user, key or request id."""


Fact: TypeAlias = str | int | float | bool | None


class EventKind(StrEnum):
    """What is journaled: kept until every sink has it, also over the death of the process."""

    ADMINISTRATION = "administration"
    AUTHENTICATION_FAILED = "authentication.failed"
    AUTHORIZATION_DENIED = "authorization.denied"
    REQUEST_ADMITTED = "request.admitted"
    REQUEST_ENDED = "request.ended"
    REQUEST_GENERATED = "request.generated"
    REQUEST_REFUSED = "request.refused"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened and must not be lost.

    Attributes:
        kind: what.
        at: epoch seconds.
        id: of what it happened to: the request's id, or the administrative event's own.
        facts: the rest, by the names that the kind's sinks read. Never a secret, never content.
    """

    kind: EventKind
    at: float
    id: str
    facts: Mapping[str, Fact]


class Signals(Protocol):
    """Where a part reports what happens in it."""

    def count(self, metric: Metric, labels: Labels = (), by: float = 1.0) -> None:
        """Add `by` to a counter."""
        ...

    def observe(self, metric: Metric, value: float, labels: Labels = ()) -> None:
        """Put a value (in the metric's unit) into a histogram."""
        ...

    def gauge(self, metric: Metric, value: float, labels: Labels = ()) -> None:
        """Say what a level is right now."""
        ...

    def record(self, event: Event) -> None:
        """Journal an event. It reaches every sink at least once."""
        ...


class NullSignals:
    """Keeps nothing."""

    def count(self, metric: Metric, labels: Labels = (), by: float = 1.0) -> None:
        """See `Signals.count`."""

    def observe(self, metric: Metric, value: float, labels: Labels = ()) -> None:
        """See `Signals.observe`."""

    def gauge(self, metric: Metric, value: float, labels: Labels = ()) -> None:
        """See `Signals.gauge`."""

    def record(self, event: Event) -> None:
        """See `Signals.record`."""
