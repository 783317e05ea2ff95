"""The audit log's stores over SQL keep the contract, and what only SQL can do wrong is not done."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from helixflow.errors import ConfigError, Unavailable
from helixflow.settings import (
    AuditSettings,
    StorageSettings,
    TelemetrySettings,
    TelemetryStorageSettings,
)
from helixflow.storage.audit import SqlAudit
from helixflow.storage.audit_stores import persons_storage, prepare_audit
from helixflow.storage.database import Database
from helixflow.storage.persons import SqlPersons
from helixflow.storage.schema import PERSONS
from helixflow.storage.telemetry import prepare_telemetry
from helixflow.telemetry.audit.verify import verify
from helixflow.testing.audit import ORGANIZATION, AuditParts, admin_event
from helixflow.testing.audit_checks import (
    check_appends,
    check_finds,
    check_forks,
    check_persons,
    check_retention,
    check_seals,
)
from helixflow.testing.clock import ManualClock

Check = Callable[[SqlAudit], Awaitable[None]]
CHECKS = [check_appends, check_finds, check_forks, check_retention, check_seals]


@pytest.fixture
def audit(telemetry: Database) -> SqlAudit:
    return SqlAudit(telemetry, ManualClock())


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_the_log_keeps_the_contract(audit: SqlAudit, check: Check) -> None:
    await check(audit)


async def test_the_persons_keep_the_contract(persons: Database) -> None:
    await check_persons(SqlPersons(persons))


async def test_the_database_itself_holds_no_number_and_no_event_twice(
    telemetry: Database, audit: SqlAudit
) -> None:
    parts = AuditParts(audit)
    await parts.sink.write("s", 2, [admin_event(1), admin_event(2)])
    columns = "chain, {}, hash, digest, {}, at_ms, kind, data, checkpoint"
    for number, id_ in (("sequence", "'x'"), ("9", "id")):

        async def copy(connection: AsyncConnection, some: tuple[str, str] = (number, id_)) -> None:
            await connection.execute(
                text(
                    f"INSERT INTO audit_records ({columns.format('sequence', 'id')})"
                    f" SELECT {columns.format(*some)} FROM audit_records WHERE sequence = 1"
                )
            )

        with pytest.raises(IntegrityError):
            await telemetry.write(copy)


async def test_what_was_changed_in_the_database_is_found_by_a_verification(
    telemetry: Database, audit: SqlAudit
) -> None:
    parts = AuditParts(audit)
    await parts.sink.write("s", 3, [admin_event(1), admin_event(2), admin_event(3)])

    async def spoil(connection: AsyncConnection) -> None:
        await connection.execute(
            text("UPDATE audit_records SET data = :data WHERE sequence = 2"), {"data": b"{}"}
        )

    await telemetry.write(spoil)
    with pytest.raises(Exception, match="record 2"):
        verify(await parts.exported())


async def test_a_log_whose_database_is_away_says_so(
    tmp_path: Path, open_database: Callable[..., Database]
) -> None:
    file = tmp_path / "persons.db"
    database = open_database("sqlite:///persons.db", 0.2, PERSONS)
    await database.upgrade()
    rows = SqlPersons(database)
    await AuditParts(rows=rows).sink.write("s", 1, [admin_event(1)])
    reader = sqlite3.connect(file)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM audit_persons").fetchall()
    with pytest.raises(Unavailable):  # a reader of the old state holds on to what was erased
        await rows.erase([row.index for row in await _all(rows)])
    reader.close()


async def _all(rows: SqlPersons) -> list[object]:
    parts = AuditParts(rows=rows)
    key = await parts.persons.find(ORGANIZATION, "user_ada")
    return [] if key is None else await rows.called([key.index])  # type: ignore[return-value]


async def test_an_erased_key_is_nowhere_in_the_files_of_sqlite(
    tmp_path: Path, open_database: Callable[..., Database]
) -> None:
    database = open_database("sqlite:///persons.db", 5.0, PERSONS)
    await database.upgrade()
    rows = SqlPersons(database)
    parts = AuditParts(rows=rows)
    await parts.sink.write("s", 2, [admin_event(1), admin_event(2, actor="user_bob")])
    (row,) = await _all(rows)
    bob = await parts.persons.find(ORGANIZATION, "user_bob")
    assert bob is not None

    def held(what: bytes) -> bool:
        return any(what in path.read_bytes() for path in tmp_path.iterdir() if path.is_file())

    assert held(row.wrapped)  # type: ignore[attr-defined]
    assert await rows.erase([row.index]) == 1  # type: ignore[attr-defined]
    assert not held(row.wrapped)  # type: ignore[attr-defined]
    assert not held(row.tag)  # type: ignore[attr-defined]
    assert held(bob.index.encode())


async def test_both_stores_are_brought_up_in_an_empty_home(tmp_path: Path) -> None:
    settings = TelemetrySettings()
    telemetry = await prepare_telemetry(settings.storage, tmp_path)
    stores = await prepare_audit(telemetry.database, settings, tmp_path, ManualClock())
    try:
        parts = AuditParts(stores.audit, stores.persons)
        await parts.sink.write("s", 1, [admin_event(1)])
        assert verify(await parts.exported()).records == 1
        assert {path.name for path in tmp_path.glob("*.db")} == {
            "telemetry.db",
            "telemetry-persons.db",
        }
    finally:
        await stores.database.close()
        await telemetry.database.close()


@pytest.mark.parametrize(
    ("storage", "persons", "expected"),
    [
        ("sqlite:///a/b.db", "", "sqlite:///a/b-persons.db"),
        ("postgresql://u:p@h/db", "", "postgresql://u:p@h/db"),
        ("postgresql://u:p@h/db", "sqlite:///k.db", "sqlite:///k.db"),
    ],
)
def test_where_the_keys_are_follows_from_where_the_log_is(
    storage: str, persons: str, expected: str
) -> None:
    settings = TelemetrySettings(
        storage=TelemetryStorageSettings(url=storage, call_s=3.0),
        audit=AuditSettings(persons_url=persons),
    )
    assert persons_storage(settings) == StorageSettings(url=expected, call_s=3.0)


async def test_a_url_that_is_none_is_named_by_its_setting(tmp_path: Path) -> None:
    settings = TelemetrySettings(audit=AuditSettings(persons_url="mysql://x"))
    telemetry = await prepare_telemetry(settings.storage, tmp_path)
    with pytest.raises(ConfigError, match="persons_url"):
        await prepare_audit(telemetry.database, settings, tmp_path, ManualClock())
    await telemetry.database.close()
