"""The Lua scripts and the pure book give the same answers to any conversation.

Slots are a minute or more and time moves in steps of ten seconds, so that what passes on the real
server meanwhile changes no answer.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from helixflow.ids import OrganizationId, mint_organization_id
from helixflow.limits.book import Book
from helixflow.limits.ports import TOMBSTONE_S, Ask, CounterId, End, Grant
from helixflow.limits.redis import RedisLimitStore
from helixflow.settings import LimitsSettings

from .servers import Offset, Servers

SETTINGS = LimitsSettings(store_call_s=5.0, margin_s=4.0, lease_s=5.0)
HOLDERS = 3
COUNTERS = (
    ("requests_per_hour", "organization"),
    ("tokens_per_day", "key=k"),
    ("concurrent_requests", "organization"),
)
DRIFT_S = 4.0

YOUNG_S = TOMBSTONE_S - 100
"""How old a lease may be of which something is said: who forgets it first is not part of the deal."""


@dataclass(frozen=True)
class Wish:
    """An ask, without what its holder adds."""

    counter: int
    limit: int
    need: int
    more: int
    waiting: int
    renews: int
    used: int
    life_s: float
    lease: bool
    ends: tuple[tuple[int, int, bool], ...]


@dataclass(frozen=True)
class Say:
    """An exchange: who, the groups, whether it is late, whether its answer gets lost."""

    holder: int
    groups: tuple[tuple[Wish, ...], ...]
    late: bool
    lost: bool


@dataclass(frozen=True)
class Pass:
    """Time passes."""

    seconds: float


@dataclass(frozen=True)
class Bury:
    """A holder is dead."""

    holder: int


Step: TypeAlias = Say | Pass | Bury

_LOOK = Wish(0, 0, 0, 0, 0, 0, 0, 0.0, lease=False, ends=())

amounts = st.integers(0, 12)
wishes = st.builds(
    Wish,
    counter=st.integers(0, len(COUNTERS) - 1),
    limit=st.sampled_from([0, 5, 10, 40, 200]),
    need=amounts,
    more=amounts,
    waiting=amounts,
    renews=st.sampled_from([0, 0, 0, 1, 2]),
    used=amounts,
    life_s=st.sampled_from([5.0, 30.0, 60.0]),
    lease=st.booleans(),
    ends=st.lists(st.tuples(st.integers(0, 5), amounts, st.booleans()), max_size=2).map(tuple),
)
groups = st.lists(wishes, min_size=1, max_size=3, unique_by=lambda wish: wish.counter).map(tuple)
says = st.builds(
    Say,
    holder=st.integers(0, HOLDERS - 1),
    groups=st.lists(groups, min_size=1, max_size=2).map(tuple),
    late=st.integers(0, 9).map(lambda n: n == 0),
    lost=st.integers(0, 4).map(lambda n: n == 0),
)
passes = st.builds(Pass, st.sampled_from([10.0, 30.0, 60.0, 600.0, 1800.0, 3600.0]))
buries = st.builds(Bury, st.integers(0, HOLDERS - 1))
steps = st.lists(says | says | says | passes | buries, min_size=1, max_size=25)


class Speaker:
    """Numbers the exchanges and leases of one holder."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.number = 0
        self.acked = 0
        # A lease belongs to one counter.
        self._leases: dict[int, list[tuple[int, float]]] = {n: [] for n in range(len(COUNTERS))}
        self._next = itertools.count(1)

    def asks(
        self, organization: OrganizationId, groups: Sequence[Sequence[Wish]], now: float
    ) -> list[list[Ask]]:
        return [[self._ask(organization, wish, now) for wish in group] for group in groups]

    def _ask(self, organization: OrganizationId, wish: Wish, now: float) -> Ask:
        name, scope = COUNTERS[wish.counter]
        counter = CounterId(organization, name, scope)
        if name == "concurrent_requests":
            want = wish.need + wish.more
            waiting = min(wish.waiting, want)
            return Ask(
                counter, wish.limit, need=wish.need, want=want, used=wish.used, waiting=waiting
            )
        ends = tuple(
            End(self._lease(wish.counter, back, now), spent, last)
            for back, spent, last in wish.ends
        )
        if wish.renews:
            renews = self._lease(wish.counter, wish.renews - 1, now)
            return Ask(counter, wish.limit, life_s=wish.life_s, ends=ends, renews=renews)
        lease = self._begin(wish.counter, now) if wish.lease else 0
        want = wish.need + wish.more
        waiting = min(wish.waiting, want)
        return Ask(counter, wish.limit, lease, wish.need, want, wish.life_s, ends, waiting=waiting)

    def _lease(self, place: int, back: int, now: float) -> int:
        """One that is remembered still, or one that was never asked for."""
        young = [lease for lease, born in self._leases[place] if born > now - YOUNG_S]
        return young[-1 - back] if back < len(young) else self._begin(place, now)

    def _begin(self, place: int, now: float) -> int:
        lease = next(self._next)
        self._leases[place].append((lease, now))
        return lease


