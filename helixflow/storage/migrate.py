"""Schema migrations: Alembic, run inside a transaction of ours.

All of one run commits together or not at all, on SQLite too. Runs exclude each other: SQLite by its
write lock, PostgreSQL by an advisory lock that ends with the transaction. Alembic keeps its context
in the process: one process migrates one database at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from helixflow.storage.schema import Schema

Step: TypeAlias = Callable[[Connection], None]

_LOCK = 0x48454C49584D4947  # "HELIXMIG"
_SCRIPTS = Path(__file__).parent / "migrations"


async def run(connection: AsyncConnection, step: Step, write_option: str) -> None:
    """Run a step in one transaction; `write_option` marks it as a writing one (database.py)."""
    sqlite = connection.dialect.name == "sqlite"
    connection = await connection.execution_options(**{write_option: True})
    if sqlite:
        # Altering a table rebuilds it, which must not cascade. Only settable outside transactions.
        await connection.run_sync(_foreign_keys, "OFF")
    try:
        async with connection.begin():
            if not sqlite:
                await connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
                await connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
                # Between statements Alembic loads scripts, on a machine that may be busy.
                await connection.exec_driver_sql(
                    "SET LOCAL idle_in_transaction_session_timeout = '1min'"
                )
                await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            await connection.run_sync(step)
            if sqlite:
                await connection.run_sync(_refuse_dangling)
    finally:
        if sqlite:
            await connection.run_sync(_foreign_keys, "ON")


def upgrade(connection: Connection, schema: Schema, revision: str) -> None:
    """See `Database.upgrade`."""
    command.upgrade(_config(schema, connection), revision)


def downgrade(connection: Connection, schema: Schema, revision: str) -> None:
    """See `Database.downgrade`."""
    command.downgrade(_config(schema, connection), revision)


def current(connection: Connection, schema: Schema) -> str | None:
    """See `Database.current`."""
    return _context(connection, schema).get_current_revision()


def revisions(schema: Schema) -> list[str]:
    """All revisions of a schema, the newest first. No database is asked."""
    scripts = ScriptDirectory.from_config(_config(schema, None))
    return [script.revision for script in scripts.walk_revisions()]


def drift(connection: Connection, schema: Schema) -> list[str]:
    """See `Database.drift`."""
    context = _context(connection, schema)
    return [repr(difference) for difference in compare_metadata(context, schema.metadata)]


def _context(connection: Connection, schema: Schema) -> MigrationContext:
    foreign = schema.foreign
    return MigrationContext.configure(
        connection,
        opts={
            "compare_type": True,
            "version_table": schema.version_table,
            "include_name": lambda name, kind, _: kind != "table" or name not in foreign,
        },
    )


def _config(schema: Schema, connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("version_locations", str(schema.versions).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")  # a path may have spaces and colons in it
    config.attributes["connection"] = connection
    config.attributes["schema"] = schema
    return config


def _foreign_keys(connection: Connection, switch: str) -> None:
    """Past SQLAlchemy, which would begin a transaction first."""
    cursor = connection.connection.cursor()
    cursor.execute(f"PRAGMA foreign_keys={switch}")
    cursor.close()


def _refuse_dangling(connection: Connection) -> None:
    dangling = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    if dangling:
        raise RuntimeError(f"the migration left {len(dangling)} dangling references")
