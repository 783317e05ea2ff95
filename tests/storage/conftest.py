"""Databases for tests: SQLite files and a real PostgreSQL that starts with the first need."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from helixflow.settings import StorageSettings
from helixflow.storage.database import Database
from helixflow.storage.schema import IDENTITY, PERSONS, SCHEMAS, TELEMETRY, Schema
from helixflow.testing.postgres import PostgresServer, find_programs

_numbers = itertools.count()
_TEMPLATE = "migrated"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    programs = find_programs()
    if programs is None:
        pytest.skip("no PostgreSQL on this machine")
    with PostgresServer(programs, durable=False) as server:
        yield server


async def _execute(server: PostgresServer, statement: str) -> None:
    engine = create_async_engine(server.url(), isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(statement))
    await engine.dispose()


async def _migrate(settings: StorageSettings, home: Path) -> None:
    """All schemas, one after the other, in one database."""
    for schema in SCHEMAS.values():
        database = Database.open(settings, home, schema)
        await database.upgrade()
        await database.close()


@pytest.fixture(scope="session")
def migrated_postgres(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    asyncio.run(_execute(postgres, f"CREATE DATABASE {_TEMPLATE}"))
    settings = StorageSettings(url=postgres.url(_TEMPLATE))
    asyncio.run(_migrate(settings, tmp_path_factory.mktemp("home")))
    return _TEMPLATE


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("template")
    asyncio.run(_migrate(StorageSettings(url="sqlite:///template.db"), home))
    return home / "template.db"


def _postgres_url(postgres: PostgresServer, template: str) -> str:
    name = f"test_{next(_numbers)}"
    asyncio.run(_execute(postgres, f"CREATE DATABASE {name} TEMPLATE {template}"))
    return postgres.url(name)


@pytest.fixture(params=["sqlite", "postgres"])
def migrated_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a migrated and empty database of each kind."""
    if request.param == "sqlite":
        path = tmp_path / "test.db"
        shutil.copyfile(request.getfixturevalue("migrated_sqlite"), path)
        return f"sqlite:///{path}"
    template = request.getfixturevalue("migrated_postgres")
    return _postgres_url(request.getfixturevalue("postgres"), template)


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database of each kind without any table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    return _postgres_url(request.getfixturevalue("postgres"), "template0")


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
