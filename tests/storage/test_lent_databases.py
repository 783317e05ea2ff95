"""What other tests build on: a database that was used before is as a fresh one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from helixflow.settings import StorageSettings
from helixflow.storage.database import Database
from tests.databases import Databases

_LOOK = (
    "revision FROM identity_revision",
    "count(*) FROM organizations",
    "count(*) FROM outbox",
    "count(*) FROM alembic_version",
    "nextval(pg_get_serial_sequence('outbox', 'sequence'))",
)
_USE = (
    "INSERT INTO organizations (id, name, created_at) VALUES ('o', 'o', 0)",
    (
        "INSERT INTO outbox (id, name, organization_id, actor, target, at, detail)"
        " VALUES ('e', 'n', 'o', 'a', 't', 0, '{}')"
    ),
    "UPDATE identity_revision SET revision = 7",
)


def done(url: str, home: Path, work: Callable[[AsyncConnection], Awaitable[object]]) -> object:
    async def run() -> object:
        database = Database.open(StorageSettings(url=url), home)
        try:
            return await database.write(work)
        finally:
            await database.close()

    return asyncio.run(run())


async def look(connection: AsyncConnection) -> list[object]:
    return [(await connection.execute(text(f"SELECT {what}"))).scalar_one() for what in _LOOK]


async def use(connection: AsyncConnection) -> None:
    for statement in _USE:
        await connection.execute(text(statement))


def test_a_used_database_is_lent_again_as_it_was(databases: Databases, tmp_path: Path) -> None:
    urls = []
    for _ in range(2):
        with databases.lent() as url:
            urls.append(url)
            assert done(url, tmp_path, look) == [0, 0, 0, 1, 1]
            done(url, tmp_path, use)
    assert urls[0] == urls[1]


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE outbox DROP COLUMN detail",
        "ALTER TABLE outbox ADD CHECK (at > 0)",
        "ALTER TABLE outbox ALTER COLUMN name TYPE varchar(65)",
        "CREATE TABLE more (id int)",
        "DROP INDEX ix_quotas_organization_id_created_at_id",
    ],
)
def test_a_database_with_another_schema_is_not_lent_again(
    databases: Databases, tmp_path: Path, change: str
) -> None:
    async def alter(connection: AsyncConnection) -> None:
        await connection.execute(text(change))

    with databases.lent() as url:
        done(url, tmp_path, alter)
    with databases.lent() as other:
        assert other != url
        assert done(other, tmp_path, look) == [0, 0, 0, 1, 1]
