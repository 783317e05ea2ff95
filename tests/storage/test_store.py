from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from helixflow.crypto.master_key import MasterKey
from helixflow.identity.bootstrap import ensure_bootstrap
from helixflow.identity.events import EventName
from helixflow.identity.keys import KeyKind, mint
from helixflow.identity.ports import Found, StoredKey, Unit
from helixflow.identity.records import Project, etag
from helixflow.ids import KeyId, OrganizationId, mint_organization_id, mint_project_id
from helixflow.inference.quota import Scope
from helixflow.settings import StorageSettings
from helixflow.storage.database import Database
from helixflow.storage.key_rows import BY_MAC
from helixflow.storage.keys import SqlKeyStore
from helixflow.storage.prepare import Stores
from helixflow.storage.quota_rows import about
from helixflow.storage.sqlite_link import OneTurnConnection
from helixflow.testing.clock import ManualClock
from helixflow.testing.identity import EPOCH, some_key
from helixflow.testing.store import (
    add_tenant,
    changed,
    check_keys,
    check_limits,
    check_pages,
    check_round_trips,
    check_shares,
    check_tenancy,
    check_uniqueness,
    check_units,
    some_quota,
)


@pytest.fixture
def stores(database: Database) -> Stores:
    return Stores(database)


@pytest.mark.parametrize(
    "check",
    [check_units, check_keys, check_limits, check_shares, check_round_trips],
    ids=lambda check: check.__name__,
)
async def test_the_store_and_its_keys_keep_the_contract(
    stores: Stores, check: Callable[..., Awaitable[None]]
) -> None:
    await check(stores.units, stores.keys)


@pytest.mark.parametrize(
    "check", [check_tenancy, check_pages, check_uniqueness], ids=lambda check: check.__name__
)
async def test_the_store_keeps_the_contract(
    stores: Stores, check: Callable[..., Awaitable[None]]
) -> None:
    await check(stores.units)


async def test_of_many_first_starts_at_once_one_gets_the_key(stores: Stores) -> None:
    ring = MasterKey(b"m" * 32)
    secrets = await asyncio.gather(
        *(ensure_bootstrap(stores.units, ring, ManualClock()) for _ in range(6))
    )
    assert sum(secret is not None for secret in secrets) == 1
    assert await stores.keys.revision() == 1
    names = [outgoing.event.name for outgoing in await stores.outbox.head(10)]
    assert names == [
        EventName.INSTALLATION_CREATE,
        EventName.USER_CREATE,
        EventName.MEMBER_CREATE,
        EventName.KEY_CREATE,
        EventName.KEY_CREATE,
    ]


async def test_changes_at_once_raise_the_revision_once_each_and_lose_nothing(
    stores: Stores,
) -> None:
    organization, project = await add_tenant(stores.units)

    async def append(unit: Unit) -> None:
        held = await unit.projects.get(organization.id, project.id)
        assert held is not None
        await unit.projects.put(replace(held, name=held.name + "x"))
        unit.record(changed(organization.id))

    await asyncio.gather(*(stores.units.write(append) for _ in range(8)))
    assert await stores.keys.revision() == 8
    held = await stores.units.read(lambda unit: unit.projects.get(organization.id, project.id))
    assert held is not None
    assert held.name == project.name + "x" * 8


async def test_events_come_out_in_order_once_each_until_forgotten(stores: Stores) -> None:
    organization, _ = await add_tenant(stores.units)
    events = [
        replace(changed(organization.id, f"t{number}"), name=name, detail={"n": f"{number}"})
        for number, name in enumerate(5 * [EventName.KEY_CREATE, EventName.TOKEN_GRANT])
    ]
    for event in events:

        async def note(unit: Unit, noted: object = event) -> None:
            unit.record(noted)  # type: ignore[arg-type]

        await stores.units.write(note)
    head = await stores.outbox.head(3)
    assert [outgoing.event for outgoing in head] == events[:3]
    await stores.outbox.forget(head[-1].sequence)
    rest = await stores.outbox.head(10)
    assert [outgoing.event for outgoing in rest] == events[3:]
    await stores.outbox.forget(rest[-1].sequence)
    await stores.units.write(note)  # an event that was shipped may not come back under its id
    assert (await stores.outbox.head(1))[0].sequence > rest[-1].sequence


async def add_key(stores: Stores, key: StoredKey) -> None:
    await stores.units.write(lambda unit: unit.keys.add(key))


async def test_a_key_cannot_name_a_project_of_another_organization(stores: Stores) -> None:
    _, project = await add_tenant(stores.units)
    other, _ = await add_tenant(stores.units)
    for organization in (other.id, mint_organization_id()):
        with pytest.raises(IntegrityError):
            await add_key(stores, some_key(organization, project.id, mint(KeyKind.PROJECT)))


