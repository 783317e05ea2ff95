"""All counters of a store in one process, and who holds what of them.

Pure: every method is given `now`, on one clock that never steps. What an exchange changes comes back
as plain tuples beside its grants, so that it can be journaled (journal.py) and done again after a
restart (`redo`).

Bounded: at `counters_max` only empty counters are forgotten; while there are none, a counter that is
not there yet is refused.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from helixflow.limits.account import Account
from helixflow.limits.counter import Counter, Decision, Move
from helixflow.limits.levels import Levels
from helixflow.limits.ports import TOMBSTONE_S, Ask, CounterId, Grant
from helixflow.limits.sizing import Lives
from helixflow.limits.window import WINDOW_S
from helixflow.settings import LimitsSettings

Change: TypeAlias = tuple[CounterId, Move]
"""What a holder's exchange changed in a counter."""

RECALLED_MAX = 1_024
"""Counters that a holder is told of at once; what is over is recalled by a later refusal."""

_NO_ROOM_RETRY_S = 1.0
_SWEEP = 4
_NOTHING = Grant(0, 0.0, 0, 0.0)


@dataclass(slots=True)
class _Holder:
    """What is known of a holder.

    Attributes:
        seen: when it last gave a sign of life.
        number: of its last exchange.
        levels: where it counts for something.
        last_words: leases that no more will be said about, once `last_number` is acknowledged.
        recalled: counters that it is to be told of.
    """

    seen: float
    number: int = 0
    levels: set[CounterId] = field(default_factory=set)
    last_words: dict[tuple[CounterId, int], None] = field(default_factory=dict)
    last_number: int = 0
    recalled: dict[CounterId, None] = field(default_factory=dict)


