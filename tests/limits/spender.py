"""A holder that spends whatever it is given, for tests of stores that fail."""

from __future__ import annotations

import asyncio

from helixflow.ids import mint_organization_id
from helixflow.limits.ports import Ask, CounterId, End, LimitStore, LimitStoreAway


class Spender:
    """Takes leases of one counter, one after the other, and uses them up.

    Attributes:
        spent: what it was given, in all.
        away: how often the store was away.
    """

    def __init__(self, store: LimitStore, holder: str, counter: CounterId, limit: int) -> None:
        self._store = store
        self._holder = holder
        self._counter = counter
        self._limit = limit
        self._number = 0
        self._acked = 0
        self._ends: dict[int, int] = {}
        self.spent = 0
        self.away = 0

    async def step(self, want: int = 3) -> int | None:
        """One exchange; what it gave, or None where the store is away."""
        self._number += 1
        said = tuple(End(lease, spent, last=True) for lease, spent in self._ends.items())
        ask = Ask(self._counter, self._limit, self._number, 1, want, 30.0, said)
        self._ends[self._number] = 0  # nothing of a lease is spent whose answer is lost
        try:
            answer = await self._store.exchange(self._holder, self._number, self._acked, [[ask]])
        except LimitStoreAway:
            self.away += 1
            return None
        ((grant,),) = answer.grants
        self._acked = self._number
        self._ends = {self._number: grant.amount}
        self.spent += grant.amount
        return grant.amount

    async def spend_until(self, stop: asyncio.Event) -> None:
        """Go on until `stop` is set."""
        while not stop.is_set():
            await self.step()
            await asyncio.sleep(0.001)

    async def back(self) -> int:
        """The first answer of a store that was away."""
        async with asyncio.timeout(20):
            while (amount := await self.step()) is None:
                await asyncio.sleep(0.01)
        return amount


def a_counter(name: str = "requests_per_minute") -> CounterId:
    """A counter of an organization of its own."""
    return CounterId(mint_organization_id(), name, "organization")
