from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from helixflow.storage.sqlite_links import SqliteLinks


@pytest.fixture
def links(tmp_path: Path) -> SqliteLinks:
    return SqliteLinks(tmp_path / "a.db", 1.0)


async def test_a_connection_that_is_in_use_is_not_waited_for(links: SqliteLinks) -> None:
    link = await links.connect()
    await links.ended(60.0)
    assert link._thread.is_alive()
    await link.close()
    await links.ended(60.0)
    assert not link._thread.is_alive()


async def test_a_statement_that_takes_longer_is_not_waited_for_either(links: SqliteLinks) -> None:
    link, release = await links.connect(), threading.Event()
    await link.create_function("stuck", 0, lambda: release.wait(20))
    statement = asyncio.ensure_future(link.execute("SELECT stuck()"))
    await asyncio.sleep(0)
    link.stop()
    await links.ended(0.01)
    assert link._thread.is_alive()
    release.set()
    await links.ended(20.0)
    assert not link._thread.is_alive()
    await asyncio.wait({statement})


async def test_who_stops_a_connection_twice_waits_for_nothing(links: SqliteLinks) -> None:
    link = await links.connect()
    stopped = link.stop()
    assert stopped is not None
    assert link.stop() is None
    await asyncio.wait_for(stopped, 20.0)
    await links.ended(20.0)
    assert not link._thread.is_alive()
