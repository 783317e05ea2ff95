"""The store of limits in Redis or Valkey: counters that any number of processes share.

One Lua script gives leases and one books ends; each takes what an exchange says of one organization
and is atomic. Time is the server's own. A holder's sign of life is written before what it asks for,
so that whoever has a level can be found when it falls silent.

Failure behavior: see redis_link.py for a server that does not answer: `LimitStoreAway`, at once
after the first time. An exchange that was cut off may have been done; the port says how its holder
goes on. A server that goes on with another one's data (it was restarted, or a replica was promoted)
may lack the newest grants: windows of a minute count as full, and no levels rise, until nothing of
before can count any more. Data that this process knows to have been there and that is gone (flushed,
or rolled back by more than 5 s) is taken for lost: every window counts as full until it has passed,
or until `PastUse` tells what was used. A cluster is away while one of its shards is.

The servers' clocks must not jump: set back, the newest slot runs longer; set forward, windows end
early. Two primaries at a time grant twice: let `min-replicas-to-write` forbid it.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from helixflow.clock import Clock, SystemClock
from helixflow.limits import redis_wire as wire
from helixflow.limits.ports import (
    Answer,
    Ask,
    CounterId,
    Grant,
    LimitStoreAway,
    PastUse,
    UnknownPast,
)
from helixflow.limits.redis_link import RedisLink
from helixflow.limits.sizing import Lives
from helixflow.limits.window import WINDOW_S
from helixflow.settings import LimitsSettings

T = TypeVar("T")

SEEN_MAX = 100_000
"""Organizations whose data this process remembers to have seen."""

_BATCH = 200
_PAST_S = 5.0
_PAST_AGAIN_S = 1.0
_PAST_CALLS_MAX = 8
_PAST_ASKED_MAX = 10_000


class RedisLimitStore:
    """`LimitStore` on a server or a cluster. For one event loop; close it with `close`.

    Args:
        url: see redis_link.py; `ConfigError` where it cannot be one.
        settings: times and bounds.
        past: what was used before data was lost.
        clock: for deadlines of this process.
        offset_s: what is added to the server's clock, so that tests need not wait for it.
    """

    def __init__(
        self,
        url: str,
        settings: LimitsSettings,
        past: PastUse | None = None,
        clock: Clock | None = None,
        offset_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._clock = clock or SystemClock()
        self._link = RedisLink(
            url, wire.SCRIPTS, settings.store_call_s, settings.waiters_max, self._clock
        )
        self._sizing = wire.sizing(Lives.of(settings))
        self._past = past or UnknownPast()
        self._offset_s = offset_s
        self._seen: OrderedDict[str, wire.Seen] = OrderedDict()
        self._asked: dict[CounterId, float] = {}
        self._learning: set[asyncio.Task[None]] = set()

    async def exchange(
        self, holder: str, number: int, acked: int, groups: Sequence[Sequence[Ask]]
    ) -> Answer:
        """See `LimitStore.exchange`."""
        calls = wire.by_organization(groups)
        words = wire.Words(
            self._offset_s(), holder, number, acked, secrets.token_hex(8), self._sizing
        )
        commands = [
            call.command(words, self._seen.get(call.organization, wire.Seen())) for call in calls
        ]
        members, replies = await self._run_signed(holder, calls, commands)
        grants: list[tuple[Grant, ...]] = [()] * len(groups)
        recalls: dict[str, list[str]] = {}
        for call, reply in zip(calls, replies, strict=True):
            told = call.nothing() if reply is None else self._take(call, reply, recalls)
            for place, group in zip(call.places, told, strict=True):
                grants[place] = group
        with contextlib.suppress(LimitStoreAway):  # what was granted is granted
            await self._recall(recalls)
        return Answer(grants, tuple(wire.counter_of(member) for member in members))

    async def silent(self, after_s: float) -> list[str]:
        """See `LimitStore.silent`. Takes holders without levels off the list on the way."""
        (found,) = await self._link.run(
            [wire.SILENT.call([wire.HOLDERS], self._offset_s(), after_s)]
        )
        scores = {found[i].decode(): found[i + 1] for i in range(0, len(found), 2)}
        levels = await self._level_keys(list(scores))
        idle = [self._drop(holder, scores[holder]) for holder in scores if not levels[holder]]
        for some in _batches(idle):
            await self._link.run(some)
        return [holder for holder in scores if levels[holder]]

    async def bury(self, holder: str) -> None:
        """See `LimitStore.bury`."""
        (score,) = await self._link.run([("ZSCORE", wire.HOLDERS, holder)])
        levels = (await self._level_keys([holder]))[holder]
        for organization, counters in levels.items():
            key = wire.levels_key(organization, holder)
            for some in _batches(counters):
                await self._link.run([wire.BURY.call([key, *some], holder)])
        if score is not None:
            await self._link.run([self._drop(holder, score)])

    async def close(self) -> None:
        """End all connections."""
        for task in self._learning:
            task.cancel()
        await asyncio.gather(*self._learning, return_exceptions=True)
        await self._link.close()

    # Exchanges.

    async def _run_signed(
        self, holder: str, calls: Sequence[wire.Call], commands: list[wire.Command]
    ) -> tuple[list[bytes], list[Any]]:
        """Run an exchange's commands, not before the holder's sign of life: what is recalled from
        it, and the commands' replies."""
        places = [call.organization for call in calls if call.has_levels]
        keys = [wire.HOLDERS, wire.organizations_key(holder), wire.recalled_key(holder)]
        sign = wire.SIGN.call(keys, self._offset_s(), holder, *places)
        if self._link.is_cluster:  # which runs a batch's commands at the same time
            (members,) = await self._link.run([sign])
            return members, await self._link.run(commands) if commands else []
        members, *replies = await self._link.run([sign, *commands])
        return members, replies

    async def _recall(self, recalls: dict[str, list[str]]) -> None:
        """Let holders be told, in their next exchanges, of counters that others need."""
        if recalls:
            calls = [wire.recall(holder, members) for holder, members in recalls.items()]
            await self._link.run(calls)

    def _take(
        self, call: wire.Call, reply: bytes, recalls: dict[str, list[str]]
    ) -> list[tuple[Grant, ...]]:
        answer = wire.read(call, reply)
        self._seen[call.organization] = answer.seen
        self._seen.move_to_end(call.organization)
        if len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)
        for counter in answer.wanted:
            self._ask_past(counter, answer.lost_at)
        for counter, other in answer.recalls:
            recalls.setdefault(other, []).append(wire.counter_key(counter))
        return answer.grants

    # Holders.

    async def _level_keys(self, holders: Sequence[str]) -> dict[str, dict[str, list[str]]]:
        """The keys of the counters in which holders have levels, by organization."""
        places: list[tuple[str, str]] = []
        for some in _batches(holders):
            keys = [("SMEMBERS", wire.organizations_key(holder)) for holder in some]
            for holder, members in zip(some, await self._link.run(keys), strict=True):
                places += [(holder, member.decode()) for member in members]
        found: dict[str, dict[str, list[str]]] = {holder: {} for holder in holders}
        for pairs in _batches(places):
            keys = [("SMEMBERS", wire.levels_key(place, holder)) for holder, place in pairs]
            for (holder, place), members in zip(pairs, await self._link.run(keys), strict=True):
                if members:
                    found[holder][place] = [member.decode() for member in members]
        return found

    def _drop(self, holder: str, score: bytes) -> wire.Command:
        """Takes a holder off the list, unless it gave a sign of life since that score."""
        return wire.DROP.call([wire.HOLDERS, wire.organizations_key(holder)], holder, score)

    # The past of what was lost.

    def _ask_past(self, counter: CounterId, lost_at: float) -> None:
        now = self._clock.monotonic()
        if len(self._learning) >= _PAST_CALLS_MAX or now < self._asked.get(counter, 0.0):
            return
        if len(self._asked) >= _PAST_ASKED_MAX:
            self._asked.clear()
        self._asked[counter] = now + _PAST_S + _PAST_AGAIN_S
        task = asyncio.get_running_loop().create_task(self._learn(counter, lost_at))
        self._learning.add(task)
        task.add_done_callback(self._learning.discard)

    async def _learn(self, counter: CounterId, lost_at: float) -> None:
        window_s = WINDOW_S[counter.name] + wire.slot_s(counter)
        try:
            async with asyncio.timeout(_PAST_S):
                uses = await self._past.amounts(counter, window_s)
            if uses is not None:
                await self._link.run([wire.know(counter, lost_at, uses, self._offset_s())])
        except (LimitStoreAway, TimeoutError):
            uses = None
        self._asked[counter] = self._clock.monotonic() + _PAST_AGAIN_S


def _batches(items: Sequence[T]) -> list[Sequence[T]]:
    return [items[i : i + _BATCH] for i in range(0, len(items), _BATCH)]
