"""A tenant that uses a store of limits in the store's checks (limit_store.py)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from helixflow.ids import mint_organization_id
from helixflow.limits.ports import Ask, CounterId, End, Grant, LimitStore

Grants: TypeAlias = tuple[Grant, ...]

LIFE_S = 5.0

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Stage:
    """A store, and `advance(seconds)` that lets its time pass."""

    store: LimitStore
    advance: Callable[[float], None]


class Tenant:
    """A fresh organization and a holder that spends in it.

    Attributes:
        holder: its name.
        recalled: the counters that the last answer recalled.
    """

    def __init__(self, store: LimitStore) -> None:
        self._store = store
        self._organization = mint_organization_id()
        self._leases = itertools.count(1)
        self._number = 0
        self.recalled: tuple[CounterId, ...] = ()
        self.holder = f"check-{next(_numbers)}-{self._organization}"

    def beside(self) -> Tenant:
        """Another holder of the same organization."""
        other = Tenant(self._store)
        other._organization = self._organization
        return other

    def counter(self, name: str = "requests_per_minute", scope: str = "organization") -> CounterId:
        return CounterId(self._organization, name, scope)

    def ask(
        self, counter: CounterId, limit: int, need: int, want: int | None = None, *ends: End
    ) -> Ask:
        """An ask for a new lease."""
        wanted = need if want is None else want
        return Ask(counter, limit, next(self._leases), need, wanted, LIFE_S, ends)

    async def say(self, *groups: Sequence[Ask], acked: int | None = None) -> list[Grants]:
        """The holder's next exchange, that has all answers, or those up to `acked`."""
        self._number += 1
        known = self._number - 1 if acked is None else acked
        answer = await self._store.exchange(self.holder, self._number, known, groups)
        self.recalled = answer.recalled
        return answer.grants

    async def say_late(self, behind: int, *groups: Sequence[Ask]) -> list[Grants]:
        """An exchange of before that reaches the store now."""
        number = self._number - behind
        return (await self._store.exchange(self.holder, number, number - 1, groups)).grants

    async def exchange(self, *group: Ask) -> Grants:
        (grants,) = await self.say(group)
        return grants

    async def take(
        self, counter: CounterId, limit: int, need: int, want: int | None = None
    ) -> tuple[int, Grant]:
        """Ask for one lease: its number, and what came of it."""
        ask = self.ask(counter, limit, need, want)
        (grant,) = await self.exchange(ask)
        return ask.lease, grant

    async def end(self, counter: CounterId, limit: int, *ends: End) -> Grant:
        """End leases, and see what is left."""
        (grant,) = await self.exchange(Ask(counter, limit, ends=ends))
        return grant

    async def spend(self, counter: CounterId, limit: int, amount: int) -> int:
        """Take a lease and spend it at once."""
        lease, grant = await self.take(counter, limit, amount)
        expect(grant.amount == amount, "what is there is granted")
        await self.end(counter, limit, End(lease, amount))
        return lease

    async def left(self, counter: CounterId, limit: int) -> int:
        """What is left, as somebody else sees it."""
        (grant,) = await self.beside().exchange(Ask(counter, limit))
        return grant.remaining

    async def level(
        self, counter: CounterId, limit: int, used: int, need: int = 0, want: int = 0
    ) -> Grant:
        """Say how many requests are in flight, and how many more there may be."""
        need = max(used, need)
        (grant,) = await self.exchange(
            Ask(counter, limit, need=need, want=max(need, want), used=used)
        )
        return grant


def expect(holds: bool, what: str) -> None:
    """Fail with `what` unless it holds."""
    if not holds:
        raise AssertionError(what)
