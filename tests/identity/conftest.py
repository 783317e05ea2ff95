"""A store for the services' tests: a migrated SQLite file, or a PostgreSQL where a test says so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from helixflow.settings import StorageSettings
from helixflow.storage.database import Database
from helixflow.storage.prepare import Stores


@pytest.fixture
async def stores(migrated_url: str, tmp_path: Path) -> AsyncIterator[Stores]:
    database = Database.open(StorageSettings(url=migrated_url, call_s=5.0), tmp_path)
    yield Stores(database)
    await database.close()
