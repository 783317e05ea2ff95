"""The schemas that a database may have: identity's, telemetry's, that of keys, that of content.

Each has tables of its own, migrations of its own and a version table of its own, so that all may
live in one PostgreSQL database. Alembic's scripts (`migrations/env.py`) are shared.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import MetaData

from helixflow.errors import Refusal
from helixflow.storage import audit_tables, content_tables, person_tables, tables

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Schema:
    """One of them.

    Attributes:
        name: what the command line calls it.
        setting: where its database's URL stands in the settings.
        metadata: its tables.
        versions: the folder of its migrations.
        version_table: where a database keeps the revision that it is at.
        away: why a call is refused while its database is away.
        message: the same in words.
    """

    name: str
    setting: str
    metadata: MetaData
    versions: Path
    version_table: str
    away: Refusal
    message: str

    @property
    def foreign(self) -> frozenset[str]:
        """The tables of the others, which may be in the same database."""
        others = [schema for schema in SCHEMAS.values() if schema.name != self.name]
        names = {name for schema in others for name in schema.metadata.tables}
        return frozenset(names | {schema.version_table for schema in others})


IDENTITY = Schema(
    name="identity",
    setting="storage.url",
    metadata=tables.metadata,
    versions=_HERE / "migrations" / "versions",
    version_table="alembic_version",
    away=Refusal.AUTH_UNAVAILABLE,
    message="The identity store is not available right now.",
)
TELEMETRY = Schema(
    name="telemetry",
    setting="telemetry.storage.url",
    metadata=audit_tables.metadata,
    versions=_HERE / "telemetry_migrations" / "versions",
    version_table="telemetry_version",
    away=Refusal.TELEMETRY_UNAVAILABLE,
    message="The telemetry store is not available right now.",
)
PERSONS = Schema(
    name="persons",
    setting="telemetry.audit.persons_url",
    metadata=person_tables.metadata,
    versions=_HERE / "person_migrations" / "versions",
    version_table="persons_version",
    away=Refusal.TELEMETRY_UNAVAILABLE,
    message="The store of the audit log's keys is not available right now.",
)
CONTENT = Schema(
    name="content",
    setting="telemetry.content.url",
    metadata=content_tables.metadata,
    versions=_HERE / "content_migrations" / "versions",
    version_table="content_version",
    away=Refusal.TELEMETRY_UNAVAILABLE,
    message="The store of kept content is not available right now.",
)
SCHEMAS = {schema.name: schema for schema in (IDENTITY, TELEMETRY, PERSONS, CONTENT)}
