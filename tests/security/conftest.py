"""A platform for each test, copied from one that was prepared once, with two tenants in it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from helixflow.testing.platform import Platform, Tenant

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These ask the same lines thousands of times, of which tracing would take half the time.

    The lines are covered by the tests of their own parts, which have to hold without this folder.
    """
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("no_cover")


@dataclass(frozen=True)
class Template:
    """A home folder with a migrated database, a signing key and two tenants."""

    home: Path
    tenant: Tenant
    other: Tenant


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    home = tmp_path_factory.mktemp("platform")

    async def fill() -> Template:
        async with Platform.open(home) as platform:
            return Template(home, await platform.tenant("one"), await platform.tenant("two"))

    return asyncio.run(fill())


@pytest.fixture
def home(template: Template, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template.home, tmp_path / "home"))


@pytest.fixture
async def platform(home: Path) -> AsyncIterator[Platform]:
    async with Platform.open(home) as opened:
        yield opened


@pytest.fixture
def tenant(template: Template) -> Tenant:
    return template.tenant


@pytest.fixture
def other(template: Template) -> Tenant:
    return template.other
