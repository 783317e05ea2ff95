"""A limit whose counter was lost is counted anew from the records of use, without Ray."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deployments.limit_calls import RayPastUse
from deployments.station import build_station
from deployments.telemetry_calls import RayTelemetry
from helixflow.ids import OrganizationId
from helixflow.inference.facts import Admitted
from helixflow.inference.usage import Usage
from helixflow.limits.journal import Journal
from helixflow.limits.memory import MemoryLimitStore
from helixflow.limits.ports import Ask, CounterId
from helixflow.settings import LimitsSettings, Settings, TelemetrySettings
from helixflow.telemetry.past_use import SETTLED_S, Question
from helixflow.telemetry.station import Station
from helixflow.telemetry.wire import VERSION, encode_event, join
from helixflow.testing.clock import ManualClock
from helixflow.testing.events import PRICE, SomeRequest
from helixflow.testing.handle import FakeHandle

SETTINGS = LimitsSettings()
HOUR = CounterId(OrganizationId("org_1"), "requests_per_hour", "organization")
KEYS_TOKENS = CounterId(OrganizationId("org_1"), "tokens_per_day", "key=key_1,model=m")
MINUTE = CounterId(OrganizationId("org_1"), "requests_per_minute", "organization")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_700_000_000.0)


@pytest.fixture
async def station(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Station]:
    tree = Settings.of({"home": str(tmp_path)}).model_dump(mode="json", exclude={"models"})
    made = await build_station(tree, clock)
    made.start()
    yield made
    await made.close()


async def record(station: Station, *requests: SomeRequest) -> None:
    """The requests' events, written when this returns. All of them lie within a day."""
    events = [encode_event(event) for request in requests for event in request.events]
    last = len(events)
    await station.ship((VERSION, "ingress-1", "ingress", 0, last, join(events), 0, b"", False))
    everything = Question("org_1", "requests", (), 86_400.0).to_wire()
    async with asyncio.timeout(10):
        while sum(count for _, count in await station.used(everything) or ()) < len(requests):
            await asyncio.sleep(0.01)


def request(at: float, key: str = "key_1", model: str = "m") -> SomeRequest:
    return SomeRequest(
        at, admitted=Admitted("org_1", "proj_1", key, model=model, price=PRICE), usage=Usage(30, 12)
    )


def asks(number: int) -> list[list[Ask]]:
    limits = ((HOUR, 10), (KEYS_TOKENS, 1_000), (MINUTE, 10))
    return [[Ask(counter, limit, number, limit, limit, 5.0)] for counter, limit in limits]


async def remaining(store: MemoryLimitStore, number: int) -> list[int]:
    answer = await store.exchange("h", number, number - 1, asks(number))
    return [grant.remaining for (grant,) in answer.grants]


async def test_long_windows_are_rebuilt_from_usage_and_minutes_stay_full(
    station: Station, clock: ManualClock, tmp_path: Path
) -> None:
    clock.advance(SETTLED_S)
    now = clock.now()
    await record(station, request(now - 4_000.0), request(now - 600.0), request(now, key="key_2"))
    folder = tmp_path / "limits"
    first = MemoryLimitStore(clock, SETTINGS, Journal(folder, SETTINGS.journal_bytes_max))
    await first.exchange("h", 1, 0, [[Ask(HOUR, 10, 1, 1, 1, 5.0)]])
    await first.close()
    for segment in folder.glob("*.journal"):
        segment.unlink()
    telemetry = RayTelemetry(TelemetrySettings(), lambda: FakeHandle(station))
    journal = Journal(folder, SETTINGS.journal_bytes_max)
    store = MemoryLimitStore(clock, SETTINGS, journal, RayPastUse(telemetry))
    assert await remaining(store, 2) == [0, 0, 0]
    clock.advance(61.0)  # no lease of before lives any more
    async with asyncio.timeout(10):
        number = 3
        while (left := await remaining(store, number))[1] == 0:
            number += 1
            clock.advance(0.5)
            await asyncio.sleep(0.01)
    assert left == [10 - 2, 1_000 - 2 * 42, 0]
    await store.close()


async def test_telemetry_that_is_away_makes_the_past_unknown() -> None:
    def nobody() -> None:
        raise ValueError("there is no actor")

    past = RayPastUse(RayTelemetry(TelemetrySettings(), nobody))
    assert await past.amounts(HOUR, 3_600.0) is None
