"""The persons' keys over SQL.

Failure behavior: see database.py. What is deleted is overwritten in an SQLite file and in its
journal before `erase` returns. PostgreSQL overwrites it in its own time, and its write-ahead log has
it until that is recycled; both hold keys only wrapped by the master key.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from helixflow.storage.database import Database
from helixflow.storage.person_tables import audit_persons
from helixflow.telemetry.audit.ports import PersonRow

_KEYS_MAX = 500
_PERSONS = audit_persons.c


class SqlPersons:
    """`telemetry.audit.ports.PersonStore` over SQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, tags: Collection[bytes]) -> list[PersonRow]:
        """See `PersonStore.of`."""
        return await self._where(_PERSONS.tag, tags)

    async def called(self, indexes: Collection[str]) -> list[PersonRow]:
        """See `PersonStore.called`."""
        return await self._where(_PERSONS.person, indexes)

    async def add(self, rows: Sequence[PersonRow]) -> None:
        """See `PersonStore.add`."""
        values = [
            {"tag": row.tag, "person": row.index, "wrapped": row.wrapped, "used_at": row.used_at}
            for row in rows
        ]

        async def work(connection: AsyncConnection) -> None:
            dialect: Any = sqlite if connection.dialect.name == "sqlite" else postgresql
            await connection.execute(dialect.insert(audit_persons).on_conflict_do_nothing(), values)

        await self._database.write(work)

    async def touch(self, tags: Collection[bytes], used_at: float) -> None:
        """See `PersonStore.touch`."""

        async def work(connection: AsyncConnection) -> None:
            for some in _parts(tags):
                change = update(audit_persons).where(_PERSONS.tag.in_(some))
                await connection.execute(change.values(used_at=used_at))

        await self._database.write(work)

    async def erase(self, indexes: Collection[str]) -> int:
        """See `PersonStore.erase`."""
        count = 0
        for some in _parts(indexes):
            count += await self._delete(_PERSONS.person.in_(some))
        return count

    async def purge(self, before: float, limit: int) -> int:
        """See `PersonStore.purge`."""
        some = select(_PERSONS.tag).where(_PERSONS.used_at < before).limit(limit)
        return await self._delete(_PERSONS.tag.in_(some))

    async def _delete(self, which: ColumnElement[bool]) -> int:
        async def work(connection: AsyncConnection) -> int:
            if connection.dialect.name == "sqlite":
                await connection.exec_driver_sql("PRAGMA secure_delete = ON")
            return (await connection.execute(delete(audit_persons).where(which))).rowcount

        count = await self._database.write(work)
        if count:
            await self._database.empty_journal()
        return count

    async def _where(self, column: Any, wanted: Collection[Any]) -> list[PersonRow]:
        async def look(connection: AsyncConnection) -> list[Row[Any]]:
            found: list[Row[Any]] = []
            for some in _parts(wanted):
                rows = await connection.execute(select(audit_persons).where(column.in_(some)))
                found += rows.all()
            return found

        rows = await self._database.read(look)
        return [PersonRow(row.tag, row.person, row.wrapped, row.used_at) for row in rows]


def _parts(wanted: Collection[Any]) -> Iterator[list[Any]]:
    whole = list(wanted)
    for begin in range(0, len(whole), _KEYS_MAX):
        yield whole[begin : begin + _KEYS_MAX]
