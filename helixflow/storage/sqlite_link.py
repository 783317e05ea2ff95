"""A connection to an SQLite file that takes one turn of its thread for each statement.

aiosqlite runs every step of a statement as a job of its own on the connection's thread: make a
cursor, execute, fetch, close. Each costs a change of threads, several times what a look-up by index
costs. Here a statement is one job, and a commit or rollback without a transaction is none. Rows are
read whole: there are no server-side cursors.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import aiosqlite

_CHUNK = 64


class OneTurnConnection(aiosqlite.Connection):
    """Await it to connect. It does not keep the process from ending."""

    def __init__(self, connector: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connector, _CHUNK)
        self._thread.daemon = True
        self._turns = 0

    def cursor(self) -> OneTurnCursor:  # type: ignore[override]
        """A cursor that stands for nothing until it executes."""
        return OneTurnCursor(self)

    async def commit(self) -> None:
        """Commit the transaction, if there is one."""
        if self._in_doubt:
            await super().commit()

    async def rollback(self) -> None:
        """Roll the transaction back, if there is one."""
        if self._in_doubt:
            await super().rollback()

    async def turn(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        """Run `work` on the thread. It ends there even where its caller was cancelled."""

        def run() -> Any:
            try:
                return work(self._conn)
            finally:
                self._turns -= 1

        self._turns += 1
        return await self._execute(run)  # type: ignore[no-untyped-call]

    @property
    def _in_doubt(self) -> bool:
        """Whether a transaction is open, or may be: a cancelled caller's work may still run."""
        return self._turns > 0 or self._conn.in_transaction


class OneTurnCursor:
    """What SQLAlchemy asks of a cursor."""

    arraysize = 1

    def __init__(self, connection: OneTurnConnection) -> None:
        self._connection = connection
        self._rows: list[Any] = []
        self.description: tuple[Any, ...] | None = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    async def __aenter__(self) -> OneTurnCursor:
        return self

    async def execute(self, sql: str, parameters: Iterable[Any] = ()) -> OneTurnCursor:
        """Execute the statement and fetch what it gives."""
        await self._connection.turn(partial(self._run, "execute", sql, parameters))
        return self

    async def executemany(self, sql: str, parameters: Iterable[Iterable[Any]]) -> OneTurnCursor:
        """Execute the statement once for each of the parameters."""
        await self._connection.turn(partial(self._run, "executemany", sql, parameters))
        return self

    async def fetchall(self) -> list[Any]:
        """The rows that were not fetched yet."""
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        """The real cursor was closed in the turn that used it."""

    def _run(
        self, method: str, sql: str, parameters: Iterable[Any], connection: sqlite3.Connection
    ) -> None:
        cursor = connection.cursor()
        try:
            getattr(cursor, method)(sql, parameters)
            self.description = cursor.description
            self._rows = cursor.fetchall() if cursor.description else []
            self.rowcount, self.lastrowid = cursor.rowcount, cursor.lastrowid
        finally:
            cursor.close()
