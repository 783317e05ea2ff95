"""Where sealed content is stored, given up and swept; the part of keeping that Telemetry has.

Contents come by a way of their own, past the journals and the hub: they are bigger than all events
together, and losing one is no loss of evidence. One batch is written at a time.

Failure behavior: with its database away, or too many batches waiting, `keep` raises `Unavailable`
and the Ingress asks again, as long as it has room. A store that is full takes nothing, and says so.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

from helixflow.clock import Clock
from helixflow.errors import Refusal, Unavailable
from helixflow.settings import ContentSettings
from helixflow.signals import Metric
from helixflow.telemetry.content.keys import ContentKeys
from helixflow.telemetry.content.ports import (
    VERSION,
    WORD_LENGTH_MAX,
    ContentStore,
    Fate,
    KeepWire,
    KeptWire,
    Sealed,
)
from helixflow.telemetry.tally import Tally

_BATCHES_MAX = 8
_DELETED_MAX = 4096
_DAY_S = 86_400.0


class Vault:
    """For one event loop. A `Duty`: its work is the sweep.

    Args:
        tally: what telemetry itself counts.
    """

    def __init__(
        self,
        store: ContentStore,
        keys: ContentKeys,
        settings: ContentSettings,
        clock: Clock,
        tally: Tally,
    ) -> None:
        self._store = store
        self._keys = keys
        self._settings = settings
        self._clock = clock
        self._tally = tally
        self._writing = asyncio.Lock()
        self._batches = 0
        self._stored: int | None = None
        # An Ingress that missed an answer sends its batch again: not what was deleted meanwhile.
        self._deleted: OrderedDict[tuple[str, str, str], None] = OrderedDict()

    async def keep(self, batch: KeepWire) -> KeptWire:
        """Store contents. Raises `Unavailable` where that may be tried again."""
        contents = [_bounded(Sealed(*wire)) for wire in batch[1]]
        if self._batches >= _BATCHES_MAX:
            raise Unavailable(
                Refusal.TELEMETRY_UNAVAILABLE, "Too much content waits.", retry_after_s=1.0
            )
        self._batches += 1
        try:
            async with self._writing:
                fates = await self._fates(contents)
                taken = [
                    one for one, fate in zip(contents, fates, strict=True) if fate is Fate.KEPT
                ]
                await self._store.add(taken)
                self._stored = await self._total() + sum(len(one.sealed) for one in taken)
        finally:
            self._batches -= 1
        return (VERSION, tuple(fate.value for fate in fates))

    async def delete(self, organization: str, project: str, request: str) -> bool:
        """Delete what was kept of one request; whether there was anything."""
        async with self._writing:
            place = (organization, project, request)
            self._deleted[place] = None
            while len(self._deleted) > _DELETED_MAX:
                self._deleted.popitem(last=False)
            size = await self._store.delete(*place)
            self._stored = max(0, await self._total() - size)
        return size > 0

    async def erase(self, organization: str, project: str, period: int) -> None:
        """Give up everything that was kept up to a period: first its keys, then the rest of it."""
        await self._keys.erase(organization, project, period)
        while await self._erase_some(organization, project, period):
            pass

    async def shorten(self, organization: str, project: str, days: int) -> None:
        """What is there already of a project's content is kept for so many days at most."""
        async with self._writing:
            await self._store.shorten(organization, project, days)

    async def sweep(self) -> int:
        """Delete what has served its time; how many contents."""
        now, count = self._clock.now(), 0
        before = now - self._settings.days_max * _DAY_S
        while True:
            async with self._writing:
                some = await self._store.expire(now, before, self._settings.rows_max)
            count += some
            if some < self._settings.rows_max:
                break
        async with self._writing:
            self._stored = await self._store.total()
        self._tally.gauge(Metric.CONTENT_STORED_BYTES, float(self._stored))
        return count

    async def run(self) -> None:
        """See `Duty.run`: sweep now and then."""
        await self._keys.reconcile()
        while True:
            await self.sweep()
            await asyncio.sleep(self._settings.sweep_s)

    async def _fates(self, contents: Sequence[Sealed]) -> list[Fate]:
        room = self._settings.stored_bytes_max - await self._total()
        alive: dict[tuple[str, str, int], bool] = {}
        fates = []
        for one in contents:
            place = (one.organization, one.project, one.period)
            if place not in alive:
                alive[place] = await self._keys.alive(*place)
            if not alive[place] or (one.organization, one.project, one.request) in self._deleted:
                fates.append(Fate.ERASED)
            elif len(one.sealed) > room:
                fates.append(Fate.STORED_FULL)
            else:
                room -= len(one.sealed)
                fates.append(Fate.KEPT)
        return fates

    async def _erase_some(self, organization: str, project: str, period: int) -> int:
        async with self._writing:
            rows_max = self._settings.rows_max
            return await self._store.erase(organization, project, period, rows_max)

    async def _total(self) -> int:
        if self._stored is None:
            self._stored = await self._store.total()
        return self._stored


def _bounded(content: Sealed) -> Sealed:
    """The content with words that a database can hold."""
    return replace(
        content, model=_word(content.model), operation=_word(content.operation),
        outcome=_word(content.outcome),
    )  # fmt: skip


def _word(text: str) -> str:
    return text[:WORD_LENGTH_MAX].replace("\0", "")
