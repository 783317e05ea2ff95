"""Telemetry's branch: journals, shipping, the hub, its sinks and its database."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from helixflow.settings.branch import Branch
from helixflow.settings.storage import StorageSettings


class TelemetryStorageSettings(StorageSettings):
    """Telemetry's own database: usage and audit. The same PostgreSQL database may hold both."""

    url: str = "sqlite+aiosqlite:///telemetry.db"
    call_s: float = Field(default=5.0, gt=0)


class JournalSettings(Branch):
    """The local file of each process's events, until every sink has them."""

    segment_bytes: int = Field(default=8 * 1024 * 1024, ge=64 * 1024)
    bytes_max: int = Field(default=256 * 1024 * 1024, ge=128 * 1024)
    waiting_max: int = Field(default=4096, ge=1)
    retry_s: float = Field(default=1.0, gt=0)
    adopt_s: float = Field(default=10.0, gt=0)

    @model_validator(mode="after")
    def _room(self) -> JournalSettings:
        if self.bytes_max < 2 * self.segment_bytes:
            raise ValueError("bytes_max is less than two segments (segment_bytes)")
        return self


class ShippingSettings(Branch):
    """How a process's events and counts go to the Telemetry actor."""

    batch_s: float = Field(default=0.25, gt=0)
    batch_events: int = Field(default=512, ge=1)
    call_s: float = Field(default=5.0, gt=0)
    pause_s_max: float = Field(default=5.0, gt=0)
    close_s: float = Field(default=3.0, gt=0)
    series_max: int = Field(default=2000, ge=1)
    outbox_s: float = Field(default=0.5, gt=0)
    failures_s: float = Field(default=10.0, gt=0)
    failures_max: int = Field(default=1024, ge=1)


class HubSettings(Branch):
    """The Telemetry actor: the queues before its sinks, and its desk."""

    queue_events_max: int = Field(default=16_384, ge=1)
    write_events_max: int = Field(default=2048, ge=1)
    write_s: float = Field(default=30.0, gt=0)
    retry_s_max: float = Field(default=30.0, gt=0)
    dead_letter_bytes_max: int = Field(default=64 * 1024 * 1024, ge=1024)
    dead_letters_s: float = Field(default=1.0, gt=0)
    sources_max: int = Field(default=4096, ge=1)
    report_s: float = Field(default=1.0, gt=0)
    source_idle_s: float = Field(default=300.0, gt=0)
    query_s: float = Field(default=10.0, gt=0)
    queries_max: int = Field(default=8, ge=1)
    close_s: float = Field(default=10.0, gt=0)


class JsonlSettings(Branch):
    """Events as files, one JSON object a line. A relative folder is taken from the home folder."""

    enabled: bool = False
    folder: str = "events"
    file_bytes_max: int = Field(default=64 * 1024 * 1024, ge=4096)
    days_max: int = Field(default=30, ge=1)


class AuditSettings(Branch):
    """The audit log.

    `persons_url` is the database of the persons' keys, which belongs into no backup. Left empty, it
    is a file beside telemetry's SQLite file, or a table in telemetry's PostgreSQL. Days of
    retention per kind of record; 0 keeps for ever.
    """

    persons_url: str = ""
    persons_cached_max: int = Field(default=10_000, ge=1)
    groups_max: int = Field(default=64, ge=1)
    seal_s: float = Field(default=300.0, gt=0)
    retention_s: float = Field(default=6 * 3600.0, gt=0)
    seals_days: int = Field(default=30, ge=0)
    administration_days: int = Field(default=7 * 365, ge=0)
    authentication_days: int = Field(default=365, ge=0)
    authorization_days: int = Field(default=365, ge=0)


