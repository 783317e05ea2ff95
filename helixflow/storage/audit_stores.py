"""Bring the audit log's stores up: its tables in telemetry's database, and the persons' keys.

Failure behavior: see database.py. With `audit.persons_url` empty the keys lie in a file of their
own beside telemetry's SQLite file (`telemetry.db` and `telemetry-persons.db`), or in a table of
telemetry's PostgreSQL database, which backups must then leave out (docs/audit.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url

from helixflow.clock import Clock
from helixflow.settings import StorageSettings, TelemetrySettings
from helixflow.storage.audit import SqlAudit
from helixflow.storage.database import Database
from helixflow.storage.persons import SqlPersons
from helixflow.storage.schema import PERSONS


@dataclass(frozen=True, slots=True)
class AuditStores:
    """The repositories. `database` is that of the keys: `close()` it when done."""

    audit: SqlAudit
    persons: SqlPersons
    database: Database


async def prepare_audit(
    telemetry: Database, settings: TelemetrySettings, home: Path, clock: Clock
) -> AuditStores:
    """The audit log's repositories over telemetry's database, which is prepared already."""
    database = Database.open(persons_storage(settings), home, PERSONS)
    try:
        await database.upgrade()
    except BaseException:
        await database.close()
        raise
    return AuditStores(SqlAudit(telemetry, clock), SqlPersons(database), database)


def persons_storage(settings: TelemetrySettings) -> StorageSettings:
    """Where the persons' keys are."""
    url = settings.audit.persons_url or beside(settings.storage.url, "persons")
    return StorageSettings(url=url, call_s=settings.storage.call_s)


def beside(url: str, name: str) -> str:
    """The URL of an SQLite file that lies beside another one (`telemetry-<name>.db`); in PostgreSQL
    the same database holds both."""
    found = make_url(url)
    if found.get_backend_name() == "sqlite" and found.database:
        file = Path(found.database)
        found = found.set(database=str(file.with_name(f"{file.stem}-{name}{file.suffix}")))
    return found.render_as_string(hide_password=False)
