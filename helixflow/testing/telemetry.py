"""Telemetry's places without files or actors: a sink, a metrics intake, and a hub at hand."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable, Sequence
from typing import Protocol

from helixflow.errors import Refusal, Unavailable
from helixflow.signals import Event
from helixflow.telemetry.deltas import Deltas
from helixflow.telemetry.wire import AckWire, BatchWire


class MemorySink:
    """`Sink` that keeps everything, and fails as the test says.

    Attributes:
        marks: the number of the last event of each source.
        held: `(source, number, event)`, in the order of arrival.
        writes: how often `write` was called.
        before: called with the events before each write; may raise.
        after: the same after each write, when the events are held already.
        gate: while it is clear, writes wait.
        silent: raised where it is asked what it holds.
    """

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self.marks: dict[str, int] = {}
        self.held: list[tuple[str, int, Event]] = []
        self.writes = 0
        self.before: Callable[[Sequence[Event]], None] = lambda _: None
        self.after: Callable[[Sequence[Event]], None] = lambda _: None
        self.gate = asyncio.Event()
        self.gate.set()
        self.silent: Exception | None = None

    async def high_water(self, source: str) -> int:
        """See `Sink.high_water`."""
        if self.silent is not None:
            raise self.silent
        return self.marks.get(source, 0)

    async def write(self, source: str, last: int, events: Sequence[Event]) -> None:
        """See `Sink.write`. Raises AssertionError for numbers that were given before."""
        self.writes += 1
        await self.gate.wait()
        self.before(events)
        first = last - len(events) + 1
        if first <= self.marks.get(source, 0):
            raise AssertionError(f"number {first} of {source} comes twice")
        self.held += [(source, number, event) for number, event in enumerate(events, first)]
        self.marks[source] = last
        self.after(events)

    def numbers(self, source: str) -> list[int]:
        """The numbers of a source's events, in the order of arrival."""
        return [number for name, number, _ in self.held if name == source]

    @property
    def ids(self) -> list[str]:
        """The ids of all events, in the order of arrival."""
        return [event.id for _, _, event in self.held]


class MemoryMetrics:
    """`MetricsIntake` that keeps everything.

    Attributes:
        absorbed: `(source, role, deltas)`.
        forgotten: sources whose levels hold no longer.
    """

    def __init__(self) -> None:
        self.absorbed: list[tuple[str, str, Deltas]] = []
        self.forgotten: list[str] = []

    def absorb(self, source: str, role: str, deltas: Deltas) -> None:
        """See `MetricsIntake.absorb`."""
        self.absorbed.append((source, role, deltas))

    def forget(self, source: str) -> None:
        """See `MetricsIntake.forget`."""
        self.forgotten.append(source)

    def total(self, metric: str, **labels: str) -> float:
        """The sum of a counter over all sources."""
        wanted = tuple(sorted(labels.items()))
        return sum(
            by
            for _, _, deltas in self.absorbed
            for name, found, by in deltas.counters
            if name == metric and tuple(sorted(found)) == wanted
        )


class Ships(Protocol):
    """A hub."""

    async def ship(self, batch: BatchWire) -> AckWire:
        """Take a batch."""
        ...


class WiredHub:
    """`HubPort` over a hub in this process; only the wires lie between.

    Attributes:
        hub: may be replaced by another one.
        away: makes it unreachable.
        deaf: the batch arrives, and the answer is lost.
        batches: what arrived.
    """

    def __init__(self, hub: Ships) -> None:
        self.hub = hub
        self.away = False
        self.deaf = False
        self.batches: list[BatchWire] = []

    async def ship(self, batch: BatchWire) -> AckWire:
        """See `HubPort.ship`."""
        if self.away:
            raise _away()
        arrived: BatchWire = pickle.loads(pickle.dumps(batch))  # noqa: S301 (our own bytes)
        self.batches.append(arrived)
        answer = await self.hub.ship(arrived)
        if self.deaf:
            raise _away()
        return answer


def _away() -> Unavailable:
    return Unavailable(
        Refusal.TELEMETRY_UNAVAILABLE, "Telemetry does not answer.", retry_after_s=1.0
    )
