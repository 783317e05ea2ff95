"""The Redis store on servers that are killed, paused, slowed, flushed, restarted and failed over."""

from __future__ import annotations

import asyncio
import logging
import signal

import pytest

from helixflow.limits.ports import Ask, CounterId, LimitStoreAway
from helixflow.settings import LimitsSettings
from helixflow.testing.relay import Relay

from .servers import IMPATIENT, Offset, Open, Start
from .spender import Spender, a_counter

BLOCKED_S = 60 + 60.5 + 1
"""The longest lease with its margin, and a window."""


async def test_a_killed_server_is_away_at_once_and_comes_back_by_itself(
    start: Start, connect: Open, offset: Offset
) -> None:
    server = start()
    store = connect(server.url())
    spender = Spender(store, "h", a_counter(), 1000)
    assert await spender.step() == 3
    server.stop(signal.SIGKILL)
    async with asyncio.timeout(5):
        for _ in range(1000):
            assert await spender.step() is None
    server.start()
    assert await spender.back() == 0, "its memory is gone, the window counts as full"
    offset.advance(BLOCKED_S)
    assert await spender.step() == 3, "until it has passed"


async def test_a_paused_server_is_away_within_the_deadline_and_mixes_no_answers(
    start: Start, connect: Open
) -> None:
    server = start()
    store = connect(server.url(), IMPATIENT)
    counter = a_counter()
    spenders = [Spender(store, f"h{n}", counter, 100) for n in range(8)]
    for spender in spenders:
        assert await spender.step()
    server.pause()
    async with asyncio.timeout(5):
        waited = await asyncio.gather(*(spender.step() for spender in spenders))
    assert waited == [None] * 8
    server.resume()
    for spender in spenders:
        await spender.back()
    for _ in range(30):
        for spender in spenders:
            await spender.step()
    assert sum(spender.spent for spender in spenders) == 100


async def test_a_slow_server_is_away_until_it_is_fast_again(start: Start, connect: Open) -> None:
    server = start()
    async with Relay(server.port) as relay:
        spender = Spender(connect(server.url(relay.port), IMPATIENT), "h", a_counter(), 1000)
        assert await spender.step() == 3
        relay.delay_s = 1.0
        async with asyncio.timeout(5):
            for _ in range(100):
                assert await spender.step() is None
        relay.delay_s = 0.0
        assert await spender.back() == 3


async def test_flushed_data_is_taken_for_lost_by_all_that_share_it(
    start: Start, connect: Open, offset: Offset
) -> None:
    server = start()
    first, second = connect(server.url()), connect(server.url())
    counter = a_counter("requests_per_hour")
    spender = Spender(first, "h", counter, 100)
    assert await spender.step() == 3
    server.command("FLUSHALL")
    late = Spender(second, "l", counter, 100)
    assert await late.step() == 3, "who never saw it cannot know"
    assert await spender.step() == 0, "who saw it tells"
    assert await late.step() == 0
    unseen = Spender(second, "u", a_counter("requests_per_hour"), 100)
    assert await unseen.step() == 3, "other organizations are not concerned"
    offset.advance(BLOCKED_S)
    assert await late.step() == 0, "an hour counts as full for an hour"
    offset.advance(3600)
    assert await late.step() == 3


class Records:
    """A `PastUse` that knows of one use, from the second time on."""

    def __init__(self) -> None:
        self.asked: list[tuple[CounterId, float]] = []

    async def amounts(self, counter: CounterId, within_s: float) -> list[tuple[float, int]] | None:
        self.asked.append((counter, within_s))
        return None if len(self.asked) < 2 else [(1000.0, 30), (1010.0, 3), (300.0, 7), (-1.0, 1)]


async def test_what_was_lost_is_learned_from_the_records_of_use(
    start: Start, connect: Open, offset: Offset
) -> None:
    server = start()
    records = Records()
    store = connect(server.url(), past=records)
    counter = a_counter("requests_per_hour")
    spender = Spender(store, "h", counter, 100)
    await spender.step()
    server.command("FLUSHALL")
    assert await spender.step() == 0
    assert not records.asked, "leases of before may still be spent"
    offset.advance(62)
    async with asyncio.timeout(20):
        while not await spender.step(want=1):
            await asyncio.sleep(0.05)
    assert set(records.asked) == {(counter, 3660.0)}
    assert len(records.asked) == 2
    ((grant,),) = (await store.exchange("look", 1, 0, [[Ask(counter, 100)]])).grants
    assert grant.remaining == 100 - 41 - 1 - 3, "what is known, the lease, and its unknown end"


async def test_a_restart_keeps_the_data_and_blocks_a_minute(
    start: Start, connect: Open, offset: Offset
) -> None:
    server = start("--appendonly", "yes", "--appendfsync", "always")
    store = connect(server.url())
    minute, hour = a_counter(), a_counter("requests_per_hour")
    quick, steady = Spender(store, "h", minute, 10), Spender(store, "h2", hour, 10)
    assert (await quick.step(2), await steady.step(2)) == (1, 1)
    server.stop(signal.SIGKILL)
    server.start()
    assert await quick.back() == 0, "the last grants may be missing"
    assert await steady.back() == 1, "in an hour they are few"
    ((grant,),) = (await store.exchange("look", 1, 0, [[Ask(hour, 10)]])).grants
    assert grant.remaining == 8
    offset.advance(BLOCKED_S)
    assert await quick.step() == 1


