"""What the pipeline needs of the limits, and what the limits need of their store.

A reservation is made from an estimate in one synchronous step, all counters or none, and settled
exactly once with the truth, in `finally`. `Unlimited` is the limiter of a platform without limits.

The store hands out leases. A lease is an amount of one counter that one holder (an Ingress process,
by a random id per start) may spend without asking. It counts in every window from its grant until
its end; then what was spent of it is booked in the slot of its end. `End` says how much: it is an
absolute amount, may be said again, and replaces what was booked before; a lease that ends by its
time is booked whole until its holder says better.

A holder has one exchange in flight at a time, and numbers them. An exchange whose answer is lost is
not repeated: the leases that it asked for are dead for the holder, which ends them with nothing
spent in the next exchange, beside the ends that it has no answer for. Because such an exchange may
still reach the store late, the store passes over one whose number is not above all that it has seen
of that holder; otherwise an old, lower level could replace a newer one.

Ends, precisely. Of a lease that lives: it ends, `spent` is booked in the running slot. Of one that
ended: where `spent` is less than what is booked for it, the difference leaves the slots that it is
in; where it is more (debt: tokens beyond the reservation), the difference is booked in the running
slot, so that it counts for a whole window from when it became known. Of a lease that the store does
not know (it lost its memory): it is booked in the running slot like debt. The store keeps an ended
lease until it was said for the `last` time and that was acknowledged, or for `TOMBSTONE_S`.

Levels, precisely. A store counts a holder's level as max(what it grants, `used`, the smaller of
what it counted before and `want`): a level goes down only by the holder's own word, which stops
using the difference before it says so. So what the holder runs while the exchange is on its way is
always counted. A holder may use a level for `slots_s` seconds from asking in its last answered
exchange (any exchange counts). So whoever buries a holder knows two things: that nothing of it runs
any more, and that it is dead or gave no sign of life for `LimitsSettings.buried_s`, which is longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from helixflow.errors import HelixFlowError
from helixflow.ids import OrganizationId, RequestId
from helixflow.inference.model_spec import ModelSpec
from helixflow.inference.principal import Principal
from helixflow.inference.request import ParsedBody
from helixflow.inference.usage import Usage


class Reservation(Protocol):
    """What one request holds of its caller's limits."""

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """What the caller is told about its limits (`x-ratelimit-...`), lower-case names."""
        ...

    @property
    def tokens(self) -> int:
        """The tokens that the request is expected to take, prompt and answer."""
        ...

    def settle(self, usage: Usage | None, *, whole: bool = True) -> None:
        """Book what was really used and give the rest back; None books the whole estimate.

        `whole` says that the answer came to its end, and so tells how long such answers are. Only
        the first call counts.
        """
        ...


@dataclass(frozen=True, slots=True)
class LimitView:
    """A caller's limit, as it is shown to it. Spend is in US dollars.

    Attributes:
        name, scope: what is limited, and whose use is counted.
        limit: how much it allows.
        remaining: what is left of it; None where nobody can tell.
        reset_s: seconds until nothing of it is used, if nothing more is; None as well.
    """

    name: str
    scope: str
    limit: float
    remaining: float | None
    reset_s: float | None


class Limiter(Protocol):
    """Admits requests."""

    def try_reserve(
        self, principal: Principal, spec: ModelSpec, body: ParsedBody
    ) -> Reservation | None:
        """`reserve` where nobody has to be asked; None (and nothing taken) where one has to wait.

        Raises as `reserve` does.
        """
        ...

    async def reserve(
        self, request_id: RequestId, principal: Principal, spec: ModelSpec, body: ParsedBody
    ) -> Reservation:
        """Take what the request may use, or take nothing.

        Raises `QuotaExceeded` (with its `breach`) where a limit is used up, `Unavailable`
        (`limits_unavailable`) where nobody can tell, `Overloaded` where too many wait, and
        `InvalidRequest` where a hard limit needs to know how long the answer may be.
        """
        ...

    def headers(self, principal: Principal, model: str) -> tuple[tuple[bytes, bytes], ...]:
        """What a caller is told of its limits for a model (registry name), by what is known."""
        ...

    async def view(self, principal: Principal, models: Sequence[str] = ()) -> list[LimitView]:
        """A caller's limits: those that hold for every model, and those of these models."""
        ...


TOMBSTONE_S = 900.0
"""How long a store remembers an ended lease: longer than any request may run (600 s)."""


class LimitStoreAway(HelixFlowError):
    """The store of the limits does not answer."""


@dataclass(frozen=True, slots=True)
class CounterId:
    """A counter of an organization.

    Attributes:
        organization: whose; all counters of a request belong to one organization.
        name: a `LimitName`.
        scope: whose use it counts: `organization`, `key=key_...`, `model=m,project=proj_...`.
    """

    organization: OrganizationId
    name: str
    scope: str


