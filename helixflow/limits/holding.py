"""The Ingress's side of one counter with a window: the leases that it has of it.

At most one lease is spent from. A lease that is spent from no more is retired: it is told to the store
with what was spent of it, again whenever that changes, and forgotten when the store has the last
word. Beside the lease there may be a standby, which is only touched while the store is away.

Pure: every method is given `now`, on this process's monotonic clock.
"""

from __future__ import annotations

import math
from itertools import islice

from helixflow.limits.counters import Measure, measure_of
from helixflow.limits.ports import Ask, CounterId, End, Grant
from helixflow.limits.sizing import SHARE, is_far

REFUSED_S = 0.1
"""How long a refusal is believed without asking again."""

ENDS_MAX = 256
"""Leases of one counter that one exchange says something about."""

_FIRST_WANT = 16
_NEXT_WANT = 4
_MORE = 16
_SEVERAL_MAX = 2**20
_LOW = 4
_RECENT = 0.5
_MEASURED_S = 1.0


class Lease:
    """An amount that this process may spend of a counter.

    Attributes:
        holding: whose it is.
        number: its number.
        amount: how much it is.
        spent: what is spent of it or reserved; may pass `amount` by debt.
        began, until: from when and until when it may be spent from.
        low: below what is left it is time for another one; -1 where that is no use.
        running: reservations that may still change `spent`.
        retired: whether it is spent from no more.
    """

    __slots__ = (
        "amount",
        "began",
        "holding",
        "low",
        "number",
        "retired",
        "running",
        "spent",
        "until",
    )

    def __init__(
        self, holding: Holding, number: int, amount: int, began: float, until: float
    ) -> None:
        self.holding = holding
        self.number = number
        self.amount = amount
        self.spent = 0
        self.began = began
        self.until = until
        self.low = -1
        self.running = 0
        self.retired = False


