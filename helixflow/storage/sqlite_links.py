"""Connections to one SQLite file, and the threads that they live in.

aiosqlite gives each connection a thread, which answers into the event loop. Where a call is
cancelled, in the middle of connecting or of a statement, nobody waits for the thread: if the loop is
closed first, its answer breaks it ("Event loop is closed") and the file stays open. So it is known
here which threads are on their way out, and `ended` waits for them.

Failure behavior: `ended` waits for a bounded time; a thread that is not done by then (a statement
that takes longer) ends by itself later, and keeps no process alive.
"""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from threading import Thread
from weakref import ref

import aiosqlite

from helixflow.storage.sqlite_link import OneTurnConnection

_LOOK_S = 0.001


class _Link(OneTurnConnection):
    """A connection that is told to stop once.

    A thread that was told so answers nothing that comes behind it: whoever told it again, as a
    close does that was itself cancelled, would wait for ever.
    """

    stopped = False

    def stop(self) -> asyncio.Future[None] | None:
        """See `aiosqlite.Connection.stop`."""
        if self.stopped:
            return None
        self.stopped = True
        return super().stop()


class SqliteLinks:
    """The connections of one `Database`. For one event loop.

    Args:
        path: the file.
        busy_s: how long a statement waits for another one's lock.
    """

    def __init__(self, path: Path, busy_s: float) -> None:
        self._path = path
        self._busy_s = busy_s
        self._known: list[tuple[ref[_Link], Thread]] = []

    async def connect(self) -> aiosqlite.Connection:
        """A connection more. Raises `sqlite3.Error`."""
        # SQLAlchemy may have the collector close a connection, in whichever thread that runs.
        link = _Link(
            lambda: sqlite3.connect(self._path, timeout=self._busy_s, check_same_thread=False)
        )
        thread: Thread = link._thread
        self._known = [one for one in self._known if one[1].is_alive()]
        self._known.append((ref(link), thread))
        await link
        return link

    async def ended(self, wait_s: float) -> None:
        """Wait until the threads of connections that were closed or given up are over."""
        try:
            async with asyncio.timeout(wait_s):
                # A thread that ends sets no event, and none may be begun to wait for it.
                while any(_leaves(*one) for one in self._known):  # noqa: ASYNC110
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            return


def _leaves(link: ref[_Link], thread: Thread) -> bool:
    held = link()
    return thread.is_alive() and (held is None or held.stopped)
