"""Bring telemetry's database up: opened, migrated, with all its repositories.

Failure behavior: see database.py; `Unavailable` (`telemetry_unavailable`) while it is away. Several
processes may prepare at once: the migrations exclude each other.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from helixflow.settings import TelemetryStorageSettings
from helixflow.storage.database import Database
from helixflow.storage.schema import TELEMETRY
from helixflow.storage.usage import SqlUsage
from helixflow.storage.usage_queries import SqlUsageQueries


class TelemetryStores:
    """All repositories of telemetry's database; `database.close()` when done."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.usage = SqlUsage(database)
        self.usage_queries = SqlUsageQueries(database)


async def prepare_telemetry(settings: TelemetryStorageSettings, home: Path) -> TelemetryStores:
    """Open the database and bring its schema forward."""
    await asyncio.to_thread(home.mkdir, mode=0o700, parents=True, exist_ok=True)
    database = Database.open(settings, home, TELEMETRY)
    try:
        await database.upgrade()
    except BaseException:
        await database.close()
        raise
    return TelemetryStores(database)
