from __future__ import annotations

import asyncio
import sqlite3
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, bindparam, insert, select, text
from sqlalchemy.exc import IntegrityError, ResourceClosedError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from helixflow.errors import ConfigError, Refusal, Unavailable
from helixflow.settings import StorageSettings
from helixflow.storage import migrate
from helixflow.storage.database import Database
from helixflow.storage.tables import organizations
from helixflow.testing.postgres import PostgresServer

Open = Callable[..., Database]


def organization(name: str) -> object:
    return insert(organizations).values(id=name, name=name, created_at=0.0)


async def add(connection: AsyncConnection) -> None:
    await connection.execute(organization("org_a"))  # type: ignore[call-overload]


async def names(connection: AsyncConnection) -> list[str]:
    return list((await connection.execute(select(organizations.c.name))).scalars())


async def slow(connection: AsyncConnection) -> None:
    count = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 2000)"
    await connection.execute(text(f"{count} SELECT count(*) FROM r"))


async def test_a_write_that_raises_leaves_nothing(database: Database) -> None:
    async def fail(connection: AsyncConnection) -> None:
        await add(connection)
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(fail)
    assert await database.read(names) == []


async def test_a_violated_constraint_passes_through_without_its_values(database: Database) -> None:
    await database.write(add)
    with pytest.raises(IntegrityError) as caught:
        await database.write(add)
    assert "created_at" in str(caught.value)
    assert "[parameters" not in str(caught.value)
    assert "SQL parameters hidden" in str(caught.value)


async def test_a_call_that_takes_too_long_is_unavailable(
    migrated_url: str, open_database: Open
) -> None:
    database = open_database(migrated_url, 0.05)

    async def wait(connection: AsyncConnection) -> None:
        await asyncio.Event().wait()

    with pytest.raises(Unavailable) as caught:
        await database.read(wait)
    assert caught.value.reason is Refusal.AUTH_UNAVAILABLE
    assert caught.value.retry_after_s == 1.0
    assert await open_database(migrated_url).read(names) == []


async def test_the_pool_comes_back_after_cancelled_calls(
    migrated_url: str, open_database: Open
) -> None:
    database = open_database(migrated_url)
    entered = asyncio.Event()

    async def wait(connection: AsyncConnection) -> None:
        await connection.execute(text("SELECT 1"))
        entered.set()
        await asyncio.Event().wait()

    for _ in range(12):
        entered.clear()
        task = asyncio.create_task(database.read(wait))
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await database.read(names) == []


@pytest.mark.parametrize("times", [1, 2])
async def test_a_cancelled_call_leaves_no_thread_and_no_task_behind(
    tmp_path: Path, times: int
) -> None:
    """Wherever it was: about to connect, connecting, in a statement, or cleaning up."""
    before = set(threading.enumerate())
    for moment in range(40):
        database = Database.open(StorageSettings(url="sqlite:///a.db", call_s=5.0), tmp_path)
        task = asyncio.create_task(database.read(slow))
        for _ in range(moment):
            await asyncio.sleep(0)
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0)
        await asyncio.wait({task})
        await database.close()
        assert set(threading.enumerate()) == before
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            assert (await asyncio.wait(left, timeout=5))[1] == set()


async def test_more_calls_than_connections_all_succeed(database: Database) -> None:
    assert await asyncio.gather(*(database.read(names) for _ in range(40))) == [[]] * 40


