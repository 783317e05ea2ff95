"""What all tests share: examples, who runs what, SQLite files, a PostgreSQL that starts with the first
need, and that no stack stays."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from helixflow.settings import StorageSettings
from helixflow.storage.database import Database
from helixflow.storage.schema import SCHEMAS
from helixflow.testing.postgres import PostgresServer, find_programs
from tests.databases import Databases, execute
from tests.scheduling import Scheduling, turn

_numbers = itertools.count()
_TEMPLATE = "migrated"

RUN_FOLDER = "HELIXFLOW_TEST_RUN"
"""The variable that names the folder of a run, in which its one stack has its home."""

# The machine may be busy: how long an example takes says nothing about the code. `make test-full`
# draws many more examples than the suite that runs on every change.
for _name, _examples in (("quick", 30), ("full", 300)):
    settings.register_profile(
        _name,
        max_examples=_examples,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile(os.environ.get("HELIXFLOW_EXAMPLES", "quick"))

# Workers must collect the same names: a set has one order in all of them, and what is minted at
# import gives no name.
_MINTED = re.compile(r"(hx-[a-z]+-|[a-z]{2,}_)[A-Za-z0-9]{20,}")
_ID_LENGTH_MAX = 200
_END_S = 120.0


def pytest_configure(config: pytest.Config) -> None:
    if RUN_FOLDER not in os.environ:
        os.environ.setdefault("PYTHONHASHSEED", str(secrets.randbelow(2**32)))
        folder = os.environ[RUN_FOLDER] = tempfile.mkdtemp(prefix="helixflow-tests-")
        config.add_cleanup(partial(_end_stack, Path(folder)))


def _end_stack(folder: Path) -> None:
    """A worker that was interrupted or killed may not have ended its stack, or be ending it still.

    The folder of a stack that cannot be ended is kept: without its record nobody finds it.
    """
    del os.environ[RUN_FOLDER]
    program, deadline = Path(sys.executable).with_name("helixflow"), time.monotonic() + _END_S
    for record in folder.glob("*/stack.json"):
        command = [program, "down", "--home", record.parent]
        while subprocess.run(command, timeout=_END_S, check=False).returncode:
            if time.monotonic() > deadline:
                return
            time.sleep(0.5)
    shutil.rmtree(folder, ignore_errors=True)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    minted = isinstance(val, str | bytes) and _MINTED.search(str(val[:_ID_LENGTH_MAX]))
    return argname if minted else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=turn)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    return Scheduling(config, log)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    programs = find_programs()
    if programs is None:
        pytest.skip("no PostgreSQL on this machine")
    with PostgresServer(programs, durable=False) as server:
        yield server


async def _migrate(settings: StorageSettings, home: Path) -> None:
    """All schemas, one after the other, in one database."""
    for schema in SCHEMAS.values():
        database = Database.open(settings, home, schema)
        await database.upgrade()
        await database.close()


@pytest.fixture(scope="session")
def databases(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Databases:
    """Migrated and empty databases, to be lent."""
    asyncio.run(execute(postgres, f"CREATE DATABASE {_TEMPLATE}"))
    settings = StorageSettings(url=postgres.url(_TEMPLATE))
    asyncio.run(_migrate(settings, tmp_path_factory.mktemp("home")))
    return Databases(postgres, _TEMPLATE)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("template")
    asyncio.run(_migrate(StorageSettings(url="sqlite:///template.db"), home))
    return home / "template.db"


@pytest.fixture(scope="session")
def new_postgres(postgres: PostgresServer) -> Callable[[str], str]:
    """Makes a database after a template; returns its URL."""

    def make(template: str) -> str:
        name = f"test_{next(_numbers)}"
        asyncio.run(execute(postgres, f"CREATE DATABASE {name} TEMPLATE {template}"))
        return postgres.url(name)

    return make


@pytest.fixture
def database_kind() -> str:
    """`sqlite` or `postgres`. Tests that must hold on both override it with parameters."""
    return "sqlite"


@pytest.fixture
def migrated_url(
    request: pytest.FixtureRequest, database_kind: str, tmp_path: Path
) -> Iterator[str]:
    """The URL of a migrated and empty database of this kind."""
    if database_kind == "sqlite":
        path = tmp_path / "test.db"
        shutil.copyfile(request.getfixturevalue("migrated_sqlite"), path)
        yield f"sqlite:///{path}"
        return
    databases: Databases = request.getfixturevalue("databases")
    with databases.lent() as url:
        yield url
