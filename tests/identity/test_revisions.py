from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from helixflow.errors import Refusal, Unavailable
from helixflow.identity.revisions import Announcing, Revisions

AT_ONCE = 0.000_1


class Store:
    """A store's revision, and a `Store` that only counts."""

    def __init__(self) -> None:
        self.revision = 1
        self.away = False
        self.fails = False

    async def look(self) -> int:
        if self.away:
            raise Unavailable(Refusal.AUTH_UNAVAILABLE, "The store is away.")
        return self.revision

    async def read(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        return await work(None)

    async def write(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        self.revision += 1
        if self.fails:
            raise ZeroDivisionError
        return await work(None)


async def soon(work: Awaitable[int]) -> int:
    async with asyncio.timeout(5.0):
        return await work


async def test_whoever_knows_less_is_told_at_once() -> None:
    revisions = Revisions(Store().look, AT_ONCE)
    await revisions.step()
    assert await revisions.next(-1, 30.0) == 1


async def test_whoever_knows_it_waits_for_the_next_one() -> None:
    store = Store()
    revisions = Revisions(store.look, AT_ONCE)
    await revisions.step()
    waiting = [asyncio.create_task(revisions.next(1, 30.0)) for _ in range(3)]
    await revisions.step()
    store.revision = 2
    await revisions.step()
    assert await asyncio.gather(*map(soon, waiting)) == [2, 2, 2]


async def test_no_news_is_an_answer_after_the_time_that_was_given() -> None:
    revisions = Revisions(Store().look, AT_ONCE)
    await revisions.step()
    assert await revisions.next(1, AT_ONCE) == 1
    assert await revisions.next(1, -1.0) == 1


async def test_whoever_knows_more_is_told_nothing_older() -> None:
    """Another Auth process told it, and this one has not looked since."""
    revisions = Revisions(Store().look, AT_ONCE)
    await revisions.step()
    assert await revisions.next(7, AT_ONCE) == 7


async def test_an_own_change_is_looked_at_without_waiting() -> None:
    store = Store()
    revisions = Revisions(store.look, 3600.0)
    announcing: Any = Announcing(store, revisions.wake)
    waiting = asyncio.create_task(revisions.next(1, 30.0))
    look = asyncio.create_task(revisions.step())

    async def work(_: object) -> str:
        return "done"

    assert await announcing.read(work) == "done"
    assert not look.done()
    assert await announcing.write(work) == "done"
    assert await soon(waiting) == 2
    await look


async def test_a_change_whose_answer_was_lost_is_looked_at_too() -> None:
    store = Store()
    revisions = Revisions(store.look, 3600.0)
    store.fails = True

    async def work(_: object) -> None: ...

    announcing: Any = Announcing(store, revisions.wake)
    with pytest.raises(ZeroDivisionError):
        await announcing.write(work)
    await revisions.step()
    assert await revisions.next(1, 30.0) == 2


async def test_a_store_that_is_away_is_looked_at_again() -> None:
    store = Store()
    revisions = Revisions(store.look, AT_ONCE)
    store.away = True
    await revisions.step()
    assert await revisions.next(-1, AT_ONCE) == -1
    store.away = False
    await revisions.step()
    assert await revisions.next(-1, 30.0) == 1
