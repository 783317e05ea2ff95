"""Databases of both kinds for tests of what stands on them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from helixflow.settings import StorageSettings
from helixflow.storage.database import Database
from helixflow.storage.schema import IDENTITY, PERSONS, TELEMETRY, Schema


@pytest.fixture(params=["sqlite", "postgres"])
def database_kind(request: pytest.FixtureRequest) -> str:
    """Everything here holds on both."""
    kind: str = request.param
    return kind


@pytest.fixture
def empty_url(request: pytest.FixtureRequest, database_kind: str, tmp_path: Path) -> str:
    """The URL of a database of this kind without any table."""
    if database_kind == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    make: Callable[[str], str] = request.getfixturevalue("new_postgres")
    return make("template0")


@pytest.fixture
async def open_database(tmp_path: Path) -> AsyncIterator[Callable[..., Database]]:
    """Opens databases that are closed after the test."""
    opened: list[Database] = []

    def open_one(url: str, call_s: float = 5.0, schema: Schema = IDENTITY) -> Database:
        opened.append(Database.open(StorageSettings(url=url, call_s=call_s), tmp_path, schema))
        return opened[-1]

    yield open_one
    for database in opened:
        await database.close()


@pytest.fixture
async def database(migrated_url: str, open_database: Callable[..., Database]) -> Database:
    return open_database(migrated_url, 5.0)


@pytest.fixture
async def telemetry(migrated_url: str, open_database: Callable[..., Database]) -> Database:
    return open_database(migrated_url, 5.0, TELEMETRY)


@pytest.fixture
async def persons(migrated_url: str, open_database: Callable[..., Database]) -> Database:
    return open_database(migrated_url, 5.0, PERSONS)