class Holding:
    """What this process holds of one counter.

    Attributes:
        lease: what is spent from.
        standby: what is kept for the time when the store is away.
        tell: retired leases that the store is to be told of (again).
        limit: how much the counter allows, as was last heard.
        remaining, reset_at: what the store said last: beside all leases; when it is all there again.
        known_at: when it said so; below 0 before.
        refused_until, refused_need: until then, so much is known not to be there.
        retry_at: when it can be there, at the earliest.
        used_at: when it was last spent from.
        far: whether the limit was far when it was last heard of.
        check_at: the second in which it is looked at next; 0 for none.
        asking: whether an exchange with an ask for a lease is on its way.
        gone: whether it was forgotten: it gives nothing any more.
    """

    __slots__ = (
        "_before",
        "_biggest",
        "_lately",
        "_lately_since",
        "_rate",
        "_several",
        "asking",
        "check_at",
        "far",
        "gone",
        "id",
        "known_at",
        "lease",
        "limit",
        "limit_text",
        "measure",
        "refused_need",
        "refused_until",
        "remaining",
        "reset_at",
        "retry_at",
        "standby",
        "tell",
        "used_at",
    )

    def __init__(self, id_: CounterId, limit: int) -> None:
        self.id = id_
        self.measure: Measure = measure_of(id_.name)
        self.limit = limit
        self.limit_text = b"%d" % limit
        self.lease: Lease | None = None
        self.standby: Lease | None = None
        self.tell: dict[int, Lease] = {}
        self.remaining = limit
        self.reset_at = 0.0
        self.known_at = -1.0
        self.refused_until = 0.0
        self.refused_need = 0
        self.retry_at = 0.0
        self.used_at = 0.0
        self.far = False
        self.check_at = 0
        self.asking = False
        self.gone = False
        self._rate = 0.0
        self._lately = 0
        self._lately_since = -1.0
        self._several = _FIRST_WANT
        self._before: Lease | None = None
        self._biggest = 1

    # Spending.

    def lacks(self, amount: int, now: float) -> bool:
        """Whether `amount` cannot be spent without asking."""
        lease = self.lease
        return amount > 0 and (
            lease is None or lease.amount - lease.spent < amount or lease.until <= now
        )

    def refuses(self, amount: int, now: float) -> bool:
        """Whether it is known without asking that `amount` is not there."""
        if amount > self.limit:
            return True
        return now < self.refused_until and amount >= self.refused_need

    def left(self, now: float) -> int:
        """What is left of the limit, as far as this process knows."""
        left = self.remaining
        lease = self.lease
        if lease is not None and lease.until > now:
            left += lease.amount - lease.spent
        lease = self.standby
        if lease is not None and lease.until > now:
            left += lease.amount
        if left <= 0:
            return 0
        limit = self.limit
        return left if left < limit else limit

    def set_limit(self, limit: int) -> None:
        """The limit is another one; what was lent under a larger one is not spent any more."""
        lowered = limit < self.limit
        self.remaining = max(0, self.remaining + limit - self.limit)
        self.limit, self.limit_text = limit, b"%d" % limit
        self.refused_until = 0.0
        if lowered:
            self.retire_all()

    @property
    def surplus(self) -> bool:
        """Whether more lies here than anybody would be lent who only might need it."""
        lease = self.lease
        return lease is not None and lease.amount - lease.spent > self.remaining // SHARE

    # Changing leases.

    def retire(self) -> None:
        """Spend from the lease no more."""
        if self.lease is not None:
            lease, self.lease = self.lease, None
            self._before = lease
            self._close(lease)

    def retire_standby(self) -> None:
        """Give the standby back."""
        if self.standby is not None:
            standby, self.standby = self.standby, None
            self._close(standby)

    def retire_all(self) -> None:
        """Give everything back."""
        self.retire()
        self.retire_standby()

    def stand_in(self, now: float) -> bool:
        """Spend from the standby from here on; False where there is none."""
        standby = self.standby
        if standby is None or standby.until <= now:
            return False
        self.retire()
        self.lease, self.standby = standby, None
        return True

    def begin(self, lease: Lease, waiting: int, *, standby: bool) -> None:
        """A lease was granted, for so much that waits; the one before is retired."""
        if standby:
            self.retire_standby()
            self.standby = lease
            return
        self.retire()
        self._measure(lease.began)
        self.lease = lease
        if self.far and lease.amount > self._biggest:
            lease.low = max(0, lease.amount - waiting) // _LOW  # a crowd is no sign of another one

    def dead(self, number: int, now: float) -> None:
        """Nobody knows whether a lease was granted: it is not used, and said to be over."""
        self._close(Lease(self, number, 0, now, now))

    def hear(self, grant: Grant, need: int, now: float) -> None:
        """What the store said about the counter, apart from the lease that it gave."""
        self.remaining = grant.remaining
        self.reset_at = now + grant.reset_s
        self.known_at = now
        self.far = is_far(grant.remaining + grant.amount, self.limit)
        if grant.retry_after_s > 0.0:
            self.refused_need = need
            self.retry_at = now + grant.retry_after_s
            self.refused_until = now + min(grant.retry_after_s, REFUSED_S)
        elif grant.amount:
            self.refused_until = 0.0

    # Asking.

    def ask(
        self,
        number: int,
        need: int,
        want: int,
        life_s: float,
        ends: tuple[End, ...],
        waiting: int = 0,
    ) -> Ask:
        """The ask for a lease (`number` 0: for news alone)."""
        wanted = max(need, want)
        return Ask(self.id, self.limit, number, need, wanted, life_s, ends, waiting=waiting)

    @property
    def renewable(self) -> bool:
        """Whether the lease will do for another life, because little was spent of it."""
        lease = self.lease
        return lease is not None and 2 * (lease.amount - lease.spent) >= lease.amount

    def renewal(self, lease: Lease, life_s: float, ends: tuple[End, ...]) -> Ask:
        """The ask for another life of a lease."""
        return Ask(self.id, self.limit, life_s=life_s, ends=ends, renews=lease.number)

    def renewed(self, number: int, until: float) -> None:
        """A lease has another life, unless it was given back meanwhile."""
        lease = self.lease
        if lease is not None and lease.number == number:
            lease.until = max(lease.until, until)

    def want(self, need: int, life_s: float) -> int:
        """What is of use for `life_s` seconds, by what was spent lately."""
        if need:
            self._biggest = max(need, self._biggest * 7 // 8)
        return min(
            self.limit, max(math.ceil(self._rate * life_s * 2), self._biggest * self._several)
        )

    def ends(self) -> list[Lease]:
        """Retired leases that the store is to be told of, at most `ENDS_MAX`."""
        return list(islice(self.tell.values(), ENDS_MAX))

    def told(self, lease: Lease, end: End) -> None:
        """The store has a word about a lease."""
        if end.last or (lease.spent == end.spent and lease.running):
            self.tell.pop(end.lease, None)

    @property
    def idle(self) -> bool:
        """Whether forgetting the holding changes nothing."""
        return self.lease is None and self.standby is None and not self.tell and not self.asking

    def _close(self, lease: Lease) -> None:
        lease.retired = True
        self.tell[lease.number] = lease

    def _measure(self, now: float) -> None:
        """Remember how fast the leases before were spent; a crowd that comes at once is no rate."""
        before, self._before = self._before, None
        if before is not None:
            self._lately += before.spent
        if self._lately_since < 0.0:
            self._lately_since = now
        elapsed_s = now - self._lately_since
        if elapsed_s < _MEASURED_S:
            self._several = min(self._several * _MORE, _SEVERAL_MAX)
            return
        self._rate = max(self._lately / elapsed_s, self._rate * _RECENT)
        self._lately, self._lately_since, self._several = 0, now, _NEXT_WANT
