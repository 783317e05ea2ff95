"""Databases of one PostgreSQL server that tests borrow: made once, and emptied before the next use.

Making one takes 0.13 s and 300 files, which somebody must delete too; emptying one takes a few
milliseconds. What a test did to the schema is noticed, and such a database is not lent again.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from helixflow.testing.postgres import PostgresServer

_numbers = itertools.count()

# Ids change with what they stand for: a table that was made anew, a constraint, a column.
_SHAPE = """
SELECT (SELECT sum(oid::bigint) FROM pg_class WHERE relnamespace = 'public'::regnamespace),
    (SELECT sum(oid::bigint) FROM pg_constraint WHERE connamespace = 'public'::regnamespace),
    (SELECT sum(attnum * (1 + attnotnull::int) + atttypmod) FROM pg_attribute
     WHERE attrelid::bigint > 16383 AND NOT attisdropped)
"""
_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_TABLES = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
)
_BACK = "INSERT INTO {table} SELECT * FROM json_populate_record(NULL::{table}, :row)"
_RESTART = """
SELECT setval(oid::regclass, 1, false) FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'S'
"""


class Databases:
    """Copies of one template.

    Args:
        template: a database that nobody is connected to.
    """

    def __init__(self, server: PostgresServer, template: str) -> None:
        self._server = server
        self._template = template
        self._free: list[str] = []
        self._shape: Any = None
        self._rows: dict[str, list[str]] = {}

    @contextmanager
    def lent(self) -> Iterator[str]:
        """The URL of a database that is as the template is."""
        name = self._clean() or asyncio.run(self._make())
        try:
            yield self._server.url(name)
        finally:
            self._free.append(name)

    def _clean(self) -> str | None:
        while self._free:
            name = self._free.pop()
            if asyncio.run(self._emptied(name)):
                return name
        return None

    async def _make(self) -> str:
        name = f"lent_{next(_numbers)}"
        await execute(self._server, f"CREATE DATABASE {name} TEMPLATE {self._template}")
        if self._shape is None:
            engine = create_async_engine(self._server.url(name))
            async with engine.connect() as link:
                self._shape = (await link.execute(text(_SHAPE))).one()
                for table in (await link.execute(text(_TABLES))).scalars().all():
                    held = await link.execute(text(f"SELECT to_json(t)::text FROM {table} t"))
                    self._rows[table] = list(held.scalars())
            await engine.dispose()
        return name

    async def _emptied(self, name: str) -> bool:
        """Whether it could be made as it was."""
        engine = create_async_engine(self._server.url(name))
        try:
            async with engine.begin() as link:
                await link.execute(text(_OTHERS))
                if (await link.execute(text(_SHAPE))).one() != self._shape:
                    return False
                # Without triggers the order of tables does not matter.
                await link.execute(text("SET LOCAL session_replication_role = replica"))
                emptying = "".join(f"DELETE FROM {table};" for table in self._rows)
                await link.execute(text(f"DO $$BEGIN {emptying} END$$"))
                for table, rows in self._rows.items():
                    for row in rows:
                        await link.execute(text(_BACK.format(table=table)), {"row": row})
                await link.execute(text(_RESTART))
        finally:
            await engine.dispose()
        return True


async def execute(server: PostgresServer, statement: str) -> None:
    """Run a statement on the server, outside of transactions."""
    engine = create_async_engine(server.url(), isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(statement))
    await engine.dispose()