async def test_a_locked_sqlite_file_is_unavailable_for_writers_and_open_to_readers(
    tmp_path: Path, open_database: Open
) -> None:
    database = open_database("sqlite:///locked.db", 0.1)
    await database.upgrade()
    other = sqlite3.connect(tmp_path / "locked.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable):
        await database.write(add)
    assert await database.read(names) == []
    other.execute("ROLLBACK")
    other.close()
    await database.write(add)
    assert await database.read(names) == ["org_a"]


async def test_sqlite_runs_in_wal_with_foreign_keys_and_full_sync(
    tmp_path: Path, open_database: Open
) -> None:
    async def pragmas(connection: AsyncConnection) -> list[object]:
        return [
            (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
        ]

    database = open_database("sqlite:///deep/down.db", 20.0)
    assert await database.read(pragmas) == ["wal", 1, 2, 16_000]
    assert stat.S_IMODE((tmp_path / "deep" / "down.db").stat().st_mode) == 0o600


async def test_foreign_keys_are_on_after_a_migration(open_database: Open) -> None:
    database = open_database("sqlite:///after.db")
    await database.upgrade()

    async def orphan(connection: AsyncConnection) -> None:
        columns, values = "id, organization_id, name, created_at", "'p', 'nobody', 'x', 0"
        await connection.exec_driver_sql(f"INSERT INTO projects ({columns}) VALUES ({values})")

    for _ in range(3):
        with pytest.raises(IntegrityError):
            await database.write(orphan)


async def test_a_postgres_that_went_away_is_unavailable_and_comes_back(
    postgres: PostgresServer, open_database: Open
) -> None:
    database = open_database(postgres.url())

    async def one(connection: AsyncConnection) -> int:
        number: int = (await connection.execute(text("SELECT 1"))).scalar_one()
        return number

    assert await database.read(one) == 1
    postgres.stop()
    try:
        with pytest.raises(Unavailable):
            await database.read(one)
        with pytest.raises(Unavailable):
            await database.upgrade()
    finally:
        postgres.start()
    assert await database.read(one) == 1


async def test_a_read_outlives_a_restart_of_postgres(
    postgres: PostgresServer, open_database: Open
) -> None:
    database = open_database(postgres.url())

    async def one(connection: AsyncConnection) -> int:
        number: int = (await connection.execute(text("SELECT 1"))).scalar_one()
        return number

    async def alone() -> int:
        row = await database.first(text("SELECT 1 AS number"))
        return 0 if row is None else row.number

    for ask in (lambda: database.read(one), alone):
        assert await ask() == 1
        postgres.stop()
        postgres.start()
        assert await ask() == 1


async def test_a_statement_alone_gives_its_first_row_and_no_transaction(
    database: Database, database_kind: str
) -> None:
    await database.write(add)
    wanted = select(organizations).where(organizations.c.id == bindparam("wanted"))
    row = await database.first(wanted, {"wanted": "org_a"})
    assert row is not None
    assert row.name == "org_a"
    assert await database.first(wanted, {"wanted": "org_b"}) is None
    if database_kind == "postgres":
        # Within a transaction this would be refused; it runs, and has no rows.
        with pytest.raises(ResourceClosedError):
            await database.first(text("VACUUM organizations"))


async def test_transactions_are_what_they_were_after_a_statement_alone(database: Database) -> None:
    async def fail(connection: AsyncConnection) -> None:
        await add(connection)
        raise LookupError

    async def twice(connection: AsyncConnection) -> tuple[list[str], list[str]]:
        before = await names(connection)
        await database.write(add)
        return before, await names(connection)

    assert await database.first(select(organizations)) is None
    with pytest.raises(LookupError):
        await database.write(fail)
    assert await database.first(select(organizations)) is None
    assert await database.read(twice) == ([], [])
    assert await database.read(names) == ["org_a"]


async def test_postgres_ends_a_statement_at_the_deadline_itself(
    postgres: PostgresServer, open_database: Open
) -> None:
    database = open_database(postgres.url(), 0.7)

    async def limits(connection: AsyncConnection) -> list[str]:
        return [
            (await connection.execute(text(f"SHOW {name}"))).scalar_one()
            for name in ("statement_timeout", "lock_timeout")
        ]

    assert await database.read(limits) == ["700ms", "700ms"]


async def test_a_migration_of_postgres_may_take_longer_than_a_call(
    postgres: PostgresServer,
) -> None:
    limits: list[object] = []

    def look(connection: Connection) -> None:
        limits.extend(
            connection.execute(text(f"SHOW {name}")).scalar_one()
            for name in (
                "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout",
            )
        )  # fmt: skip

    engine = create_async_engine(
        postgres.url(),
        connect_args={
            "server_settings": {
                "statement_timeout": "100",
                "lock_timeout": "100",
                "idle_in_transaction_session_timeout": "100",
            }
        },
    )
    async with engine.connect() as connection:
        await migrate.run(connection, look, "writes")
    await engine.dispose()
    assert limits == ["0", "0", "1min"]


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("nonsense", "not a database URL"),
        ("mysql://host/name", "'mysql' is not known"),
        ("sqlite://", "names a file"),
        ("sqlite:///:memory:", "names a file"),
    ],
)
def test_a_url_that_cannot_be_used_is_a_configuration_error(
    url: str, complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        Database.open(StorageSettings(url=url), tmp_path)


def test_a_password_in_a_url_is_not_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        Database.open(StorageSettings(url="oracle://me:hunter2@host/name"), tmp_path)
    assert "hunter2" not in str(caught.value)


async def test_a_statement_that_cannot_run_is_no_reason_to_try_again(
    tmp_path: Path, open_database: Open
) -> None:
    runs = 0

    async def broken(connection: AsyncConnection) -> None:
        nonlocal runs
        runs += 1
        await connection.exec_driver_sql("SELECT * FROM nothing")

    with pytest.raises(Unavailable):
        await open_database("sqlite:///empty.db").read(broken)
    assert runs == 1