@dataclass(frozen=True, slots=True)
class End:
    """How much of a lease was spent, in all.

    Attributes:
        lease: the holder's own number for it.
        spent: what was spent of it or is reserved by requests that run; may be more than it was.
        last: no other amount will be said; the store forgets the lease once it is acknowledged.
    """

    lease: int
    spent: int
    last: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """What a holder wants of one counter.

    For a windowed counter, `ends` end leases and then `lease` begins another one, where it is not
    0. For `concurrent_requests` there are no leases: `used` is what the holder has in use and is
    counted whatever the limit says, `need` what it must have (what it uses and is about to use),
    `want` what it would like to have; all are levels and replace what it had, also downwards. A
    level lives as long as its holder.

    Attributes:
        counter: which.
        limit: how much it allows, as the holder knows it.
        lease: the number of the lease that is to begin, rising for this holder; 0 for none.
        need: what is needed at least; the group is refused where it is not there. 0 takes what is
            easy to have.
        want: the most that is of use, at least `need`.
        life_s: how long the lease should live.
        ends: leases of this counter that ended, or whose amount is known better.
        used: for `concurrent_requests`: how many the holder runs.
        waiting: what those who wait for it would take at once, between `need` and `want`: given as
            far as it is there, while of what is wanted beyond it only a share is. A level, for
            `concurrent_requests`.
        renews: the number of a lease of this holder that lives: its life is counted anew, where the
            limit is far and it is known; its amount stays. Nothing begins then (`lease` is 0).
    """

    counter: CounterId
    limit: int
    lease: int = 0
    need: int = 0
    want: int = 0
    life_s: float = 0.0
    ends: tuple[End, ...] = ()
    used: int = 0
    waiting: int = 0
    renews: int = 0


@dataclass(frozen=True, slots=True)
class Grant:
    """What the store gave for an `Ask`.

    Attributes:
        amount: of the lease that began or lives on; 0 where none did. Or the level that the holder may use,
            which may be below what it runs; 0 where the group was refused: then it keeps its own.
        life_s: how long the lease lives, from the answer; the holder counts from asking.
        remaining: what is left in the limit beside all leases and levels. Never below 0.
        reset_s: seconds until nothing of the limit is used, if nothing more is.
        retry_after_s: above 0 exactly where this ask's `need` was not met: seconds until it can
            be, at the earliest.
    """

    amount: int
    life_s: float
    remaining: int
    reset_s: float
    retry_after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the store said to an exchange.

    Attributes:
        grants: a tuple per group, in the order of its asks.
        recalled: counters of which somebody else was refused while the holder had leases or levels
            of them: what it does not use of them should come back. Said once, and may be lost.
    """

    grants: list[tuple[Grant, ...]]
    recalled: tuple[CounterId, ...] = ()


class Lender(Protocol):
    """The store, as a holder knows it."""

    async def exchange(
        self, holder: str, number: int, acked: int, groups: Sequence[Sequence[Ask]]
    ) -> Answer:
        """Book ends and give leases.

        The asks of a group belong to one organization and name different counters. Ends are booked
        in any case; leases begin for all asks of a group or, where one `need` is not met, for none.
        Counts as a sign of life of the holder, also without groups. Raises `LimitStoreAway`; what
        came of the exchange is not known then.

        Args:
            holder: who asks.
            number: rises with every exchange of the holder. One that is not above those seen
                before is passed over whole: nothing is booked, nothing granted.
            acked: the highest number whose answer the holder has; 0 before the first.
            groups: what is asked.
        """
        ...


class LimitStore(Lender, Protocol):
    """Holds all counters. `limits/memory.py` and `limits/redis.py` implement it.

    Every call has a deadline of its own and raises `LimitStoreAway` when it passes.
    """

    async def silent(self, after_s: float) -> list[str]:
        """Holders that have levels and gave no sign of life for `after_s` seconds.

        After `LimitsSettings.buried_s` they may be buried, once nothing of them runs any more.
        """
        ...

    async def bury(self, holder: str) -> None:
        """Free all levels of a holder that is gone; its leases end by their time."""
        ...

    async def close(self) -> None:
        """Give back files and connections."""
        ...


class PastUse(Protocol):
    """What was used before the store lost its memory, from the records of use."""

    async def amounts(self, counter: CounterId, within_s: float) -> list[tuple[float, int]] | None:
        """What a counter used in the last `within_s` seconds: pairs of age in seconds and amount.

        None where nobody can tell; then it is asked again.
        """
        ...


class UnknownPast:
    """Nobody can tell what was used."""

    async def amounts(self, counter: CounterId, within_s: float) -> list[tuple[float, int]] | None:
        return None


@dataclass(frozen=True, slots=True)
class _Free:
    headers: tuple[tuple[bytes, bytes], ...] = ()
    tokens: int = 0

    def settle(self, usage: Usage | None, *, whole: bool = True) -> None:
        """Nothing was held."""


_FREE = _Free()


class Unlimited:
    """Admits everything."""

    def try_reserve(self, principal: Principal, spec: ModelSpec, body: ParsedBody) -> Reservation:
        return _FREE

    async def reserve(
        self, request_id: RequestId, principal: Principal, spec: ModelSpec, body: ParsedBody
    ) -> Reservation:
        return _FREE

    def headers(self, principal: Principal, model: str) -> tuple[tuple[bytes, bytes], ...]:
        return ()

    async def view(self, principal: Principal, models: Sequence[str] = ()) -> list[LimitView]:
        return []
