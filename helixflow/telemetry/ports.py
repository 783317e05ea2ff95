"""What telemetry needs of the places where events end.

A source is a random id per process start; its events are numbered from 1 without gaps, and arrive
in order, each at least once. A sink commits the number of the last event that it holds together
with what it made of the events, so that what comes twice is taken once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from helixflow.signals import Event


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

        `events` are those numbered `last - len(events) + 1` to `last`. Raises anything where it
        could not; then it holds none of them and is asked again.
        """
        ...
