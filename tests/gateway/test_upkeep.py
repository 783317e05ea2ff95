from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Coroutine, Mapping
from contextlib import asynccontextmanager

import pytest

from helixflow.errors import Refusal, Unavailable
from helixflow.gateway.upkeep import (
    follow_identity,
    follow_news,
    follow_published,
    follow_registry,
    report_uses,
)
from helixflow.identity.last_used import LastUsed
from helixflow.ids import KeyId
from helixflow.routing.registry import Catalog, Registry, Snapshot
from helixflow.settings import IdentitySettings, RoutingSettings
from helixflow.testing.clock import ManualClock
from helixflow.testing.gateway import READY, some_spec

AWAY = Unavailable(Refusal.REGISTRY_UNAVAILABLE, "The Router does not answer.")
ROUTING = RoutingSettings(snapshot_wait_s=7.0)


class Source:
    """`RegistrySource` over a registry; raises what is in `failures` first."""

    def __init__(self, registry: Registry, failures: list[Exception]) -> None:
        self.registry = registry
        self.failures = failures
        self.asked: asyncio.Queue[tuple[str, int, float]] = asyncio.Queue()

    async def snapshot(self, epoch: str, revision: int, wait_s: float) -> Snapshot | None:
        self.asked.put_nowait((epoch, revision, wait_s))
        if self.failures:
            raise self.failures.pop(0)
        return await self.registry.wait(epoch, revision, wait_s)


class Polls:
    """`Polled` that counts; raises what is in `failures` first."""

    def __init__(self, failures: list[Exception]) -> None:
        self.failures = failures
        self.polls: asyncio.Queue[None] = asyncio.Queue()

    async def poll_revision(self) -> None:
        self.polls.put_nowait(None)
        if self.failures:
            raise self.failures.pop(0)


@asynccontextmanager
async def running(work: Coroutine[None, None, None]) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(work)
    yield task
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def soon(work: Awaitable[object]) -> None:
    async with asyncio.timeout(5.0):
        await work


async def test_the_first_question_names_no_revision_and_the_next_the_held_one() -> None:
    registry = Registry("epoch", 0, [some_spec()])
    source, catalog = Source(registry, []), Catalog(5.0)
    async with running(follow_registry(source, catalog, ROUTING, retry_s=0.0)):
        assert await source.asked.get() == ("", 0, 7.0)
        assert await source.asked.get() == ("epoch", 1, 7.0)
        assert catalog.snapshot is registry.snapshot
        registry.update({"echo-1": READY})
        assert await source.asked.get() == ("epoch", 2, 7.0)
        assert catalog.snapshot is registry.snapshot


async def test_no_news_leaves_the_copy_as_it_is() -> None:
    registry = Registry("epoch", 0, [some_spec()])
    source, catalog = Source(registry, []), Catalog(5.0)
    settings = RoutingSettings(snapshot_wait_s=0.000_1)
    async with running(follow_registry(source, catalog, settings)):
        for _ in range(4):
            await soon(source.asked.get())
        assert catalog.snapshot is registry.snapshot


@pytest.mark.parametrize("failure", [AWAY, ZeroDivisionError("a bug")])
async def test_a_router_that_is_away_is_asked_again_and_the_copy_stays(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    registry = Registry("epoch", 0, [some_spec()])
    source, catalog = Source(registry, [failure]), Catalog(5.0)
    held = Registry("earlier", 0, []).snapshot
    catalog.replace(held)
    with caplog.at_level(logging.INFO):
        async with running(follow_registry(source, catalog, ROUTING, retry_s=0.0)):
            await soon(source.asked.get())
            assert catalog.snapshot is held
            await soon(source.asked.get())
            await soon(source.asked.get())
            assert catalog.snapshot is registry.snapshot
    assert caplog.messages[-1] == "the Router answers again"


async def test_it_is_logged_once_that_somebody_is_away(caplog: pytest.LogCaptureFixture) -> None:
    polls = Polls([AWAY, AWAY])
    settings = IdentitySettings(revision_poll_s=0.000_1)
    with caplog.at_level(logging.INFO):
        async with running(follow_identity(polls, settings, retry_s=0.0)):
            for _ in range(4):
                await soon(polls.polls.get())
    assert caplog.messages == [
        "Auth does not answer: The Router does not answer.",
        "Auth answers again",
    ]


class News:
    """`RevisionSource` whose answers the test gives, and a `Learner` of them."""

    def __init__(self) -> None:
        self.revision = -1
        self.asked: asyncio.Queue[tuple[int, float]] = asyncio.Queue()
        self.answers: asyncio.Queue[int] = asyncio.Queue()

    async def changed(self, known: int, wait_s: float) -> int:
        self.asked.put_nowait((known, wait_s))
        return await self.answers.get()

    def learn_revision(self, revision: int) -> None:
        self.revision = max(revision, self.revision)


async def test_each_revision_that_is_pushed_is_learnt_and_the_next_one_waited_for() -> None:
    news = News()
    settings = IdentitySettings(revision_wait_s=7.0)
    async with running(follow_news(news, news, settings, retry_s=0.0)):
        assert await news.asked.get() == (-1, 7.0)
        news.answers.put_nowait(4)
        assert await news.asked.get() == (4, 7.0)
        news.answers.put_nowait(4)
        assert await news.asked.get() == (4, 7.0)


class Copy:
    """`Kept` that counts; raises what is in `failures` first."""

    def __init__(self, failures: list[Exception]) -> None:
        self.failures = failures
        self.polls: asyncio.Queue[None] = asyncio.Queue()

    async def poll(self) -> None:
        self.polls.put_nowait(None)
        if self.failures:
            raise self.failures.pop(0)


async def test_what_is_published_is_looked_after_while_auth_comes_and_goes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    kept = Copy([AWAY])
    with caplog.at_level(logging.INFO):
        async with running(follow_published(kept, retry_s=0.0)):
            for _ in range(2):
                await soon(kept.polls.get())
            await asyncio.sleep(0)
    assert caplog.messages[-1] == "Auth answers again"


class Notes:
    """`Touch` that keeps what it was told."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[Mapping[KeyId, float]] = asyncio.Queue()

    async def touch(self, used: Mapping[KeyId, float]) -> None:
        self.told.put_nowait(used)


async def test_uses_are_written_down_now_and_then() -> None:
    clock, notes = ManualClock(), Notes()
    last_used = LastUsed(clock)
    last_used.note(KeyId("key_1"))
    settings = IdentitySettings(last_used_s=0.000_1)
    async with running(report_uses(last_used, notes, settings)):
        assert await notes.told.get() == {"key_1": clock.now()}
        last_used.note(KeyId("key_2"))
        assert list(await notes.told.get()) == ["key_2"]
