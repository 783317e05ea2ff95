"""News of the identity revision, for those who wait for it.

Each Auth process looks at the store's revision every `poll_s`, and at once when it has itself
changed something. An Ingress asks with the revision that it knows and gets its answer with the next
one: a push, without Auth keeping a list of Ingresses.

Failure behavior: while the store is away there is no news, and whoever waits gets what is known
when its time is over; the look at the store goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from helixflow.errors import Unavailable
from helixflow.identity.ports import Store, Unit

T = TypeVar("T")

WAIT_S_MAX = 30.0


class Revisions:
    """What one Auth process knows of the revision. For one event loop."""

    def __init__(self, look: Callable[[], Awaitable[int]], poll_s: float) -> None:
        self._look = look
        self._poll_s = poll_s
        self._known = -1
        self._news = asyncio.Event()
        self._changed = asyncio.Event()

    def wake(self) -> None:
        """Something was changed by this process: look now."""
        self._changed.set()

    async def next(self, known: int, wait_s: float) -> int:
        """The newest revision, as soon as it differs from `known` or when `wait_s` is over."""
        try:
            async with asyncio.timeout(min(max(wait_s, 0.0), WAIT_S_MAX)):
                while self._known <= known:
                    await self._news.wait()
        except TimeoutError:
            pass
        return max(self._known, known)

    async def step(self) -> None:
        """Wait until it is time, and look once."""
        try:
            async with asyncio.timeout(self._poll_s):
                await self._changed.wait()
        except TimeoutError:
            pass
        self._changed.clear()
        try:
            revision = await self._look()
        except Unavailable:
            return
        if revision != self._known:
            self._known = revision
            self._news.set()
            self._news = asyncio.Event()


class Announcing:
    """A `Store` that says when something was changed."""

    def __init__(self, store: Store, changed: Callable[[], None]) -> None:
        self._store = store
        self._changed = changed

    async def read(self, work: Callable[[Unit], Awaitable[T]]) -> T:
        """See `Store.read`."""
        return await self._store.read(work)

    async def write(self, work: Callable[[Unit], Awaitable[T]]) -> T:
        """See `Store.write`."""
        try:
            return await self._store.write(work)
        finally:
            # Also where it failed: a commit whose answer was lost may have happened.
            self._changed()
