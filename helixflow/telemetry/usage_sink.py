"""The sink that keeps usage: a row per request, and sums.

Failure behavior: with the database away `write` raises, and the hub asks again; facts that are none
are `Indigestible`. The duties (giving up requests that nobody ended, retention) are tried again at
their next turn.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from helixflow.clock import Clock
from helixflow.errors import Refused
from helixflow.settings import UsageSettings
from helixflow.signals import Event
from helixflow.telemetry.ports import Indigestible
from helixflow.telemetry.rollups import DAY_S
from helixflow.telemetry.usage import row_of
from helixflow.telemetry.usage_ports import Kept, UsageStore

_log = logging.getLogger(__name__)

_NEVER = 0.0


class UsageSink:
    """`Sink` and `Duty`."""

    def __init__(self, store: UsageStore, settings: UsageSettings, clock: Clock) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock

    @property
    def name(self) -> str:
        """See `Sink.name`."""
        return "usage"

    async def high_water(self, source: str) -> int:
        """See `Sink.high_water`."""
        return await self._store.high_water(source)

    async def write(self, source: str, last: int, events: Sequence[Event]) -> None:
        """See `Sink.write`."""
        try:
            rows = [row for event in events if (row := row_of(event)) is not None]
        except ValueError as error:
            raise Indigestible(str(error)) from error
        await self._store.take(source, last, rows, self._clock.now())

    async def run(self) -> None:
        """See `Duty.run`."""
        while True:
            await asyncio.sleep(self._settings.duties_s)
            try:
                while await self.tidy():
                    pass
            except Refused as error:
                _log.warning("usage was not tidied: %s", error.message)

    async def tidy(self) -> int:
        """Give up and forget what is due, a bounded part; how many rows it were."""
        now = self._clock.now()
        given_up = await self._store.give_up(now - self._settings.lost_s)
        return given_up + await self._store.forget(self._kept(now))

    def _kept(self, now: float) -> Kept:
        settings = self._settings
        rows, hours, days = (
            now - number * DAY_S if number else _NEVER
            for number in (settings.rows_days, settings.hours_days, settings.days_days)
        )
        return Kept(rows, hours, days)