class Book:
    """The counters of every organization.

    Attributes:
        lost_at: when the store lost its memory, if it did. Until all leases of before are over and
            a window has passed, windows count as full (or until `know` tells what was used), and
            nobody gets more requests at a time than it runs.
        shaken_at: since when the newest of the past may be missing, if so. The same holds, except
            for windows that are longer than a minute.
    """

    def __init__(self, settings: LimitsSettings) -> None:
        self._counters_max = settings.counters_max
        self._lives = Lives.of(settings)
        self._counters: OrderedDict[CounterId, Counter] = OrderedDict()
        self._holders: dict[str, _Holder] = {}
        self.lost_at: float | None = None
        self.shaken_at: float | None = None

    def __len__(self) -> int:
        return len(self._counters)

    def exchange(
        self, holder: str, number: int, acked: int, groups: Sequence[Sequence[Ask]], now: float
    ) -> tuple[list[tuple[Grant, ...]], list[Change]]:
        """See `LimitStore.exchange`; also what it changed."""
        known = self._hear(holder, now)
        if number <= known.number:
            return [(_NOTHING,) * len(group) for group in groups], []
        known.number = number
        if known.last_words and acked >= known.last_number:
            self._forget_leases(holder, known)
        changes: list[Change] = []
        grants = [self._group(holder, known, group, now, changes) for group in groups]
        self._sweep(now)
        return grants, changes

    def recalled(self, holder: str) -> tuple[CounterId, ...]:
        """See `Answer.recalled`."""
        known = self._holders.get(holder)
        if known is None or not known.recalled:
            return ()
        recalled = tuple(known.recalled)
        known.recalled.clear()
        return recalled

    def silent(self, after_s: float, now: float) -> list[str]:
        """See `LimitStore.silent`."""
        return [
            name
            for name, known in self._holders.items()
            if known.levels and known.seen + after_s <= now
        ]

    def bury(self, holder: str, now: float) -> list[Change]:
        """See `LimitStore.bury`; what it changed."""
        known = self._holders.get(holder)
        changes: list[Change] = [(id_, ("l", 0)) for id_ in known.levels] if known else []
        for id_, move in changes:
            self._apply(holder, id_, move, now)
        return changes

    def unknown(self, groups: Sequence[Sequence[Ask]], now: float) -> list[CounterId]:
        """Counters of these asks whose past is worth asking for."""
        if self.lost_at is None or now < self.lost_at + self._lives.longest_s:
            return []  # leases of before may still be spent: what can be known is not all
        found = []
        for group in groups:
            for ask in group:
                counter = self._counters.get(ask.counter)
                if isinstance(counter, Account) and now < counter.unknown_until:
                    found.append(ask.counter)
        return found

    def know(self, id_: CounterId, uses: Sequence[tuple[float, int]], now: float) -> bool:
        """What a counter used in the past; False where it is not wanted any more."""
        counter = self._counters.get(id_)
        if not isinstance(counter, Account) or now >= counter.unknown_until:
            return False
        counter.book_past(uses, now)
        return True

    # After a restart.

    def redo(self, holder: str, number: int, changes: Sequence[Change], now: float) -> None:
        """Do again what an exchange changed, or a burial (`number` 0)."""
        self.meet(holder, number, now)
        for id_, move in changes:
            self._apply(holder, id_, move, now)

    def meet(self, holder: str, number: int, now: float) -> None:
        """A holder gave a sign of life at `now`, in an exchange of that number."""
        known = self._hear(holder, now)
        known.number = max(known.number, number)

    def shake(self, now: float) -> None:
        """The newest of the past may be missing."""
        self.shaken_at = now
        for id_, counter in self._counters.items():
            counter.unknown_until = max(counter.unknown_until, self._unknown_until(id_))

    def holders(self) -> list[tuple[str, int]]:
        """Holders and the numbers of their last exchanges."""
        return [(name, known.number) for name, known in self._holders.items()]

    def ids(self) -> list[CounterId]:
        """All counters that are kept."""
        return list(self._counters)

    def dump(self, id_: CounterId) -> Any:
        """A counter's whole state as plain values; None where it is not kept (any more)."""
        counter = self._counters.get(id_)
        return None if counter is None else counter.dump()

    def load(self, id_: CounterId, dump: Any, now: float) -> None:
        """Replace a counter's state by what `dump` gave; None takes it away."""
        before = self._counters.pop(id_, None)
        if isinstance(before, Levels):
            for holder in before:
                self._holders[holder].levels.discard(id_)
        if dump is None:
            return
        counter = self._counters[id_] = self._blank(id_)
        counter.load(dump)
        if isinstance(counter, Levels):
            for holder in counter:
                self._hear(holder, now).levels.add(id_)

    # What one exchange does.

    def _group(
        self,
        holder: str,
        known: _Holder,
        group: Sequence[Ask],
        now: float,
        changes: list[Change],
    ) -> tuple[Grant, ...]:
        counters = [self._open(ask, now) for ask in group]
        for ask, counter in zip(group, counters, strict=True):
            for end in ask.ends if counter else ():
                self._note(holder, ask.counter, ("e", end.lease, end.spent), now, changes)
                if end.last:
                    known.last_words[ask.counter, end.lease] = None
                    known.last_number = known.number
        decisions = [
            _decide(counter, holder, ask, now) for ask, counter in zip(group, counters, strict=True)
        ]
        refused = None in decisions
        for ask, counter, decision in zip(group, counters, decisions, strict=True):
            if counter is not None:
                for move in counter.moves(holder, ask, None if refused else decision, now):
                    self._note(holder, ask.counter, move, now, changes)
            if counter is not None and decision is None and now >= counter.unknown_until:
                self._recall(holder, ask, counter)
        return tuple(
            _grant(counter, ask, decision, refused, now)
            for ask, counter, decision in zip(group, counters, decisions, strict=True)
        )

    def _recall(self, holder: str, ask: Ask, counter: Counter) -> None:
        """A need was not met: whoever else has something of the counter is asked to give it back."""
        if ask.need > ask.limit:
            return
        for other in counter.others(holder):
            known = self._holders.get(other)
            if known is not None and len(known.recalled) < RECALLED_MAX:
                known.recalled[ask.counter] = None

    def _open(self, ask: Ask, now: float) -> Counter | None:
        """The ask's counter; None where it is new and there is no room for it."""
        counter = self._counters.get(ask.counter)
        if counter is not None:
            self._counters.move_to_end(ask.counter)
            return counter
        if len(self._counters) >= self._counters_max:
            self._sweep(now)
        counter = self._blank(ask.counter)
        if not (ask.lease or ask.ends or ask.used or ask.want):
            return counter  # somebody only looks
        if len(self._counters) >= self._counters_max:
            return None
        self._counters[ask.counter] = counter
        return counter

    def _blank(self, id_: CounterId) -> Counter:
        window_s = WINDOW_S.get(id_.name)
        counter: Counter = Levels() if window_s is None else Account(window_s, self._lives)
        counter.unknown_until = self._unknown_until(id_)
        return counter

    def _unknown_until(self, id_: CounterId) -> float:
        """When a counter that nothing is known of is known to be empty."""
        window_s = WINDOW_S.get(id_.name, 0.0)
        ends = [0.0]
        if self.lost_at is not None:
            ends.append(self.lost_at + self._lives.longest_s + window_s)
        if self.shaken_at is not None and window_s <= _SHAKEN_S:
            ends.append(self.shaken_at + self._lives.longest_s + window_s)
        return max(ends)

    def _note(
        self, holder: str, id_: CounterId, move: Move, now: float, changes: list[Change]
    ) -> None:
        self._apply(holder, id_, move, now)
        changes.append((id_, move))

    def _apply(self, holder: str, id_: CounterId, move: Move, now: float) -> None:
        counter = self._counters.get(id_)
        if counter is None:
            counter = self._counters[id_] = self._blank(id_)
        counter.apply(holder, move, now)
        if isinstance(counter, Levels):
            levels = self._holders[holder].levels
            if counter.of(holder):
                levels.add(id_)
            else:
                levels.discard(id_)

    # What is forgotten.

    def _hear(self, holder: str, now: float) -> _Holder:
        known = self._holders.get(holder)
        if known is None:
            gone = [
                name
                for name, one in self._holders.items()
                if not one.levels and one.seen + TOMBSTONE_S < now
            ]
            for name in gone:
                del self._holders[name]
            known = self._holders[holder] = _Holder(now)
        known.seen = now
        return known

    def _forget_leases(self, holder: str, known: _Holder) -> None:
        for id_, lease in known.last_words:
            counter = self._counters.get(id_)
            if isinstance(counter, Account):
                counter.forget(holder, lease)
        known.last_words.clear()

    def _sweep(self, now: float) -> None:
        """Look at the counters that were not asked for the longest; forget those that are empty."""
        for _ in range(min(_SWEEP, len(self._counters))):
            id_, counter = next(iter(self._counters.items()))
            if counter.empty(now) and now >= self._unknown_until(id_):
                del self._counters[id_]
            else:
                self._counters.move_to_end(id_)


_SHAKEN_S = WINDOW_S["tokens_per_minute"]


def _decide(counter: Counter | None, holder: str, ask: Ask, now: float) -> Decision | None:
    if counter is None:
        return None if ask.need else (0, 0.0)
    return counter.decide(holder, ask, now)


def _grant(
    counter: Counter | None, ask: Ask, decision: Decision | None, refused: bool, now: float
) -> Grant:
    if counter is None:
        return Grant(0, 0.0, 0, 0.0, _NO_ROOM_RETRY_S if ask.need else 0.0)
    amount, life_s = (0, 0.0) if refused or decision is None else decision
    retry_s = 0.0 if decision is not None else counter.retry_after_s(ask.need, ask.limit, now)
    remaining = max(0, counter.left(ask.limit, now))
    return Grant(amount, life_s, remaining, counter.reset_s(now), retry_s)
