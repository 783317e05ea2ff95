from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection

from helixflow.identity.ports import Unit
from helixflow.identity.records import Organization
from helixflow.ids import OrganizationId, ProjectId
from helixflow.inference.principal import Keeping
from helixflow.inference.quota import Scope
from helixflow.storage import migrate
from helixflow.storage.database import Database
from helixflow.storage.prepare import Stores
from helixflow.storage.schema import IDENTITY, SCHEMAS, TELEMETRY, Schema
from helixflow.testing.store import check_round_trips, some_quota

Open = Callable[..., Database]
VERSION_TABLES = {schema.version_table for schema in SCHEMAS.values()}


@pytest.fixture(params=list(SCHEMAS))
def schema(request: pytest.FixtureRequest) -> Schema:
    return SCHEMAS[request.param]


async def tables(database: Database) -> set[str]:
    async def look(connection: AsyncConnection) -> list[str]:
        return await connection.run_sync(lambda sync: inspect(sync).get_table_names())

    return set(await database.read(look)) - VERSION_TABLES


async def test_the_migrations_make_what_the_metadata_says(
    empty_url: str, open_database: Open, schema: Schema
) -> None:
    database = open_database(empty_url, schema=schema)
    assert await database.current() is None
    await database.upgrade()
    assert await database.current() == migrate.revisions(schema)[0]
    assert await tables(database) == set(schema.metadata.tables)
    assert await database.drift() == []


async def test_every_version_goes_forward_and_back_from_empty(
    empty_url: str, open_database: Open, schema: Schema
) -> None:
    versions = migrate.revisions(schema)[::-1]
    database = open_database(empty_url, schema=schema)
    for version in versions:
        await database.upgrade(version)
        assert await database.current() == version
    for version in [*versions[-2::-1], "base"]:
        await database.downgrade(version)
        assert await database.current() == (None if version == "base" else version)
    assert await tables(database) == set()
    await database.upgrade()
    assert await database.drift() == []


async def test_a_store_works_on_what_the_migrations_made(
    empty_url: str, open_database: Open
) -> None:
    database = open_database(empty_url)
    await database.upgrade()
    stores = Stores(database)
    await check_round_trips(stores.units, stores.keys)


async def test_both_schemas_live_in_one_database_and_leave_each_other_alone(
    empty_url: str, open_database: Open
) -> None:
    identity = open_database(empty_url)
    telemetry = open_database(empty_url, schema=TELEMETRY)
    await asyncio.gather(identity.upgrade(), telemetry.upgrade())
    assert await identity.drift() == await telemetry.drift() == []
    both = set(IDENTITY.metadata.tables) | set(TELEMETRY.metadata.tables)
    assert await tables(identity) == both
    await telemetry.downgrade("base")
    assert await tables(identity) == set(IDENTITY.metadata.tables)
    assert await identity.current() == migrate.revisions(IDENTITY)[0]
    assert await identity.drift() == []


async def test_data_of_the_version_before_lives_through_every_step(
    empty_url: str, open_database: Open
) -> None:
    database = open_database(empty_url)
    await database.upgrade("0001")
    await database.write(_fill_first_version)
    before = await database.read(_first_version)
    await database.upgrade()
    assert _widened(before, await database.read(_first_version))
    stores = Stores(database)
    assert (await stores.keys.find(b"m" * 32)).revision == 7
    assert (await stores.keys.find(b"m" * 32)).key is not None
    await database.downgrade("0001")
    assert await database.read(_first_version) == before


async def test_limits_come_and_go_and_leave_what_was_there_before(
    empty_url: str, open_database: Open
) -> None:
    database = open_database(empty_url)
    await database.upgrade("0002")
    await database.write(_fill_first_version)
    before = await database.read(_first_version)
    await database.upgrade("0003")
    assert _widened(before, await database.read(_first_version))
    await database.upgrade()
    stores = Stores(database)
    organization = OrganizationId("org")

    async def give(unit: Unit) -> None:
        held = await unit.organizations.get(organization, organization)
        assert held == Organization(organization, "o", 1.5)
        await unit.organizations.put(replace(held, tier="gold", weight=2.0))
        await unit.quotas.add(some_quota(organization, Scope.KEY, "key", ProjectId("proj")))

    await stores.units.write(give)
    assert (await stores.keys.find(b"m" * 32)).limits
    await database.downgrade("0002")
    assert await database.read(_first_version) == before
    await database.upgrade()
    assert not (await stores.keys.find(b"m" * 32)).limits