class UsageSettings(Branch):
    """Usage rows and their sums: when a request is given up, and how long what is kept.

    Days of retention; 0 keeps for ever. A row may be looked up by itself, an hour's and a day's sum
    outlive it.
    """

    lost_s: float = Field(default=900.0, gt=0)
    rows_days: int = Field(default=90, ge=0)
    hours_days: int = Field(default=400, ge=0)
    days_days: int = Field(default=0, ge=0)
    duties_s: float = Field(default=60.0, gt=0)
    results_max: int = Field(default=10_000, ge=1)


class ContentSettings(Branch):
    """What projects may keep of the content of their requests; none does unless it is told to.

    `days_max` bounds the days that a project may keep content; 0 lets none keep any. `url` is the
    database of the sealed contents; left empty, it is a file beside telemetry's SQLite file, or a
    table in telemetry's PostgreSQL. Of a request's body and of its answer the first
    `request_bytes_max` and `answer_bytes_max` are kept. An Ingress holds at most `held_bytes_max`
    of what is running or waits, and the store at most `stored_bytes_max` (sealed); what is more is
    dropped and counted.
    """

    days_max: int = Field(default=90, ge=0, le=3650)
    url: str = ""
    request_bytes_max: int = Field(default=256 * 1024, ge=1)
    answer_bytes_max: int = Field(default=256 * 1024, ge=1)
    held_bytes_max: int = Field(default=64 * 1024 * 1024, ge=1024)
    stored_bytes_max: int = Field(default=4 * 1024 * 1024 * 1024, ge=1024)
    batch_bytes: int = Field(default=1024 * 1024, ge=1024)
    batch_s: float = Field(default=0.5, gt=0)
    call_s: float = Field(default=10.0, gt=0)
    pause_s_max: float = Field(default=5.0, gt=0)
    session_s: float = Field(default=600.0, gt=0)
    sessions_max: int = Field(default=1024, ge=1)
    close_s: float = Field(default=3.0, gt=0)
    sweep_s: float = Field(default=60.0, gt=0)
    rows_max: int = Field(default=500, ge=1)


class TracesSettings(Branch):
    """Traces, exported by OTLP; without an endpoint there are none.

    Kept are the share `sample_ratio` of requests, those whose caller keeps its own trace
    (`follow_caller`), those that fail, and those that take `slow_s` or longer. `headers_file` holds
    `name: value` lines for the receiver, read when the Telemetry actor starts; what is in it is a
    secret.
    """

    endpoint: str = ""
    protocol: Literal["http", "grpc"] = "http"
    headers_file: str = ""
    service: str = Field(default="helixflow", min_length=1)
    sample_ratio: float = Field(default=0.0, ge=0, le=1)
    follow_caller: bool = True
    slow_s: float = Field(default=30.0, gt=0)
    include_personal: bool = False
    refusals_per_s: float = Field(default=10.0, gt=0)
    joined_max: int = Field(default=4096, ge=1)
    queue_spans_max: int = Field(default=16_384, ge=1)
    batch_spans: int = Field(default=512, ge=1)
    export_s: float = Field(default=10.0, gt=0)
    tries_max: int = Field(default=5, ge=1)

    @property
    def enabled(self) -> bool:
        return bool(self.endpoint)

    @model_validator(mode="after")
    def _address(self) -> TracesSettings:
        if self.endpoint and not self.endpoint.startswith(("http://", "https://")):
            raise ValueError("endpoint begins with http:// or https://, for gRPC as well")
        return self


class TelemetrySettings(Branch):
    """Logs, and the flow of events and counts.

    `log_requests` gives each request a line at its end, in the Ingress and in the Model.
    """

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_requests: bool = False
    storage: TelemetryStorageSettings = TelemetryStorageSettings()
    usage: UsageSettings = UsageSettings()
    audit: AuditSettings = AuditSettings()
    journal: JournalSettings = JournalSettings()
    shipping: ShippingSettings = ShippingSettings()
    hub: HubSettings = HubSettings()
    jsonl: JsonlSettings = JsonlSettings()
    content: ContentSettings = ContentSettings()
    traces: TracesSettings = TracesSettings()
