"""One database, SQLite or PostgreSQL, by URL.

`read` and `write` run one function in one transaction, `first` one statement without any. SQLite
runs in WAL mode with one writer at a time; PostgreSQL through a small pool.

Failure behavior: every call is over within `call_s`. A database that is away, locked or too slow
raises `Unavailable` (with its schema's reason) and a time to come back, and nothing of a failed
`write` stays. A read that finds its pooled connection dead is tried once more on a fresh one; a write is
not, because it may have been committed. Constraint violations (`IntegrityError`) pass through.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Executable, Row, event, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    NotSupportedError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from helixflow.errors import ConfigError, Unavailable
from helixflow.settings import StorageSettings
from helixflow.storage import migrate
from helixflow.storage.schema import IDENTITY, Schema
from helixflow.storage.sqlite_links import SqliteLinks

T = TypeVar("T")

_CONNECTIONS = 8
_MIGRATION_S = 600.0
_RETRY_AFTER_S = 1.0
_WRITES = "helixflow_writes"
_ALONE = "helixflow_alone"
_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}
_READING: dict[str, dict[str, Any]] = {
    "sqlite": {},
    "postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
}
_ALONE_READING: dict[str, dict[str, Any]] = {
    "sqlite": {_ALONE: True},
    "postgresql": {"isolation_level": "AUTOCOMMIT"},
}
_WRITING: dict[str, Any] = {_WRITES: True}
_NOT_THE_DATABASE = (IntegrityError, DataError, ProgrammingError, NotSupportedError)


class Database:
    """The engine and its pool. For one event loop."""

    def __init__(
        self, engine: AsyncEngine, call_s: float, schema: Schema, links: SqliteLinks | None = None
    ) -> None:
        self._engine = engine
        self._links = links
        self._call_s = call_s
        self._schema = schema
        self._dialect = engine.dialect.name
        self._sqlite = self._dialect == "sqlite"
        self._writer = asyncio.Lock()

    @classmethod
    def open(cls, settings: StorageSettings, home: Path, schema: Schema = IDENTITY) -> Database:
        """Prepare the engine; nothing connects yet. A relative SQLite path begins at `home`."""
        url = _resolve(settings.url, home, schema.setting)
        if url.get_backend_name() == "sqlite":
            engine, links = _sqlite_engine(url, settings.call_s)
            return cls(engine, settings.call_s, schema, links)
        return cls(_postgres_engine(url, settings.call_s), settings.call_s, schema)

    async def read(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Run `work` on one consistent state of the database."""
        return await self._read(work, _READING[self._dialect])

    async def first(
        self, statement: Executable, parameters: Mapping[str, Any] | None = None
    ) -> Row[*tuple[Any, ...]] | None:
        """The first row of a statement that reads: one statement sees one state by itself.

        Without the transaction of `read` it is one exchange with the database instead of three.
        """

        async def look(connection: AsyncConnection) -> Row[*tuple[Any, ...]] | None:
            return (await connection.execute(statement, parameters)).first()

        return await self._read(look, _ALONE_READING[self._dialect])

    async def write(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Run `work` in a transaction that commits when it returns."""
        try:
            async with asyncio.timeout(self._call_s):
                if not self._sqlite:
                    return await self._run(work, _WRITING)
                async with self._writer:
                    return await self._run(work, _WRITING)
        except (DBAPIError, PoolTimeout, TimeoutError, OSError) as error:
            raise self._translate(error) from error

    async def upgrade(self, revision: str = "head") -> None:
        """Bring the schema forward; several processes may do so at once."""
        await self._migrate(lambda connection: migrate.upgrade(connection, self._schema, revision))

    async def downgrade(self, revision: str) -> None:
        """Bring the schema back to a revision, `base` for an empty database."""
        await self._migrate(
            lambda connection: migrate.downgrade(connection, self._schema, revision)
        )

    async def current(self) -> str | None:
        """The schema's revision, None for an empty database."""

        async def look(connection: AsyncConnection) -> str | None:
            return await connection.run_sync(migrate.current, self._schema)

        return await self.read(look)

    async def drift(self) -> list[str]:
        """How the schema differs from its tables, one line each; empty when it does not."""

        async def compare(connection: AsyncConnection) -> list[str]:
            return await connection.run_sync(migrate.drift, self._schema)

        return await self.read(compare)

    async def empty_journal(self) -> None:
        """SQLite: move the write-ahead log into the file and cut it, so that it holds nothing old.

        PostgreSQL recycles its own. Raises `Unavailable` while somebody reads an old state.
        """
        if not self._sqlite:
            return
        try:
            async with asyncio.timeout(self._call_s), self._writer, self._engine.connect() as link:
                busy = await link.run_sync(_checkpoint)
        except (DBAPIError, PoolTimeout, TimeoutError, OSError) as error:
            raise self._translate(error) from error
        if busy:
            raise self._translate(TimeoutError())

    async def close(self) -> None:
        """Close the pool. Calling it twice is harmless.

        Returns once what earlier calls gave up is over too, or `call_s` later.
        """
        await self._engine.dispose()
        if self._links is not None:
            await self._links.ended(self._call_s)

    async def _read(
        self, work: Callable[[AsyncConnection], Awaitable[T]], options: Mapping[str, Any]
    ) -> T:
        try:
            async with asyncio.timeout(self._call_s):
                try:
                    return await self._run(work, options)
                except DBAPIError as error:
                    if not error.connection_invalidated:
                        raise
                    return await self._run(work, options)
        except (DBAPIError, PoolTimeout, TimeoutError, OSError) as error:
            raise self._translate(error) from error

    async def _run(
        self, work: Callable[[AsyncConnection], Awaitable[T]], options: Mapping[str, Any]
    ) -> T:
        async with self._engine.connect() as connection:
            connection = await connection.execution_options(**options)
            async with connection.begin():
                return await work(connection)

    async def _migrate(self, step: migrate.Step) -> None:
        try:
            async with (
                asyncio.timeout(_MIGRATION_S),
                self._writer,
                self._engine.connect() as connection,
            ):
                await migrate.run(connection, step, _WRITES)
        except (DBAPIError, PoolTimeout, TimeoutError, OSError) as error:
            raise self._translate(error) from error

    def _translate(self, error: BaseException) -> BaseException:
        if isinstance(error, _NOT_THE_DATABASE):
            return error
        schema = self._schema
        return Unavailable(schema.away, schema.message, retry_after_s=_RETRY_AFTER_S)


def _resolve(text: str, home: Path, setting: str) -> URL:
    try:
        url = make_url(text)
    except ArgumentError:
        raise ConfigError(f"{setting}: not a database URL") from None
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        known = ", ".join(sorted(set(_DRIVERS.values())))
        raise ConfigError(f"{setting}: {url.drivername!r} is not known; known: {known}")
    url = url.set(drivername=driver)
    if driver.startswith("sqlite"):
        if not url.database or url.database == ":memory:":
            raise ConfigError(f"{setting}: an SQLite URL names a file")
        return url.set(database=str(home / url.database))
    return url


def _sqlite_engine(url: URL, call_s: float) -> tuple[AsyncEngine, SqliteLinks]:
    path = Path(str(url.database))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite gives its journals the mode of the database file.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    # SQLite must give up on a lock before our deadline does: then the reason is known.
    busy_ms = max(1, int(call_s * 1000 * 0.8))
    links = SqliteLinks(path, busy_ms / 1000)
    engine = create_async_engine(
        url,
        hide_parameters=True,
        pool_size=_CONNECTIONS,
        max_overflow=0,
        pool_timeout=call_s,
        async_creator=links.connect,
    )

    def prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # transactions begin where `begin` below says so
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.execute(f"PRAGMA busy_timeout={busy_ms}")
        cursor.close()

    def begin(connection: Any) -> None:
        options = connection.get_execution_options()
        if not options.get(_ALONE, False):
            # A writer takes its lock at once: a lock taken halfway cannot wait, it fails.
            writes = options.get(_WRITES, False)
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine.sync_engine, "connect", prepare)
    event.listen(engine.sync_engine, "begin", begin)
    return engine, links


def _checkpoint(connection: Connection) -> bool:
    """Whether a reader stood in the way. Past SQLAlchemy, which would begin a transaction first."""
    cursor = connection.connection.cursor()
    cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    told = cursor.fetchone()  # (busy, pages in the log, pages moved)
    cursor.close()
    return told is None or bool(told[0])


def _postgres_engine(url: URL, call_s: float) -> AsyncEngine:
    limit_ms = str(max(1, int(call_s * 1000)))
    return create_async_engine(
        url,
        hide_parameters=True,
        pool_size=_CONNECTIONS,
        max_overflow=0,
        pool_timeout=call_s,
        connect_args={
            "timeout": call_s,
            "server_settings": {
                "application_name": "helixflow",
                "idle_in_transaction_session_timeout": limit_ms,
                "lock_timeout": limit_ms,
                "statement_timeout": limit_ms,
            },
        },
    )
