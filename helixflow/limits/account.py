"""The store's side of one counter with a window: what is booked, what is lent, what ended.

A lease counts whole while it lives. It ends by its holder's word, or by its time, and is then booked
in the slot of its end; until its holder's last word it is remembered, so that a later `End` can
replace what was booked (ports.py says how).

Pure: every method is given `now`, on one clock that never steps.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from helixflow.limits.counter import SOON_S, Decision, Move
from helixflow.limits.ports import TOMBSTONE_S, Ask
from helixflow.limits.sizing import Lives, is_far, lease_amount
from helixflow.limits.window import Window

ENDED_MAX = 16_384
"""Ended leases that one counter remembers; of more, the oldest stay as they are booked."""

LeaseKey: TypeAlias = tuple[str, int]
"""The holder, and its own number for the lease."""


@dataclass(slots=True)
class Ended:
    """An ended lease: `amount` booked in `slot`, and `debt` in `debt_slot` later on."""

    at: float
    slot: int
    amount: int
    debt_slot: int = 0
    debt: int = 0


AccountDump: TypeAlias = tuple[
    Sequence[tuple[int, int]],
    Sequence[tuple[str, int, int, float]],
    Sequence[tuple[str, int, float, int, int, int, int]],
    float,
]
"""Slots; live leases `(holder, number, amount, until)`; ended leases `(holder, number, *Ended)`;
`unknown_until`."""


class Account:
    """What counts in one counter.

    Attributes:
        unknown_until: until then it counts as full, because its past is not known.
    """

    __slots__ = (
        "_ended",
        "_last_end",
        "_leases",
        "_lent",
        "_lives",
        "_next_end",
        "_window",
        "unknown_until",
    )

    def __init__(self, window_s: float, lives: Lives) -> None:
        self._window = Window(window_s)
        self._lives = lives
        self._leases: dict[LeaseKey, tuple[int, float]] = {}
        self._lent = 0
        self._next_end = float("inf")  # of the live leases, or earlier
        self._last_end = 0.0  # of the live leases, or later
        self._ended: OrderedDict[LeaseKey, Ended] | None = None
        self.unknown_until = 0.0

    def used(self, now: float) -> int:
        """What counts: booked and lent."""
        self._advance(now)
        return self._window.total(now) + self._lent

    def left(self, limit: int, now: float) -> int:
        """See `Counter.left`; below 0 where there is debt or the limit was lowered."""
        if now < self.unknown_until:
            return 0
        return limit - self.used(now)

    def decide(self, holder: str, ask: Ask, now: float) -> Decision | None:
        """See `Counter.decide`."""
        if ask.renews:
            return self._renewal(holder, ask, now)
        if not ask.lease:
            return (0, 0.0)
        left = self.left(ask.limit, now)
        amount = lease_amount(ask.need, ask.want, left, ask.limit, ask.waiting)
        return (
            None if amount is None else (amount, self._lives.lease_s(ask.life_s, left, ask.limit))
        )

    def moves(self, holder: str, ask: Ask, decision: Decision | None, now: float) -> list[Move]:
        """See `Counter.moves`: `("b", lease, amount, until)`, `("r", lease, until)`, or nothing."""
        if decision is None or decision[0] == 0:
            return []
        amount, life_s = decision
        if ask.renews:
            return [("r", ask.renews, now + life_s + self._lives.margin_s)]
        return [("b", ask.lease, amount, now + life_s + self._lives.margin_s)]

    def apply(self, holder: str, move: Move, now: float) -> None:
        """See `Counter.apply`: begin a lease, renew one, or `("e", lease, spent)` end one."""
        if move[0] == "b":
            _, number, amount, until = move
            self._begin((holder, number), amount, until, now)
        elif move[0] == "r":
            self._renew((holder, move[1]), move[2], now)
        else:
            self._end((holder, move[1]), move[2], now)

    def forget(self, holder: str, number: int) -> None:
        """No more words about a lease that ended will come."""
        if self._ended is not None:
            self._ended.pop((holder, number), None)
            if not self._ended:
                self._ended = None

    def book_past(self, uses: Sequence[tuple[float, int]], now: float) -> None:
        """The past is known: pairs of age in seconds and amount."""
        self._advance(now)
        for age_s, amount in uses:
            self._window.book(self._window.slot(now - max(0.0, age_s)), max(0, amount), now)
        self.unknown_until = 0.0

    def others(self, holder: str) -> Iterable[str]:
        """See `Counter.others`."""
        return {other for other, _ in self._leases if other != holder}

    def empty(self, now: float) -> bool:
        """Whether forgetting the account changes nothing."""
        self._advance(now)
        return (
            not self._leases
            and self._ended is None
            and self._window.total(now) == 0
            and now >= self.unknown_until
        )

    def reset_s(self, now: float) -> float:
        """Seconds until nothing counts, if nothing more is spent."""
        self._advance(now)
        ends = [self.unknown_until - now, self._window.empty_s(now)]
        if self._leases:
            ends.append(self._window.leaves_s(self._window.slot(self._last_end), now))
        return max(0.0, *ends)

    def retry_after_s(self, need: int, limit: int, now: float) -> float:
        """Seconds until `need`, which is not there, can be there at the earliest; above 0."""
        if now < self.unknown_until:
            return self.unknown_until - now
        if need > limit:
            return self._window.leaves_s(self._window.slot(now), now)
        lacking = need - self.left(limit, now)
        freed_s = self._window.frees_s(lacking, now)
        if self._leases:
            # Whoever holds a lease brings back what it does not use when it is recalled, at the
            # latest when it ends.
            soonest_s = max(SOON_S, min(self._next_end - now, self._lives.recall_s))
            freed_s = soonest_s if freed_s is None else min(freed_s, soonest_s)
        return max(SOON_S, freed_s or 0.0)

    def dump(self) -> AccountDump:
        """Everything, for a snapshot."""
        ended: Mapping[LeaseKey, Ended] = self._ended or {}
        return (
            self._window.dump(),
            [(*key, *lease) for key, lease in self._leases.items()],
            [
                (*key, one.at, one.slot, one.amount, one.debt_slot, one.debt)
                for key, one in ended.items()
            ],
            self.unknown_until,
        )

    def load(self, dump: AccountDump) -> None:
        """Replace everything by what `dump` gave."""
        slots, leases, ended, self.unknown_until = dump
        self._window.load((slot, amount) for slot, amount in slots)
        self._leases = {
            (holder, number): (amount, until) for holder, number, amount, until in leases
        }
        self._lent = sum(amount for amount, _ in self._leases.values())
        self._next_end = min((end for _, end in self._leases.values()), default=float("inf"))
        self._last_end = max((end for _, end in self._leases.values()), default=0.0)
        kept = OrderedDict(((one[0], one[1]), Ended(*one[2:])) for one in ended)
        self._ended = kept or None

    def _begin(self, key: LeaseKey, amount: int, until: float, now: float) -> None:
        self._advance(now)
        self._leases[key] = (amount, until)
        self._lent += amount
        self._next_end = min(self._next_end, until)
        self._last_end = max(self._last_end, until)

    def _renewal(self, holder: str, ask: Ask, now: float) -> Decision:
        left = self.left(ask.limit, now)
        lease = self._leases.get((holder, ask.renews))
        if lease is None or not is_far(left, ask.limit):
            return (0, 0.0)
        return (lease[0], self._lives.lease_s(ask.life_s, left, ask.limit))

    def _renew(self, key: LeaseKey, until: float, now: float) -> None:
        self._advance(now)
        lease = self._leases.get(key)
        if lease is not None:
            self._leases[key] = (lease[0], max(lease[1], until))
            self._last_end = max(self._last_end, until)

    def _end(self, key: LeaseKey, spent: int, now: float) -> None:
        """Take a holder's word for what it spent of a lease."""
        self._advance(now)
        lease = self._leases.pop(key, None)
        if lease is not None:
            self._lent -= lease[0]
            self._book_end(key, spent, now, now)
            return
        ended = None if self._ended is None else self._ended.get(key)
        if ended is not None:
            self._correct(ended, spent, now)
        elif spent:
            self._book_end(key, spent, now, now)

    def _advance(self, now: float) -> None:
        """End the leases whose time is over, and forget what ended long ago."""
        if now >= self._next_end:
            over = [(until, key) for key, (_, until) in self._leases.items() if until <= now]
            for until, key in sorted(over):
                amount, _ = self._leases.pop(key)
                self._lent -= amount
                self._book_end(key, amount, until, now)
            self._next_end = min((end for _, end in self._leases.values()), default=float("inf"))
            if not self._leases:
                self._last_end = 0.0
        ended = self._ended
        while ended:
            first = next(iter(ended.values()))
            if first.at + TOMBSTONE_S > now:
                return
            ended.popitem(last=False)
        self._ended = None

    def _book_end(self, key: LeaseKey, spent: int, at: float, now: float) -> None:
        slot = self._window.slot(at)
        self._window.book(slot, spent, now)
        if self._ended is None:
            self._ended = OrderedDict()
        self._ended[key] = Ended(at, slot, spent)
        if len(self._ended) > ENDED_MAX:
            self._ended.popitem(last=False)

    def _correct(self, ended: Ended, spent: int, now: float) -> None:
        """Bring what is booked for an ended lease to `spent`."""
        more = spent - ended.amount - ended.debt
        if more > 0:
            # All of its debt moves to the running slot: at the most it counts a little longer.
            self._window.book(ended.debt_slot, -ended.debt, now)
            ended.debt_slot, ended.debt = self._window.slot(now), ended.debt + more
            self._window.book(ended.debt_slot, ended.debt, now)
            return
        back = min(-more, ended.debt)
        self._window.book(ended.debt_slot, -back, now)
        ended.debt -= back
        back = -more - back
        self._window.book(ended.slot, -back, now)
        ended.amount -= back
