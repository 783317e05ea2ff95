"""Kept content over SQL keeps the contract, and nothing that was deleted stays in the files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from helixflow.errors import Unavailable
from helixflow.settings import TelemetrySettings
from helixflow.storage.contents import (
    SqlContentKeys,
    SqlContents,
    content_storage,
    prepare_contents,
)
from helixflow.storage.database import Database
from helixflow.storage.schema import CONTENT, PERSONS
from helixflow.testing.content import (
    ORGANIZATION,
    PROJECT,
    check_content_keys,
    check_contents,
    check_ledger,
    some_sealed,
)

Open = Callable[..., Database]
SECRET = b"sealed all the same"


@pytest.fixture
async def content(migrated_url: str, open_database: Open) -> Database:
    return open_database(migrated_url, 5.0, CONTENT)


async def test_the_contents_keep_the_contract(content: Database) -> None:
    await check_contents(SqlContents(content))


async def test_the_ledger_keeps_the_contract(content: Database) -> None:
    await check_ledger(SqlContents(content))


async def test_the_keys_keep_the_contract(persons: Database) -> None:
    await check_content_keys(SqlContentKeys(persons))


def lies(home: Path, what: bytes) -> bool:
    return any(what in path.read_bytes() for path in home.rglob("*") if path.is_file())


async def test_what_is_deleted_is_in_no_file_of_sqlite(tmp_path: Path) -> None:
    keys = Database.open(TelemetrySettings().storage, tmp_path, PERSONS)
    await keys.upgrade()
    stores = await prepare_contents(keys, TelemetrySettings(), tmp_path)
    assert (tmp_path / "telemetry-content.db").stat().st_mode & 0o077 == 0
    await stores.contents.add([some_sealed(sealed=SECRET)])
    await stores.keys.add(b"t" * 32, 1, b"a wrapped key", 1.0)
    assert lies(tmp_path, SECRET)
    assert lies(tmp_path, b"a wrapped key")
    await stores.contents.delete(ORGANIZATION, PROJECT, "req_1")
    assert not lies(tmp_path, SECRET)
    await stores.keys.erase(b"t" * 32, 1)
    assert not lies(tmp_path, b"a wrapped key")
    await stores.database.close()
    await keys.close()


async def test_a_store_that_cannot_be_prepared_is_closed_again(tmp_path: Path) -> None:
    keys = Database.open(TelemetrySettings().storage, tmp_path, PERSONS)
    away = {"content": {"url": "postgresql://nobody@127.0.0.1:9/none"}}
    with pytest.raises(Unavailable):
        await prepare_contents(keys, TelemetrySettings.model_validate(away), tmp_path)
    await keys.close()


def test_content_lies_beside_telemetrys_own_unless_it_is_said_where() -> None:
    def place(**settings: object) -> str:
        return content_storage(TelemetrySettings.model_validate(settings)).url

    assert place().endswith("///telemetry-content.db")
    assert place(storage={"url": "postgresql://u:p@h/d"}) == "postgresql://u:p@h/d"
    assert place(content={"url": "sqlite:///elsewhere.db"}) == "sqlite:///elsewhere.db"
