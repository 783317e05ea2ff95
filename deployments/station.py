"""What telemetry is made of: its sinks, its metrics and its desk, from the settings."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from helixflow.clock import Clock
from helixflow.settings import TelemetrySettings
from helixflow.telemetry.dead_letters import DeadLetters
from helixflow.telemetry.desk import Operation
from helixflow.telemetry.jsonl import JsonlSink
from helixflow.telemetry.ports import Sink
from helixflow.telemetry.station import Station
from helixflow.telemetry.unread import UnreadMetrics

_DEAD_LETTERS = "dead-letters"


async def build_station(tree: dict[str, Any], clock: Clock) -> Station:
    """The station that a configuration describes, not started yet.

    Raises OSError where a folder cannot be made, ValueError where what lies in it is damaged.
    """
    home, settings = Path(tree["home"]), TelemetrySettings(**tree["telemetry"])
    sinks: list[Sink] = []
    operations: list[Operation] = []
    if settings.jsonl.enabled:
        folder = home / settings.jsonl.folder
        sinks.append(await asyncio.to_thread(JsonlSink, folder, settings.jsonl, clock))
    letters = DeadLetters(home / _DEAD_LETTERS, settings.hub.dead_letter_bytes_max)
    return Station(
        sinks=sinks,
        metrics=UnreadMetrics(),
        operations=operations,
        letters=letters,
        settings=settings.hub,
        clock=clock,
    )
