from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from helixflow.ids import OrganizationId
from helixflow.limits.journal import Journal
from helixflow.limits.memory import MemoryLimitStore
from helixflow.limits.ports import Ask, CounterId, Grant, LimitStoreAway, PastUse, UnknownPast
from helixflow.settings import LimitsSettings
from helixflow.testing.clock import ManualClock
from helixflow.testing.limit_store import CHECKS, Check
from helixflow.testing.limit_tenant import Stage

SETTINGS = LimitsSettings()
COUNTER = CounterId(OrganizationId("org_1"), "requests_per_hour", "organization")
MINUTE = CounterId(OrganizationId("org_1"), "requests_per_minute", "organization")
SLOTS = CounterId(OrganizationId("org_1"), "concurrent_requests", "organization")

Open = Callable[..., MemoryLimitStore]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def opened(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Open]:
    """Opens a journaled store; all are closed in the end."""
    stores: list[MemoryLimitStore] = []

    def open_store(past: PastUse | None = None) -> MemoryLimitStore:
        journal = Journal(tmp_path, SETTINGS.journal_bytes_max, "boot-1")
        stores.append(MemoryLimitStore(clock, SETTINGS, journal, past))
        return stores[-1]

    yield open_store
    for store in stores:
        await store.close()


async def take(
    store: MemoryLimitStore, number: int, amount: int, id_: CounterId = COUNTER
) -> Grant:
    ask = Ask(id_, 100, number, amount, amount, 5.0)
    ((grant,),) = (await store.exchange("h", number, 0, [[ask]])).grants
    return grant


def lose(folder: Path) -> None:
    """The journal is gone, the marker that says there was one is not."""
    for segment in folder.glob("*.journal"):
        segment.unlink()


async def all_told() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Records:
    """`PastUse` that tells what it is given, and counts how often it is asked."""

    def __init__(self, *told: list[tuple[float, int]] | Exception | None) -> None:
        self.told = list(told)
        self.asked = 0

    async def amounts(self, counter: CounterId, within_s: float) -> list[tuple[float, int]] | None:
        self.asked += 1
        told = self.told.pop(0) if len(self.told) > 1 else self.told[0]
        if isinstance(told, Exception):
            raise told
        return told


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("journaled", [False, True])
async def test_it_keeps_the_contract_of_stores(
    check: Check, journaled: bool, tmp_path: Path, clock: ManualClock
) -> None:
    journal = Journal(tmp_path, SETTINGS.journal_bytes_max) if journaled else None
    store = MemoryLimitStore(clock, SETTINGS, journal)
    await check(Stage(store, clock.advance))
    await store.close()


async def test_grants_and_levels_outlive_the_process(opened: Open, clock: ManualClock) -> None:
    first = opened()
    await take(first, 1, 40)
    await first.exchange("h", 2, 1, [[Ask(SLOTS, 5, need=2, want=2, used=2)]])
    await first.close()
    second = opened()
    assert (await take(second, 3, 10)).remaining == 50
    clock.advance(10.0)
    assert await second.silent(5.0) == ["h"]
    await second.bury("h")
    await second.bury("h")
    await second.close()
    third = opened()
    assert await third.silent(0.0) == []


async def test_a_closed_store_is_away(opened: Open) -> None:
    store = opened()
    await take(store, 1, 1)
    await store.close()
    with pytest.raises(LimitStoreAway):
        await take(store, 2, 1)