class Twins:
    """A store and a book that hear the same."""

    def __init__(self, store: RedisLimitStore, offset: Offset) -> None:
        self._store = store
        self._offset = offset
        self._book = Book(SETTINGS)
        self._now = 0.0
        self._organization = mint_organization_id()
        self._speakers = [Speaker(f"{self._organization}-{n}") for n in range(HOLDERS)]

    async def start(self, server_time: float) -> None:
        """Begin three seconds after a slot began: all that happens is as far from its edges."""
        self._offset.seconds = 86_400 - server_time % 86_400 + 3
        self._now = server_time + self._offset.seconds
        for holder in range(HOLDERS):
            await self._say(Say(holder, ((_LOOK,),), late=False, lost=False))

    async def take(self, step: Step) -> None:
        match step:
            case Pass(seconds):
                self._now += seconds
                self._offset.advance(seconds)
            case Bury(holder):
                name = self._speakers[holder].name
                await self._store.bury(name)
                self._book.bury(name, self._now)
            case Say():
                await self._say(step)

    async def finish(self) -> None:
        """Both know the same of who is silent; nobody is left to the next conversation."""
        for after_s in (15, 1000):
            ours = set(await self._store.silent(after_s))
            theirs = set(self._book.silent(after_s, self._now))
            assert ours == theirs, f"{ours} is not {theirs}"
        for speaker in self._speakers:
            await self._store.bury(speaker.name)

    async def _say(self, say: Say) -> None:
        speaker = self._speakers[say.holder]
        speaker.number += not say.late
        told = (speaker.name, speaker.number, speaker.acked)
        asks = speaker.asks(self._organization, say.groups, self._now)
        answer = await self._store.exchange(*told, asks)
        expected, _ = self._book.exchange(*told, asks, self._now)
        if not (say.late or say.lost):
            speaker.acked = speaker.number
        assert set(answer.recalled) == set(self._book.recalled(speaker.name))
        for groups in zip(answer.grants, expected, strict=True):
            for one, other in zip(*groups, strict=True):
                assert facts(one) == facts(other), f"{one} is not {other}"
                # Of leases that are over the book may still know the first and the last end.
                assert one.reset_s <= other.reset_s + DRIFT_S, f"{one} is not {other}"
                assert one.retry_after_s >= other.retry_after_s - DRIFT_S, f"{one} is not {other}"
                if one.amount:
                    assert abs(one.life_s - other.life_s) <= 0.001, f"{one} is not {other}"


def facts(grant: Grant) -> tuple[int, int, bool]:
    return grant.amount, grant.remaining, grant.retry_after_s > 0


def test_the_scripts_decide_as_the_book_does(servers: Servers) -> None:
    server = servers.get("valkey")

    @given(steps)
    @settings(deadline=None)
    def talk(conversation: list[Step]) -> None:
        server.command("FLUSHALL")

        async def run() -> None:
            offset = Offset()
            store = RedisLimitStore(server.url(), SETTINGS, offset_s=offset)
            try:
                twins = Twins(store, offset)
                seconds, _ = server.command("TIME")
                await twins.start(float(seconds))
                for step in conversation:
                    await twins.take(step)
                await twins.finish()
            finally:
                await store.close()

        asyncio.run(run())

    talk()
