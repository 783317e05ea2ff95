"""Everything that one Ingress process holds of the limits, and what it tells the store.

A request takes from all its counters or from none, in one synchronous step (`take`). What is lacking
is asked for in an exchange (`compose`), one at a time; its answer (`apply`) or its loss (`lose`) ends
it. Each counter is asked for once per exchange, for all that wait for it. Leases are renewed before they
end while they are in use; what is idle goes back (`tick`).

A lost answer gives nothing: the leases asked for are dead here and said to be over, ends are said
again, levels are stated again. Ends are said with absolute amounts, so saying them twice is no harm.

Pure: every method is given `now`, on this process's monotonic clock. Bounded by `held_max`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from helixflow.limits.counters import Measure, measure_of
from helixflow.limits.exchange import ASKS_MAX, Demand, Entry, Exchange, Held, Wish
from helixflow.limits.holding import Holding, Lease
from helixflow.limits.ports import Answer, Ask, CounterId, End, Grant
from helixflow.limits.slots import Slots
from helixflow.settings import LimitsSettings

_NEAR_IDLE_S = 2.0
_NEAR_CHECK_S = 1.0
_ROOM = 64
_AHEAD = 3
_RATES = frozenset({Measure.REQUESTS, Measure.TOKENS})


class Purse:
    """What one holder holds.

    Attributes:
        urgent: whether something is to be said at once.
        soon: whether something is to be said in a moment, unless it is used again until then.
    """

    def __init__(self, settings: LimitsSettings) -> None:
        self._settings = settings
        self._held: dict[CounterId, Held] = {}
        self._to_say: dict[Held, None] = {}
        self._to_renew: dict[Holding, None] = {}
        self._to_stand_by: dict[Holding, None] = {}
        self._checks: dict[int, list[Held]] = {}
        self._lease_number = 0
        self._number = 0
        self._acked = 0
        self._alive_until = 0.0
        self._voided = True
        self.urgent = False
        self.soon = False

    def __len__(self) -> int:
        return len(self._held)

    # Taking.

    def held(self, id_: CounterId, limit: int, now: float) -> Held | None:
        """What is held of a counter, nothing at first; None where there is no room for another."""
        held = self._held.get(id_)
        if held is None:
            if len(self._held) >= self._settings.held_max:
                self._make_room(now)
                return None
            slots = measure_of(id_.name) is Measure.SLOTS
            held = self._held[id_] = (Slots if slots else Holding)(id_, limit)
            self._check_later(held, now + self._settings.idle_s)
        elif held.limit != limit:
            held.set_limit(limit)
            self._to_say[held] = None
        return held

    def take(self, demands: Sequence[Demand], now: float) -> list[tuple[Lease, int]] | None:
        """Take everything, or nothing and return None; leases, and what was taken of each."""
        leases: list[tuple[Lease, int]] = []
        slots: list[Slots] = []
        for held, amount in demands:
            if isinstance(held, Slots):
                if held.running >= held.level or now >= self._alive_until:
                    return None
                slots.append(held)
            elif amount:
                lease = held.lease
                if lease is None or lease.amount - lease.spent < amount or lease.until <= now:
                    return None
                leases.append((lease, amount))
        low = False
        for lease, amount in leases:
            lease.holding.used_at = now
            spent = lease.spent = lease.spent + amount
            lease.running += 1
            if lease.amount - spent < lease.low:
                low = True
        for held in slots:
            held.used_at = now
            held.take()
            if held.far and held.running >= held.level:
                self._to_say[held] = None
                self.urgent = True
        if low:
            self._renew_together(leases)
        return leases

    def _renew_together(self, leases: Iterable[tuple[Lease, int]]) -> None:
        """One of these is low: with it, what would be low soon is renewed in the same exchange."""
        for lease, _ in leases:
            if lease.amount - lease.spent < 2 * lease.low:
                lease.low = -1
                self._to_renew[lease.holding] = None
                self.urgent = True

    def stand_in(self, demands: Sequence[Demand], now: float) -> None:
        """The store is away: spend from standbys what cannot be spent otherwise."""
        for held, amount in demands:
            if isinstance(held, Holding) and held.lacks(amount, now) and held.stand_in(now):
                self._to_say[held] = None

    def correct(self, lease: Lease, by: int) -> None:
        """What was reserved of a lease is settled: it took `by` more (or less, below 0)."""
        lease.spent += by
        lease.running -= 1
        holding = lease.holding
        if not lease.retired:
            if lease.spent <= lease.amount or holding.lease is not lease:
                return
            holding.retire()  # debt: it is said with the lease's end
        elif by < 0:
            holding.refused_until = 0.0  # what comes back can be had
        holding.tell[lease.number] = lease
        self._to_say[holding] = None

    def free(self, slots: Slots) -> None:
        """A request that took a slot is over."""
        slots.give()
        if not slots.far and slots.level > slots.running:
            self._to_say[slots] = None
            self.soon = True

    def lacks(self, demand: Demand, now: float) -> bool:
        """Whether a demand cannot be taken without asking."""
        held, amount = demand
        if isinstance(held, Slots):
            return held.running >= held.level or now >= self._alive_until
        return held.lacks(amount, now)

    @property
    def has_news(self) -> bool:
        """Whether there is something that the store is to be told."""
        return bool(self._to_say)

    # Exchanging.

    def compose(self, wishes: Iterable[Wish], now: float, looks: Iterable[Held] = ()) -> Exchange:
        """What is to be said: for those who wait, to look, and in the background.

        Every exchange that is composed ends by `apply` or `lose`, before the next one.
        """
        if now >= self._alive_until and not self._voided:
            self._void_levels()
        self.urgent = self.soon = False
        self._number += 1
        exchange = Exchange(self._number, self._acked, now)
        asked = self._ask_for(wishes, exchange, now)
        self._ask_in_background(exchange)
        for held in looks:
            if held not in asked:
                look = held.look() if isinstance(held, Slots) else held.ask(0, 0, 0, 0.0, ())
                exchange.entries.append([Entry(held, look)])
        return exchange

    def probe(self, now: float) -> Exchange:
        """Nothing but a sign of life, while the store is away."""
        self._number += 1
        return Exchange(self._number, self._acked, now)

    def apply(self, exchange: Exchange, answer: Answer, now: float) -> None:
        """The store answered."""
        self._acked = exchange.number
        self._voided = False
        self._alive_until = exchange.asked_at + self._settings.slots_s
        for lease, end in exchange.ends:
            lease.holding.told(lease, end)
            if lease.holding.tell:
                self._to_say[lease.holding] = None
        for group, grants in zip(exchange.entries, answer.grants, strict=True):
            refused = any(grant.retry_after_s > 0.0 for grant in grants)
            for entry, grant in zip(group, grants, strict=True):
                self._hear(entry, grant, refused, exchange.asked_at, now)
        for id_ in answer.recalled:
            self._give_up(id_)

    def _give_up(self, id_: CounterId) -> None:
        """Somebody else needs it: what is not used goes back, and comes again only when needed."""
        held = self._held.get(id_)
        if held is not None:
            held.far = False
            self._let_go(held)
            self.urgent = self.urgent or held in self._to_say

    def tidy(self, exchange: Exchange) -> None:
        """Those who waited for it were served: give back what was lent for them and is left over."""
        for group in exchange.entries:
            for entry in group:
                if entry.ask.waiting and entry.held.surplus:
                    self._let_go(entry.held)
                    self.urgent = True

    def lose(self, exchange: Exchange, now: float) -> None:
        """There is no answer: nobody knows whether the store heard it."""
        for lease, _ in exchange.ends:
            self._to_say[lease.holding] = None
        for group in exchange.entries:
            for entry in group:
                held, ask = entry.held, entry.ask
                self._to_say[held] = None
                if isinstance(held, Slots):
                    held.lost(ask)
                    continue
                held.asking = False
                if ask.lease:
                    held.dead(ask.lease, now)

    def _ask_for(self, wishes: Iterable[Wish], exchange: Exchange, now: float) -> dict[Held, int]:
        """Groups for those who wait; returns what all of them together lack of each counter."""
        totals: dict[Held, int] = {}
        groups: list[list[Demand]] = []
        asks = 0
        for demands, count in wishes:
            lacking = [demand for demand in demands if self.lacks(demand, now)]
            fresh = [demand for demand in lacking if demand[0] not in totals]
            for held, amount in lacking:
                totals[held] = totals.get(held, 0) + amount * count
            if fresh:
                groups.append(fresh)
                asks += len(fresh)
                if asks >= ASKS_MAX:
                    break
        for group in groups:
            exchange.entries.append(
                [self._needed(held, need, totals[held], exchange, now) for held, need in group]
            )
        return totals

    def _needed(self, held: Held, need: int, total: int, exchange: Exchange, now: float) -> Entry:
        self._to_say.pop(held, None)
        if isinstance(held, Slots):
            return Entry(held, held.ask(total))
        self._to_renew.pop(held, None)
        held.retire()  # what is left of it is not enough: it is given back before the new one
        return Entry(held, self._lease_ask(held, need, total, exchange))

    def _lease_ask(self, held: Holding, need: int, total: int, exchange: Exchange) -> Ask:
        life_s = self._settings.lease_far_s
        self._lease_number += 1
        held.asking = True
        want = max(total, held.want(need, life_s))
        ends = self._ends(held, exchange)
        return held.ask(self._lease_number, need, want, life_s, ends, total)

    def _ends(self, held: Holding, exchange: Exchange) -> tuple[End, ...]:
        said = [(lease, End(lease.number, lease.spent, not lease.running)) for lease in held.ends()]
        exchange.ends += said
        return tuple(end for _, end in said)

    def _ask_in_background(self, exchange: Exchange) -> None:
        """Ends, levels and renewals, a group per organization; standbys in groups of their own."""
        room = max(0, ASKS_MAX - exchange.asks)
        groups: dict[str, list[Entry]] = {}
        due: list[Held] = list(islice(self._to_say, room))
        due += islice(
            (held for held in self._to_renew if held not in self._to_say), room - len(due)
        )
        for held in due:
            self._to_say.pop(held, None)
            ask = held.state() if isinstance(held, Slots) else self._news(held, exchange)
            if ask is not None:
                groups.setdefault(held.id.organization, []).append(Entry(held, ask))
        exchange.entries += groups.values()
        self._ask_for_standbys(exchange, room - len(due))

    def _news(self, held: Holding, exchange: Exchange) -> Ask | None:
        """What is to be said about a counter with a window; None where there is nothing (more)."""
        renew = held in self._to_renew and not held.asking
        self._to_renew.pop(held, None)
        if renew and (lease := held.lease) is not None and held.renewable:
            held.asking = True
            life_s = self._settings.lease_far_s
            if held.measure in _RATES:
                life_s = max(life_s, self._settings.standby_s)
            return held.renewal(lease, life_s, self._ends(held, exchange))
        if renew:
            return self._lease_ask(held, 0, 0, exchange)
        return held.ask(0, 0, 0, 0.0, self._ends(held, exchange)) if held.tell else None

    def _ask_for_standbys(self, exchange: Exchange, room: int) -> None:
        for held in list(islice(self._to_stand_by, room)):
            del self._to_stand_by[held]
            self._lease_number += 1
            held.asking = True
            life_s = self._settings.standby_s
            ask = held.ask(self._lease_number, 0, held.want(0, life_s), life_s, ())
            exchange.entries.append([Entry(held, ask, standby=True)])

    def _hear(self, entry: Entry, grant: Grant, refused: bool, asked_at: float, now: float) -> None:
        held, ask = entry.held, entry.ask
        outdated = ask.limit > held.limit  # lowered while the exchange was on its way
        if isinstance(held, Slots):
            held.hear(ask, grant, refused=refused, now=now)
            if outdated:
                held.void()
            if held.overstated:
                self._to_say[held] = None
            self._check_later(held, self._next_statement(held, now))
            return
        held.hear(grant, ask.need, now)
        held.asking = False
        if ask.lease and grant.amount and outdated:
            held.dead(ask.lease, now)
        elif ask.lease and grant.amount:
            until = asked_at + grant.life_s
            lease = Lease(held, ask.lease, grant.amount, asked_at, until)
            held.begin(lease, ask.waiting, standby=entry.standby)
            self._check_later(held, self._next_look(held, now))
        elif ask.renews and grant.amount and not outdated:
            held.renewed(ask.renews, asked_at + grant.life_s)
            self._check_later(held, self._next_look(held, now))
        if held.tell:
            self._to_say[held] = None

    # What time brings.

    def tick(self, now: float) -> None:
        """Look after what is due: renew what is in use, give back what is not."""
        for second in sorted(each for each in self._checks if each <= now):
            for held in self._checks.pop(second):
                if held.check_at == second and not held.gone:
                    held.check_at = 0
                    self._check(held, now)

    def give_all_back(self) -> None:
        """Nothing more is taken here: everything goes back with the next exchange."""
        for held in self._held.values():
            self._let_go(held)

    def _check(self, held: Held, now: float) -> None:
        idle_s = self._settings.idle_s if held.far else _NEAR_IDLE_S
        busy = held.used_at + idle_s > now
        if isinstance(held, Slots):
            held.settle_down()
            if busy or held.running:
                self._to_say[held] = None  # stated again, in case the store forgot
            else:
                self._let_go(held)
            self._drop_or_check(held, self._next_statement(held, now), busy=busy)
            return
        self._end_what_is_over(held, now)
        if busy:
            self._renew(held, now)
        else:
            self._let_go(held)
        self._drop_or_check(held, self._next_look(held, now), busy=busy)

    def _end_what_is_over(self, held: Holding, now: float) -> None:
        if held.lease is not None and held.lease.until <= now:
            held.retire()
        if held.standby is not None and held.standby.until <= now:
            held.retire_standby()
        if held.tell:
            self._to_say[held] = None

    def _renew(self, held: Holding, now: float) -> None:
        """Ask for another lease, and another standby, where theirs end soon and the limit is far."""
        if not held.far:
            held.retire_standby()
            if held.tell:
                self._to_say[held] = None
            return
        ahead_s = self._settings.lease_far_s / _AHEAD
        if held.lease is not None and held.lease.until - now <= ahead_s:
            self._to_renew[held] = None
        if held.measure in _RATES and held.used_at + 2 * ahead_s > now:
            standby = held.standby
            if standby is None or standby.until - now <= self._settings.standby_s / 2:
                self._to_stand_by[held] = None

    def _let_go(self, held: Held) -> None:
        if isinstance(held, Slots):
            if held.level > held.running or held.overstated:
                held.let_go()
                self._to_say[held] = None
            return
        held.retire_all()
        if held.tell:
            self._to_say[held] = None

    def _next_statement(self, held: Slots, now: float) -> float:
        """When a level is stated again, in case the store forgot.

        One that nobody uses less often, but at least once before a store that lost its memory gives
        levels again (`Lives.longest_s`, which is more than `slots_s`).
        """
        silent_s = self._settings.silent_s
        return now + (silent_s if held.running else max(silent_s, self._settings.slots_s / 2))

    def _next_look(self, held: Holding, now: float) -> float:
        if held.lease is None:
            return now + self._settings.lease_s
        if not held.far:
            return now + _NEAR_CHECK_S
        return max(now + _NEAR_CHECK_S, held.lease.until - self._settings.lease_far_s / _AHEAD)

    def _check_later(self, held: Held, at: float) -> None:
        second = int(at) + 1
        if held.check_at == 0 or second < held.check_at:
            held.check_at = second
            self._checks.setdefault(second, []).append(held)

    def _drop_or_check(self, held: Held, at: float, *, busy: bool) -> None:
        if held.idle and not busy and held not in self._to_say:
            held.gone = True
            del self._held[held.id]
        else:
            self._check_later(held, at)

    def _make_room(self, now: float) -> None:
        """Give back what would be looked at next, so that there is room soon."""
        looked_at = 0
        for second in sorted(self._checks):
            for held in self._checks[second]:
                self._let_go(held)
                self._check_later(held, now)
                looked_at += 1
                if looked_at >= _ROOM:
                    return

    def _void_levels(self) -> None:
        """Too long without an answer: somebody may count nothing for this process any more."""
        self._voided = True
        for held in self._held.values():
            if isinstance(held, Slots) and (held.level or held.running):
                held.void()
                self._to_say[held] = None