async def test_no_project_keeps_content_until_it_is_told_to_and_the_way_back_forgets_it(
    empty_url: str, open_database: Open
) -> None:
    database = open_database(empty_url)
    await database.upgrade("0003")
    await database.write(_fill_first_version)
    before = await database.read(_first_version)
    await database.upgrade()
    stores = Stores(database)
    assert (await stores.keys.find(b"m" * 32)).keeping is None

    async def keep(unit: Unit) -> None:
        held = await unit.projects.get(OrganizationId("org"), "proj")
        assert held is not None
        assert (held.content_days, held.content_period) == (None, None)
        await unit.projects.put(replace(held, content_days=7, content_period=1))

    await stores.units.write(keep)
    assert (await stores.keys.find(b"m" * 32)).keeping == Keeping(7, 1)
    await database.downgrade("0003")
    assert await database.read(_first_version) == before


def _widened(before: list[dict[str, object]], after: list[dict[str, object]]) -> bool:
    """Whether every row has what it had, and nothing in its other columns."""
    return len(before) == len(after) and all(
        {**dict.fromkeys(row), **old} == row for old, row in zip(before, after, strict=True)
    )


async def _fill_first_version(connection: AsyncConnection) -> None:
    for statement in (
        "INSERT INTO organizations (id, name, created_at) VALUES ('org', 'o', 1.5)",
        "INSERT INTO projects (id, organization_id, name, created_at) VALUES ('proj', 'org', 'p', 2)",
        "UPDATE identity_revision SET revision = 7",
    ):
        await connection.exec_driver_sql(statement)
    await connection.execute(
        text(
            "INSERT INTO api_keys (id, organization_id, project_id, kind, name, mac, hint,"
            " permissions, created_at)"
            " VALUES ('key', 'org', 'proj', 'proj', 'k', :mac, 'h', '[\"model:invoke\"]', 3.5)"
        ),
        {"mac": b"m" * 32},
    )


async def _first_version(connection: AsyncConnection) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for table in ("organizations", "projects", "api_keys", "identity_revision"):
        rows = await connection.exec_driver_sql(f"SELECT * FROM {table}")
        found += [dict(row) for row in rows.mappings()]
    return found


async def test_upgrading_twice_and_at_once_is_harmless(empty_url: str, open_database: Open) -> None:
    first, second = open_database(empty_url), open_database(empty_url)
    await asyncio.gather(first.upgrade(), second.upgrade())
    await first.upgrade()
    assert await first.drift() == []


async def test_drift_names_what_differs(database: Database) -> None:
    async def spoil(connection: AsyncConnection) -> None:
        await connection.exec_driver_sql("ALTER TABLE organizations ADD COLUMN stray INTEGER")

    await database.write(spoil)
    (difference,) = await database.drift()
    assert "stray" in difference


async def test_a_migration_that_leaves_dangling_references_is_undone(
    tmp_path: Path, open_database: Open
) -> None:
    database = open_database("sqlite:///dangling.db")
    await database.upgrade()

    def orphan(connection: object) -> None:
        connection.exec_driver_sql(  # type: ignore[attr-defined]
            "INSERT INTO projects (id, organization_id, name, created_at)"
            " VALUES ('p', 'nobody', 'x', 0)"
        )

    with pytest.raises(RuntimeError, match="1 dangling"):
        await database._migrate(orphan)
    file = sqlite3.connect(tmp_path / "dangling.db")
    assert file.execute("SELECT count(*) FROM projects").fetchone() == (0,)
    file.close()


def _statements(path: Path) -> set[str]:
    file = sqlite3.connect(path)
    rows = file.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    file.close()
    return {
        _ordered(re.sub(r"\s+", " ", sql.replace('"', "")))
        for name, sql in rows
        if name not in VERSION_TABLES
    }


def _ordered(sql: str) -> str:
    """The order of a table's clauses says nothing."""
    head, _, body = sql.partition("(")
    clauses = re.split(r", (?=CONSTRAINT |[a-z_]+ [A-Z]|FOREIGN|PRIMARY)", body.strip()[:-1])
    return head + "(" + ", ".join(sorted(clause.strip(" ") for clause in clauses))


def test_the_migrated_checks_and_indexes_are_those_of_the_metadata(
    migrated_sqlite: Path, tmp_path: Path
) -> None:
    """Alembic's comparison does not see CHECK constraints; SQLite's own text does."""
    engine = create_engine(f"sqlite:///{tmp_path / 'metadata.db'}")
    for each in SCHEMAS.values():
        each.metadata.create_all(engine)
    engine.dispose()
    assert _statements(migrated_sqlite) == _statements(tmp_path / "metadata.db")
