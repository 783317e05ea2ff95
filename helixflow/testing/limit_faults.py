"""A store of limits that a test takes away, slows down, and makes forget its answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import StrEnum

from helixflow.limits.ports import Answer, Ask, LimitStore, LimitStoreAway


class Fault(StrEnum):
    """What happens to an exchange."""

    AWAY = "away"
    BROKEN = "broken"
    GARBLED = "garbled"
    HANGING = "hanging"
    LOST = "lost"
    NONE = "none"


class FaultyStore:
    """`LimitStore` around another one.

    Attributes:
        fault: what happens to exchanges from here on. `LOST` is processed, but not answered;
            `HANGING` never ends; `GARBLED` answers something that does not fit; `BROKEN` raises
            what no store should.
        held: where it is not set, exchanges wait before they are processed.
        exchanges: how many were begun.
        asks: how many asks they held, in all.
    """

    def __init__(self, store: LimitStore) -> None:
        self._store = store
        self.fault = Fault.NONE
        self.held = asyncio.Event()
        self.held.set()
        self.exchanges = 0
        self.asks = 0

    async def exchange(
        self, holder: str, number: int, acked: int, groups: Sequence[Sequence[Ask]]
    ) -> Answer:
        """See `LimitStore.exchange`."""
        self.exchanges += 1
        self.asks += sum(len(group) for group in groups)
        await self.held.wait()
        match self.fault:
            case Fault.AWAY:
                raise LimitStoreAway("a test took it away")
            case Fault.BROKEN:
                raise ValueError("a test broke it")
            case Fault.HANGING:
                await asyncio.Event().wait()
            case Fault.GARBLED:
                return Answer([(), ()])
        answer = await self._store.exchange(holder, number, acked, groups)
        if self.fault is Fault.LOST:
            raise LimitStoreAway("a test lost its answer")
        return answer

    async def silent(self, after_s: float) -> list[str]:
        """See `LimitStore.silent`."""
        return await self._store.silent(after_s)

    async def bury(self, holder: str) -> None:
        """See `LimitStore.bury`."""
        await self._store.bury(holder)
