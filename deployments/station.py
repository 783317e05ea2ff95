"""What telemetry is made of: its stores, its sinks, its metrics and its desk, from the settings."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from helixflow.clock import Clock
from helixflow.crypto.key_source import load_master_key
from helixflow.gateway.http.errors import STATUS
from helixflow.settings import TelemetrySettings, TracesSettings
from helixflow.storage.audit_stores import prepare_audit
from helixflow.storage.contents import prepare_contents
from helixflow.storage.database import Database
from helixflow.storage.telemetry import prepare_telemetry
from helixflow.telemetry.audit.build import build_audit
from helixflow.telemetry.content.build import build_content
from helixflow.telemetry.dead_letters import DeadLetters, letters_of
from helixflow.telemetry.jsonl import JsonlSink
from helixflow.telemetry.marks_file import MarksFile
from helixflow.telemetry.past_use import PastUse
from helixflow.telemetry.ports import MetricsIntake, Sink
from helixflow.telemetry.prometheus import PrometheusRegistry, metrics_operations
from helixflow.telemetry.station import Station, own_tally
from helixflow.telemetry.usage_desk import UsageDesk
from helixflow.telemetry.usage_sink import UsageSink


async def build_station(tree: dict[str, Any], clock: Clock) -> Station:
    """The station that a configuration describes, not started yet.

    Raises OSError where a folder cannot be made, ValueError where what lies in it is damaged,
    `ConfigError` where the master key does not fit, and `Unavailable` while a database is away.
    """
    home, settings = Path(tree["home"]), TelemetrySettings(**tree["telemetry"])
    databases: list[Database] = []
    try:
        return await _build(home, settings, clock, databases)
    except BaseException:
        for database in databases:
            await database.close()
        raise


def _traces(home: Path, settings: TracesSettings, metrics: MetricsIntake) -> Sink:
    # OpenTelemetry's exporters are half a second and 30 MB: not for those who want no traces.
    from helixflow.telemetry.traces.otlp import OtlpExporter, read_headers
    from helixflow.telemetry.traces.sink import TraceSink

    headers = read_headers(home / settings.headers_file) if settings.headers_file else {}
    marks = MarksFile(home / "traces" / "marks.json")
    statuses = {reason.value: status for reason, status in STATUS.items()}
    return TraceSink(OtlpExporter(settings, headers), marks, metrics, settings, statuses)


async def _build(
    home: Path, settings: TelemetrySettings, clock: Clock, databases: list[Database]
) -> Station:
    ring = await asyncio.to_thread(load_master_key, home, os.environ)
    stores = await prepare_telemetry(settings.storage, home)
    databases.append(stores.database)
    logs = await prepare_audit(stores.database, settings, home, clock)
    databases.append(logs.database)
    tally = own_tally()
    audit = build_audit(logs.audit, logs.persons, ring, settings.audit, clock, tally)
    kept = await prepare_contents(logs.database, settings, home)
    databases.append(kept.database)
    content = await asyncio.to_thread(
        build_content, kept.contents, kept.keys, ring, settings.content, audit.log,
        home / "content", clock, tally,
    )  # fmt: skip
    sinks: list[Sink] = [UsageSink(stores.usage, settings.usage, clock), audit.sink, content.sink]
    if settings.jsonl.enabled:
        folder = home / settings.jsonl.folder
        sinks.append(await asyncio.to_thread(JsonlSink, folder, settings.jsonl, clock))
    registry = PrometheusRegistry()
    if settings.traces.enabled:
        sinks.append(await asyncio.to_thread(_traces, home, settings.traces, registry))
    usage = UsageDesk(stores.usage_queries, settings.usage, clock)
    operations = (
        *usage.operations(), *audit.desk.operations(), *content.desk.operations(),
        *metrics_operations(registry),
    )  # fmt: skip
    letters = DeadLetters(letters_of(home), settings.hub.dead_letter_bytes_max)
    return Station(
        sinks=sinks,
        metrics=registry,
        operations=operations,
        letters=letters,
        settings=settings.hub,
        clock=clock,
        last=databases,
        vault=content.vault,
        tally=tally,
        past=PastUse(stores.usage_queries, settings.usage, clock),
    )
