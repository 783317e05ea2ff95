"""An SQLite store for the services' tests, copied from one that was migrated once."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from helixflow.settings import StorageSettings
from helixflow.storage.database import Database
from helixflow.storage.prepare import Stores


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("identity")

    async def migrate() -> None:
        database = Database.open(StorageSettings(url="sqlite:///template.db"), home)
        await database.upgrade()
        await database.close()

    asyncio.run(migrate())
    return home / "template.db"


@pytest.fixture
async def stores(migrated_file: Path, tmp_path: Path) -> AsyncIterator[Stores]:
    shutil.copyfile(migrated_file, tmp_path / "test.db")
    database = Database.open(StorageSettings(url="sqlite:///test.db", call_s=5.0), tmp_path)
    yield Stores(database)
    await database.close()
