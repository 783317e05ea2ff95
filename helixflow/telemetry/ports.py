"""What telemetry needs of the places where events and counts end, and of the way there.

A source is a random id per process start; its events are numbered from 1 without gaps, and arrive
in order, each at least once. A sink commits the number of the last event that it holds together
with what it made of the events, so that what comes twice is taken once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from helixflow.signals import Event
from helixflow.telemetry.deltas import Deltas
from helixflow.telemetry.wire import AckWire, BatchWire


class Indigestible(Exception):
    """A sink will never take these events, however often it is asked.

    The hub asks again for parts of them until it knows which, and lays those in the dead-letter
    folder. Anything else that a sink raises means: not now.
    """


class Sink(Protocol):
    """Where events end: usage rows, the audit chain, files, traces."""

    @property
    def name(self) -> str:
        """What it is called in metrics, logs and the dead-letter folder."""
        ...

    async def high_water(self, source: str) -> int:
        """The number of the last event of a source that it holds; 0 before the first one."""
        ...

    async def write(self, source: str, last: int, events: Sequence[Event]) -> None:
        """Take events of one source and remember `last`, in one step.

        `events` are those numbered `last - len(events) + 1` to `last`; there may be none, where
        only the number goes on. Numbers may be passed over (they were lost, or are dead letters);
        those up to the sink's own mark are never given again. Raises `Indigestible`, or anything
        where it could not; then it holds none of them and is asked again.
        """
        ...


@runtime_checkable
class Duty(Protocol):
    """A sink (or another part) that has work of its own: roll-ups, seals, retention."""

    async def run(self) -> None:
        """Work until cancelled."""
        ...


@runtime_checkable
class Closing(Protocol):
    """A sink (or another part) that has something to do at the end: a last seal."""

    async def close(self) -> None:
        """Finish; called once, after the last `write`."""
        ...


class MetricsIntake(Protocol):
    """Where the counts of all processes come together. Never waits and never raises."""

    def absorb(self, source: str, role: str, deltas: Deltas) -> None:
        """Add what a process counted since its last deltas; each is given once.

        `role` says what kind of process it is (`ingress`, `auth`, `model`, `router`, `hub`).
        """
        ...

    def forget(self, source: str) -> None:
        """A process is gone: its levels (gauges) hold no longer, its counts stay."""
        ...


class HubPort(Protocol):
    """The hub (hub.py), as a process ships to it."""

    async def ship(self, batch: BatchWire) -> AckWire:
        """Hand over a batch. Raises `Unavailable` (`telemetry_unavailable`) where the hub is away.

        Is over within a deadline of its own.
        """
        ...