async def test_a_journal_that_another_process_has_is_waited_for(
    opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = opened(), opened()
    await take(first, 1, 40)
    for _ in range(3):
        with pytest.raises(LimitStoreAway):
            await take(second, 2, 1)
    assert len(caplog.records) == 1
    await first.close()
    assert (await take(second, 2, 1)).remaining == 59


async def test_what_cannot_be_journaled_is_not_granted(
    tmp_path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    class FullDisk(Journal):
        full = False

        def append(self, *args: object) -> None:
            if self.full:
                raise OSError(28, "No space left on device")
            super().append(*args)  # type: ignore[arg-type]

    journal = FullDisk(tmp_path, SETTINGS.journal_bytes_max)
    store = MemoryLimitStore(clock, SETTINGS, journal)
    await take(store, 1, 1)
    journal.full = True
    for number in (2, 3):
        with pytest.raises(LimitStoreAway):
            await take(store, number, 1)
    journal.full = False
    await take(store, 4, 1)
    await store.close()
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]


async def test_after_a_loss_minutes_are_refused_for_a_window_and_longer_ones_ask_the_records(
    opened: Open, tmp_path: Path, clock: ManualClock
) -> None:
    first = opened()
    await take(first, 1, 40)
    await first.close()
    lose(tmp_path)
    records = Records(None, [(100.0, 30), (50.0, 12)])
    second = opened(records)
    assert (await take(second, 2, 1)).amount == 0
    assert (await take(second, 3, 1, MINUTE)).amount == 0
    await all_told()
    assert records.asked == 0, "leases of before may still be spent"
    clock.advance(61.0)
    assert (await take(second, 4, 1)).amount == 0
    await all_told()
    assert records.asked == 1
    assert (await take(second, 5, 1)).amount == 0
    await all_told()
    assert records.asked == 1, "it is not asked all the time"
    clock.advance(6.0)
    await take(second, 6, 1)
    await all_told()
    grant = await take(second, 7, 1)
    assert (grant.amount, grant.remaining) == (1, 57)
    assert (await take(second, 8, 1, MINUTE)).amount == 0
    clock.advance(60.0)
    assert (await take(second, 9, 1, MINUTE)).amount == 1
    await second.close()
    third = opened(records)
    assert (await take(third, 10, 1)).remaining == 56, "what the records told is journaled"


async def test_while_nobody_can_tell_the_past_it_counts_as_full_until_it_is_over(
    opened: Open, tmp_path: Path, clock: ManualClock
) -> None:
    first = opened()
    await take(first, 1, 40)
    await first.close()
    lose(tmp_path)
    store = opened()
    for number in range(2, 70):
        grant = await take(store, number, 1)
        assert grant.amount == 0
        assert grant.retry_after_s > 0
        await all_told()
        clock.advance(53.0)
    clock.advance(100.0)
    assert (await take(store, 70, 100)).amount == 100
    assert await UnknownPast().amounts(COUNTER, 1.0) is None


async def test_records_that_cannot_be_read_are_logged_once(
    opened: Open, tmp_path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    first = opened()
    await take(first, 1, 40)
    await first.close()
    lose(tmp_path)
    records = Records(OSError("secret"), OSError("secret"), [])
    store = opened(records)
    await take(store, 2, 1)
    caplog.clear()
    for number in (3, 4, 5):
        clock.advance(61.0)
        await take(store, number, 1)
        await all_told()
    assert [record.getMessage() for record in caplog.records] == [
        "what was used before cannot be read: OSError"
    ]
    assert (await take(store, 6, 100)).amount == 100


async def test_a_store_that_closes_stops_asking(
    opened: Open, tmp_path: Path, clock: ManualClock
) -> None:
    first = opened()
    await take(first, 1, 40)
    await first.close()
    lose(tmp_path)
    begun = asyncio.Event()

    class Slow:
        async def amounts(self, counter: CounterId, within_s: float) -> None:
            begun.set()
            await asyncio.Event().wait()

    store = opened(Slow())
    await take(store, 2, 1)
    clock.advance(61.0)
    await take(store, 3, 1)
    await begun.wait()
    await store.close()


async def test_without_a_journal_a_fresh_store_grants_at_once(clock: ManualClock) -> None:
    store = MemoryLimitStore(clock, SETTINGS)
    assert (await take(store, 1, 100)).amount == 100


async def test_a_fresh_install_grants_at_once(opened: Open) -> None:
    assert (await take(opened(), 1, 100)).amount == 100