async def test_data_that_was_rolled_back_is_taken_for_lost(
    start: Start, connect: Open, offset: Offset
) -> None:
    server = start()
    spender = Spender(connect(server.url()), "h", a_counter("requests_per_hour"), 100)
    await spender.step()
    server.command("SAVE")
    offset.advance(10)
    await spender.step()
    server.stop(signal.SIGKILL)
    server.start()
    assert await spender.back() == 0


async def test_a_promoted_replica_goes_on_after_a_window(
    start: Start, connect: Open, offset: Offset
) -> None:
    primary = start()
    replica = start(follows=primary)
    counter, level = a_counter(), a_counter("concurrent_requests")
    hour = a_counter("requests_per_hour")
    async with Relay(primary.port) as relay:
        store = connect(primary.url(relay.port))
        spenders = [Spender(store, f"h{n}", counter, 60) for n in range(4)]
        steady = Spender(store, "h", hour, 100)
        assert await steady.step() == 3
        await store.exchange("l", 1, 0, [[Ask(level, 9, need=2, want=2, used=2)]])
        stop = asyncio.Event()
        running = [asyncio.create_task(spender.spend_until(stop)) for spender in spenders]
        while sum(spender.spent for spender in spenders) < 20:
            await asyncio.sleep(0.005)
        primary.stop(signal.SIGKILL)
        relay.target = replica.port
        await asyncio.sleep(0.3)  # a replica answers, and writes nothing
        replica.command("REPLICAOF", "NO", "ONE")
        assert await steady.back() == 3, "hours go on"
        stop.set()
        await asyncio.gather(*running)
        assert sum(spender.spent for spender in spenders) <= 60
        assert all(spender.away for spender in spenders)
        assert await spenders[0].back() == 0
        asks = [[Ask(level, 9, need=3, want=3, used=2)], [Ask(level, 9, need=2, want=2, used=2)]]
        (risen,), (same,) = (await store.exchange("l", 2, 1, asks)).grants
        assert (risen.amount, risen.retry_after_s > 50) == (0, True), "no level rises"
        assert (same.amount, same.remaining) == (2, 0), "what runs goes on"
        offset.advance(BLOCKED_S)
        for _ in range(30):
            await spenders[0].step()
        assert 60 < sum(spender.spent for spender in spenders) <= 120


async def test_a_primary_that_was_demoted_and_promoted_again_may_lack_grants(
    start: Start, connect: Open
) -> None:
    primary = start()
    replica = start(follows=primary)
    spender = Spender(connect(primary.url()), "h", a_counter(), 100)
    assert await spender.step() == 3
    replica.command("REPLICAOF", "NO", "ONE")
    primary.command("REPLICAOF", "127.0.0.1", str(replica.port))
    async with asyncio.timeout(10):
        while b"master_link_status:up" not in primary.command("INFO", "replication"):
            await asyncio.sleep(0.02)
    primary.command("REPLICAOF", "NO", "ONE")
    assert await spender.back() == 0


async def test_a_replica_that_is_attached_changes_nothing(start: Start, connect: Open) -> None:
    primary = start()
    spender = Spender(connect(primary.url()), "h", a_counter(), 100)
    assert await spender.step() == 3
    start(follows=primary)
    assert await spender.step() == 3


async def test_forgotten_scripts_are_sent_again(start: Start, connect: Open) -> None:
    server = start()
    spender = Spender(connect(server.url()), "h", a_counter(), 100)
    assert await spender.step() == 3
    server.command("SCRIPT", "FLUSH")
    assert await spender.step() == 3
    assert spender.spent == 6


async def test_a_store_that_is_away_and_back_and_away_logs_little(
    start: Start, connect: Open, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server = start()
    spender = Spender(connect(server.url()), "h", a_counter(), 1000)
    for _ in range(3):
        server.stop(signal.SIGKILL)
        for _ in range(300):
            assert await spender.step() is None
        server.start()
        await spender.back()
    ours = [record.getMessage() for record in caplog.records]
    assert sum("does not answer" in text for text in ours) == 1
    assert len(ours) <= 4
    assert all(server.password not in text for text in ours)


async def test_an_overloaded_store_refuses_what_it_has_no_room_for(
    start: Start, connect: Open
) -> None:
    server = start()
    store = connect(server.url(), LimitsSettings(store_call_s=5.0, waiters_max=1))
    counter = a_counter()
    spenders = [Spender(store, f"h{n}", counter, 10_000) for n in range(40)]
    given = await asyncio.gather(*(spender.step() for spender in spenders))
    assert given.count(None) == 40 - 17
    assert await spenders[-1].step() is not None, "and goes on"


async def test_a_wrong_password_is_a_store_that_is_away(
    start: Start, connect: Open, caplog: pytest.LogCaptureFixture
) -> None:
    server = start()
    store = connect(server.url().replace(server.password, "not-the-password"))
    with pytest.raises(LimitStoreAway):
        await store.silent(1)
    assert "AuthenticationError" in caplog.text
    assert "not-the-password" not in caplog.text