async def test_only_an_admin_key_may_be_without_a_project(stores: Stores) -> None:
    organization, project = await add_tenant(stores.units)
    homeless = some_key(organization.id, project.id, mint(KeyKind.PROJECT))
    with pytest.raises(IntegrityError):
        await add_key(stores, replace(homeless, project=None))


@pytest.mark.parametrize("name", ["'; DROP TABLE projects; --", "x" * 256, "名前\t\n", "{}[]%s:a"])
async def test_any_text_is_kept_as_it_is(stores: Stores, name: str) -> None:
    organization, _ = await add_tenant(stores.units)
    project = Project(mint_project_id(), organization.id, name, EPOCH)
    await stores.units.write(lambda unit: unit.projects.add(project))
    found = await stores.units.read(lambda unit: unit.projects.where(organization.id, name=name))
    assert found == [project]


def test_an_entity_tag_changes_with_any_field() -> None:
    project = Project(mint_project_id(), mint_organization_id(), "a", EPOCH)
    assert etag(project) == etag(replace(project))
    assert etag(project) != etag(replace(project, name="b"))
    assert etag(project).startswith('"')


async def test_limits_about_a_caller_are_found_by_an_index(database: Database) -> None:
    statement = about(OrganizationId("o"), [("key", "k"), ("user", "u"), ("model", None)])

    async def plan(connection: AsyncConnection) -> str:
        asked = statement.compile(connection.sync_engine, compile_kwargs={"literal_binds": True})
        sqlite = connection.dialect.name == "sqlite"
        if not sqlite:
            await connection.execute(text("SET LOCAL enable_seqscan = off"))
        explain = "EXPLAIN QUERY PLAN" if sqlite else "EXPLAIN"
        rows = await connection.exec_driver_sql(f"{explain} {asked}")
        return "\n".join(str(row) for row in rows)

    used = await database.read(plan)
    # PostgreSQL chooses between the indexes by what the table holds, which is nothing here.
    assert used.count("entity_id=?") == 2 or used.count("Index Scan") == 3, used


@pytest.mark.parametrize(
    "wrong",
    [
        {"entity": Scope.PROJECT},
        {"entity": Scope.KEY},
        {"entity": Scope.MODEL, "model": "other"},
        {"model": "m"},
        {"amount": 0},
    ],
    ids=str,
)
async def test_a_limit_that_cannot_be_is_not_stored(
    stores: Stores, wrong: dict[str, object]
) -> None:
    organization, _ = await add_tenant(stores.units)
    row = replace(some_quota(organization.id), **wrong)  # type: ignore[arg-type]
    with pytest.raises(IntegrityError):
        await stores.units.write(lambda unit: unit.quotas.add(row))


async def test_a_limit_cannot_be_about_a_project_of_another_organization(stores: Stores) -> None:
    organization, _ = await add_tenant(stores.units)
    _, project = await add_tenant(stores.units)
    row = some_quota(organization.id, Scope.PROJECT, project.id, project.id)
    with pytest.raises(IntegrityError):
        await stores.units.write(lambda unit: unit.quotas.add(row))


async def test_ids_that_no_object_has_find_nothing(stores: Stores) -> None:
    organization, _ = await add_tenant(stores.units)
    for odd in ("\x00", "\ud800", "x" * 999):

        async def look(unit: Unit, named: str = odd) -> None:
            assert (await unit.key(organization.id, KeyId(named))).key is None
            assert await unit.service_account(organization.id, named) is None

        await stores.units.read(look)


async def test_a_look_up_by_mac_uses_the_index(database: Database) -> None:
    async def plan(connection: AsyncConnection) -> str:
        asked = BY_MAC.compile(connection.sync_engine)
        sqlite = connection.dialect.name == "sqlite"
        if not sqlite:
            await connection.execute(text("SET LOCAL enable_seqscan = off"))
        explain = "EXPLAIN QUERY PLAN" if sqlite else "EXPLAIN"
        rows = await connection.exec_driver_sql(f"{explain} {asked}", (b"0" * 32,))
        return "\n".join(str(row) for row in rows)

    used = await database.read(plan)
    assert "sqlite_autoindex_api_keys" in used or "uq_api_keys_mac" in used, used


async def test_a_look_up_by_mac_is_one_exchange_without_a_transaction(
    tmp_path: Path, migrated_sqlite: Path
) -> None:
    shutil.copyfile(migrated_sqlite, tmp_path / "test.db")
    database = Database.open(StorageSettings(url="sqlite:///test.db"), tmp_path)
    said: list[str] = []

    async def listen(connection: AsyncConnection) -> None:
        link = (await connection.get_raw_connection()).driver_connection
        assert isinstance(link, OneTurnConnection)
        await link.turn(lambda raw: raw.set_trace_callback(said.append))

    try:
        await database.read(listen)
        said.clear()
        keys = SqlKeyStore(database)
        assert await keys.find(b"0" * 32) == Found(None, 0)
        assert await keys.revision() == 0
    finally:
        await database.close()
    assert [line.partition(" ")[0] for line in said] == ["SELECT", "SELECT"]
