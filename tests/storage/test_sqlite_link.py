from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from helixflow.storage.sqlite_link import OneTurnConnection


class Turns(OneTurnConnection):
    """Counts the jobs of its thread."""

    jobs = 0

    async def _execute(self, fn: object, *args: object, **kwargs: object) -> object:
        self.jobs += 1
        return await super()._execute(fn, *args, **kwargs)  # type: ignore[no-untyped-call]


@pytest.fixture
async def link(tmp_path: Path) -> AsyncIterator[Turns]:
    connector = partial(
        sqlite3.connect, tmp_path / "test.db", isolation_level=None, check_same_thread=False
    )
    opened = Turns(connector)
    await opened
    await opened.cursor().execute("CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT UNIQUE)")
    opened.jobs = 0
    yield opened
    await opened.close()


async def ids(link: OneTurnConnection) -> list[int]:
    cursor = await link.cursor().execute("SELECT id FROM things ORDER BY id")
    return [row[0] for row in await cursor.fetchall()]


async def test_a_statement_with_its_rows_is_one_turn(link: Turns) -> None:
    added = link.cursor()
    await added.executemany("INSERT INTO things VALUES (?, ?)", [(1, "a"), (2, "b")])
    assert (added.rowcount, added.description) == (2, None)
    one = await link.cursor().execute("INSERT INTO things (name) VALUES (?)", ("c",))
    assert (one.lastrowid, one.rowcount) == (3, 1)
    chosen = await link.cursor().__aenter__()
    await chosen.execute("SELECT id, name FROM things WHERE id < ?", (3,))
    assert chosen.description is not None
    assert [column[0] for column in chosen.description] == ["id", "name"]
    assert await chosen.fetchall() == [(1, "a"), (2, "b")]
    assert await chosen.fetchall() == []
    await chosen.close()
    assert link.jobs == 3


async def test_without_a_transaction_there_is_nothing_to_end(link: Turns) -> None:
    await ids(link)
    await link.commit()
    await link.rollback()
    assert link.jobs == 1


async def test_a_transaction_is_committed_or_rolled_back(link: Turns) -> None:
    for number, end in ((1, link.commit), (2, link.rollback)):
        await link.cursor().execute("BEGIN")
        await link.cursor().execute("INSERT INTO things (id) VALUES (?)", (number,))
        await end()
    assert await ids(link) == [1]


async def test_a_statement_that_fails_raises_and_leaves_the_connection_usable(link: Turns) -> None:
    await link.cursor().execute("INSERT INTO things (name) VALUES (?)", ("a",))
    with pytest.raises(sqlite3.IntegrityError):
        await link.cursor().execute("INSERT INTO things (name) VALUES (?)", ("a",))
    with pytest.raises(sqlite3.OperationalError):
        await link.cursor().execute("SELECT nothing")
    assert await ids(link) == [1]


async def test_a_transaction_that_a_cancelled_caller_begins_is_rolled_back(link: Turns) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def begin_late(connection: sqlite3.Connection) -> None:
        begun.set()
        go_on.wait(10)
        connection.execute("BEGIN")
        connection.execute("INSERT INTO things (id) VALUES (1)")

    task = asyncio.create_task(link.turn(begin_late))
    await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # It runs still, and no transaction is open yet.
    end = asyncio.create_task(link.rollback())
    await asyncio.sleep(0)
    go_on.set()
    await end
    assert not link.in_transaction
    assert await ids(link) == []


async def test_it_does_not_keep_the_process_from_ending(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    link = OneTurnConnection(partial(sqlite3.connect, tmp_path / "test.db"))
    await link
    threads = set(threading.enumerate()) - before
    assert [thread.daemon for thread in threads] == [True]
    assert (await (await link.cursor().execute("SELECT 7")).fetchall()) == [(7,)]
    await link.close()
