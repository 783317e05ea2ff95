"""Shipping one source: its events and counts, batch after batch, at least once.

One batch is under way at a time. The hub's answer says where to go on, which may be further back:
a sink that was behind has room again, or the hub was replaced. Counts that were handed over in a
batch go with it until the hub has answered; their number tells the hub what comes twice.

Failure behavior: while the hub is away, `step` raises `Unavailable`; nothing is lost by calling it
again. A process that dies loses the counts that the hub did not take; its events stay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from helixflow.errors import Unavailable
from helixflow.telemetry import deltas as delta_rows
from helixflow.telemetry.ports import HubPort
from helixflow.telemetry.records import Codec
from helixflow.telemetry.segments import Extent, Found, Place, read, start
from helixflow.telemetry.tally import Tally
from helixflow.telemetry.wire import VERSION, join

_BATCH_BYTES_MAX = 1024 * 1024
_BEGINNING = Place(0, 0, 0)


class Stock(Protocol):
    """A journal, as it is shipped: a live one, or an orphan."""

    @property
    def folder(self) -> Path:
        """Its segments; called by its source."""
        ...

    @property
    def codec(self) -> Codec:
        """How its records are written."""
        ...

    @property
    def extent(self) -> Extent:
        """What can be read right now."""
        ...

    def release(self, up_to: int) -> Sequence[Path]:
        """Give up what holds nothing above a number; the caller deletes these files."""
        ...


class Shipment:
    """The way of one source to the hub. For one event loop.

    Args:
        source, role: of the process.
        stock: its journal; None where it has none.
        tally: what it counts; None where it does not (an orphan).
        batch_events: at most so many go in one batch.

    Attributes:
        durable: every sink has the events up to this number.
        closing: the process ends, or is gone.
    """

    def __init__(
        self,
        source: str,
        role: str,
        stock: Stock | None,
        tally: Tally | None,
        hub: HubPort,
        batch_events: int,
        *,
        closing: bool = False,
    ) -> None:
        self._source, self._role = source, role
        self._stock = stock
        self._tally = tally
        self._hub = hub
        self._batch_events = batch_events
        self.closing = closing
        self.durable = 0
        self._place: Place | None = None
        self._number = 0
        self._deltas = b""

    @property
    def last(self) -> int:
        """The number of the last event in the journal."""
        return 0 if self._stock is None else self._stock.extent.last

    @property
    def unsent(self) -> int:
        """How many events the hub has not been given (or asks for again)."""
        return max(0, self.last - (self._after or 0))

    @property
    def news(self) -> bool:
        """Whether there is something that the hub was not given yet."""
        counted = self._tally is not None and self._tally.changed
        return counted or bool(self._deltas) or self.unsent > 0

    @property
    def outstanding(self) -> bool:
        """Whether some sink may lack something."""
        return self.news or self.durable < self.last

    async def step(self, *, levels: bool = False) -> bool:
        """Send one batch, with every level if wanted; whether that brought the events on.

        Raises `Unavailable` where the hub is away, OSError where the journal cannot be read.
        """
        before = (self._after, self.durable)
        found = await self._next()
        self._take_deltas(levels=levels or self._place is None)
        wire = (
            VERSION, self._source, self._role, found.after, found.last, join(found.events),
            self._number if self._deltas else 0, self._deltas, self.closing,
        )  # fmt: skip
        try:
            _, wanted, durable = await self._hub.ship(wire)
        except Unavailable:
            self._place = None  # another hub may answer next time: it is asked where to go on
            raise
        self._deltas = b""
        self._go_on(found, wanted)
        await self._release(durable)
        return (self._after, self.durable) != before

    @property
    def _after(self) -> int | None:
        """The hub was given everything up to this number; None where it was not asked yet."""
        return None if self._place is None else self._place.after

    async def _next(self) -> Found:
        place, stock = self._place, self._stock
        if place is None or stock is None:
            return Found(0, 0, (), _BEGINNING)
        # A thread reads, because an old part of the journal may have to come from the disk.
        return await asyncio.to_thread(
            read,
            stock.folder,
            stock.codec,
            stock.extent,
            place,
            self._batch_events,
            _BATCH_BYTES_MAX,
        )

    def _go_on(self, found: Found, wanted: int) -> None:
        if self._stock is None:
            self._place = _BEGINNING
        elif self._place is not None and wanted == found.last:
            self._place = found.place
        elif wanted != self._after:
            self._place = start(self._stock.extent, wanted)

    def _take_deltas(self, *, levels: bool) -> None:
        if self._deltas or self._tally is None:
            return
        taken = self._tally.take(levels=levels)
        if taken:
            self._number += 1
            self._deltas = delta_rows.encode(taken)

    async def _release(self, durable: int) -> None:
        self.durable = durable
        gone = [] if self._stock is None else self._stock.release(durable)
        if gone:
            await asyncio.to_thread(_unlink, gone)


def _unlink(paths: Sequence[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
