"""How far each sink has come with each source, in the transaction that writes what it made of it.

A sink's `write` begins with `lock_sink` and `read_mark`, and ends with `write_mark`: what comes
twice is taken once, also from two Telemetry actors at the same time (while one replaces the other).
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from helixflow.storage.keyed import delete_by_key
from helixflow.storage.telemetry_tables import sink_marks

_LOCKS = 0x48454C49  # "HELI": the first half of the advisory locks of sinks


async def lock_sink(connection: AsyncConnection, sink: str) -> None:
    """Wait until no other transaction writes for this sink. (On SQLite writers are alone anyway.)"""
    if connection.dialect.name == "postgresql":
        await connection.exec_driver_sql(
            "SELECT pg_advisory_xact_lock($1, hashtext($2))", (_LOCKS, sink)
        )


async def read_mark(connection: AsyncConnection, sink: str, source: str) -> int:
    """The number of the last event of a source that a sink holds; 0 before the first one."""
    query = select(sink_marks.c.last).where(
        sink_marks.c.sink == sink, sink_marks.c.source == source
    )
    last: int | None = (await connection.execute(query)).scalar_one_or_none()
    return last or 0


async def write_mark(
    connection: AsyncConnection, sink: str, source: str, last: int, now: float
) -> None:
    """Remember it. `now` is epoch seconds."""
    insert = (
        sqlite.insert(sink_marks)
        if connection.dialect.name == "sqlite"
        else postgresql.insert(sink_marks)
    )
    values = {"sink": sink, "source": source, "last": last, "updated_at": now}
    await connection.execute(
        insert.values(values).on_conflict_do_update(
            index_elements=("sink", "source"), set_={"last": last, "updated_at": now}
        )
    )


async def forget_marks(connection: AsyncConnection, before: float, rows_max: int) -> int:
    """Delete marks that were not written since; how many it were."""
    key = (sink_marks.c.sink, sink_marks.c.source)
    some = select(*key).where(sink_marks.c.updated_at < before).limit(rows_max)
    found = (await connection.execute(some)).all()
    return await delete_by_key(connection, key, [tuple(row) for row in found])
