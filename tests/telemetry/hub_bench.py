"""A hub at hand, for tests of the way to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helixflow.settings import HubSettings
from helixflow.signals import Event, EventKind
from helixflow.telemetry.dead_letters import DeadLetters
from helixflow.telemetry.hub import Hub
from helixflow.telemetry.lane import Lane
from helixflow.telemetry.tally import Tally
from helixflow.telemetry.wire import AckWire, encode_event, join
from helixflow.testing.clock import ManualClock
from helixflow.testing.telemetry import MemoryMetrics, MemorySink

SOURCE = "ingress-1"


def event(number: int, kind: EventKind = EventKind.REQUEST_ENDED) -> Event:
    return Event(kind, 1_700_000_000.0, f"req_{number}", {"tokens": number})


@dataclass
class Naps:
    """Pauses that nobody waits for.

    Attributes:
        taken: how long they would have been.
        during: called in each one.
    """

    taken: list[float] = field(default_factory=list)
    during: Callable[[], None] = lambda: None

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)
        self.during()
        await asyncio.sleep(0)


@dataclass
class Bench:
    """A hub with its parts."""

    hub: Hub
    lanes: list[Lane]
    metrics: MemoryMetrics
    clock: ManualClock
    naps: Naps
    letters: Path

    async def settled(self) -> None:
        """Everything that was taken is written."""
        for lane in self.lanes:
            await asyncio.wait_for(lane.drained(), 5)

    async def ship(
        self, first: int, last: int, *, after: int | None = None, source: str = SOURCE
    ) -> tuple[int, int]:
        """Ship the events of these numbers; `(wanted, durable)`."""
        body = join([encode_event(event(number)) for number in range(first, last + 1)])
        before = first - 1 if after is None else after
        return await self.ship_raw(before, last, body, source=source)

    async def ship_raw(
        self,
        after: int,
        last: int,
        body: bytes,
        *,
        source: str = SOURCE,
        number: int = 0,
        rows: bytes = b"",
        closing: bool = False,
    ) -> tuple[int, int]:
        ack: AckWire = await self.hub.ship(
            (1, source, "ingress", after, last, body, number, rows, closing)
        )
        return ack[1], ack[2]

    def counted(self, metric: str, **labels: str) -> float:
        self.hub.report()
        return self.metrics.total(metric, **labels)


@asynccontextmanager
async def bench(
    folder: Path, sinks: Sequence[MemorySink], *, running: bool = True, **settings: Any
) -> AsyncIterator[Bench]:
    told = HubSettings(**settings)
    clock, naps, tally, metrics = ManualClock(), Naps(), Tally(100), MemoryMetrics()
    letters = DeadLetters(folder / "dead-letters", told.dead_letter_bytes_max)
    lanes = [Lane(sink, letters, tally, told, clock, naps) for sink in sinks]
    hub = Hub(lanes, metrics, letters, tally, told, clock)
    work = asyncio.create_task(hub.run()) if running else None
    try:
        yield Bench(hub, lanes, metrics, clock, naps, folder / "dead-letters")
    finally:
        if work is not None:
            work.cancel()
            await asyncio.wait({work})
