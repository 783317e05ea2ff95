from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from helixflow.errors import Refusal, Unavailable
from helixflow.settings import UsageSettings
from helixflow.signals import Event, EventKind
from helixflow.telemetry.ports import Duty, Indigestible, Sink
from helixflow.telemetry.rollups import DAY_S
from helixflow.telemetry.usage import UsageRow
from helixflow.telemetry.usage_ports import Kept
from helixflow.telemetry.usage_sink import UsageSink
from helixflow.testing.clock import ManualClock
from helixflow.testing.events import SomeRequest


class Store:
    """Keeps what it is asked; `due` numbers of rows are left to tidy, or refusals to raise."""

    def __init__(self, *due: int | Exception) -> None:
        self.taken: list[tuple[str, int, list[str], float]] = []
        self.before: list[float] = []
        self.kept: list[Kept] = []
        self.due = list(due)
        self.done = asyncio.Event()

    async def high_water(self, source: str) -> int:
        return 7 if source == "a" else 0

    async def take(self, source: str, last: int, rows: Sequence[UsageRow], now: float) -> None:
        self.taken.append((source, last, [row.id for row in rows], now))

    async def give_up(self, before: float) -> int:
        self.before.append(before)
        if not self.due:
            self.done.set()
            return 0
        next_one = self.due.pop(0)
        if isinstance(next_one, Exception):
            raise next_one
        return next_one

    async def forget(self, kept: Kept) -> int:
        self.kept.append(kept)
        return 0


NOW = 1000.0 * DAY_S


def sink_of(store: Store, **settings: float) -> UsageSink:
    return UsageSink(store, UsageSettings.model_validate(settings), ManualClock(NOW))


async def test_events_of_requests_become_rows_and_others_move_the_mark_alone() -> None:
    store, request = Store(), SomeRequest()
    sink = sink_of(store)
    await sink.write("a", 8, [*request.events, Event(EventKind.ADMINISTRATION, 1.0, "e", {})])
    await sink.write("a", 9, [])
    assert store.taken == [("a", 8, [request.id] * 3, NOW), ("a", 9, [], NOW)]
    assert (await sink.high_water("a"), await sink.high_water("b")) == (7, 0)
    assert sink.name == "usage"


def test_it_is_a_sink_with_a_duty() -> None:
    sink: Sink = sink_of(Store())
    assert isinstance(sink, Duty)


async def test_facts_that_are_none_are_indigestible_and_nothing_is_taken() -> None:
    store = Store()
    bad = Event(EventKind.REQUEST_ENDED, 1.0, "req_1", {"outcome": 7})
    with pytest.raises(Indigestible, match="outcome"):
        await sink_of(store).write("a", 1, [*SomeRequest().events, bad])
    assert store.taken == []


async def test_what_is_kept_for_how_long_is_a_setting() -> None:
    store = Store()
    await sink_of(store, lost_s=60, rows_days=10, hours_days=0, days_days=3).tidy()
    assert store.before == [NOW - 60]
    assert store.kept == [Kept(NOW - 10 * DAY_S, 0.0, NOW - 3 * DAY_S)]


async def test_tidying_goes_on_until_nothing_is_left_and_after_a_failure() -> None:
    away = Unavailable(Refusal.TELEMETRY_UNAVAILABLE, "away")
    store = Store(5, 2, away, 1)
    duty = asyncio.create_task(sink_of(store, duties_s=0.001).run())
    await asyncio.wait_for(store.done.wait(), 5)
    duty.cancel()
    await asyncio.gather(duty, return_exceptions=True)
    assert store.due == []
    assert len(store.before) >= 5
