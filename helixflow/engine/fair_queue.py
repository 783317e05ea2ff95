"""The fair queue: which request is dispatched next as sequence slots free.

Classes come first: critical, interactive, standard, batch. Within a class the tenant with the least
virtual token counter is next (engine/token_counters.py), and a tenant's requests keep their order.
A class that waits while `overtakes_max` requests of others are dispatched has its turn, so that it
is overtaken at most `overtakes_max + 3` times in a row (there are three others).

A request takes all of its slots at once. Where the next one needs more than are free, nobody goes
before it, so that it is not starved; only `critical` requests that fit into the slots kept for them
do, which it could not have taken.

Failure behavior: leaving, in any state and however often, gives back whatever the request had.
"""

from __future__ import annotations

from helixflow.engine.place import Place, Read
from helixflow.engine.shedding import Bounds, Waiting, part_of
from helixflow.engine.token_counters import TokenCounters
from helixflow.errors import Refusal
from helixflow.inference.model_spec import FairShares
from helixflow.inference.quota import BY_URGENCY, ServiceClass


class FairQueue:
    """Pure: holds who waits and who runs, and decides; its owner acts.

    Attributes:
        ordinary_slots: those that are not kept for `critical`.

    Args:
        slots: sequences that run at once.
        queue_max: requests that wait beyond them.
        rules: how they are shared.
        read: what a running request has used.
    """

    def __init__(self, slots: int, queue_max: int, rules: FairShares, read: Read) -> None:
        reserved_slots = part_of(rules.reserved_share, slots)
        self._slots = slots
        self.ordinary_slots = slots - reserved_slots
        self._reserved_slots = reserved_slots
        self._overtakes_max = rules.overtakes_max
        reserved = part_of(rules.reserved_share, queue_max)
        self._bounds = Bounds(queue_max, reserved, rules.tenant_share)
        self._lines = {each: TokenCounters(read) for each in BY_URGENCY}
        self._overtaken = dict.fromkeys(BY_URGENCY, 0)
        self._waiting = dict.fromkeys(BY_URGENCY, 0)
        self._taken = dict.fromkeys(BY_URGENCY, 0)
        self._tenants: dict[str, int] = {}
        self._turns = 0

    @property
    def taken(self) -> int:
        """Slots in use."""
        return sum(self._taken.values())

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return sum(self._waiting.values())

    def waiting_in(self, service_class: ServiceClass) -> int:
        """Requests of a class that wait."""
        return self._waiting[service_class]

    def waiting_of(self, tenant: str) -> int:
        """Requests of a tenant that wait."""
        return self._tenants.get(tenant, 0)

    def counters(self, service_class: ServiceClass) -> TokenCounters:
        """The tenants of a class."""
        return self._lines[service_class]

    def ahead_of(self, place: Place) -> int:
        """Dispatches until all that its tenant has waiting are served, if tenants take turns."""
        return min(self.waiting, self._tenants.get(place.tenant, 0) * len(self._tenants))

    def join(self, place: Place) -> None:
        """A request comes to wait. It takes no more slots than it can ever have."""
        kind = place.service_class
        most = self._slots if kind is ServiceClass.CRITICAL else self.ordinary_slots
        place.slots = min(max(1, place.slots), most)
        self._turns += 1
        place.turn, place.waiting = self._turns, True
        if not self._lines[kind].awaited:
            self._overtaken[kind] = 0
        self._lines[kind].join(place)
        self._waiting[kind] += 1
        self._tenants[place.tenant] = self._tenants.get(place.tenant, 0) + 1

    def excess(self, place: Place) -> Refusal | None:
        """Why a request that has just joined, and must wait, may not; None where it may."""
        critical = place.service_class is ServiceClass.CRITICAL
        ordinary = self.waiting - self._waiting[ServiceClass.CRITICAL] - (not critical)
        waiting = Waiting(self.waiting - 1, ordinary, self._tenants[place.tenant] - 1)
        return self._bounds.refusal(waiting, critical=critical)

    def next(self) -> Place | None:
        """Dispatch the request whose turn it is; None where nobody waits, or it must wait on."""
        kind = self._due()
        if kind is None:
            return None
        place = self._lines[kind].head()
        if self._fits(place):
            self._note_overtaking(kind)
            self._begin(place)
            return place
        critical = self._lines[ServiceClass.CRITICAL]
        if kind is not ServiceClass.CRITICAL and critical.awaited:
            place = critical.head()
            if self._taken[ServiceClass.CRITICAL] + place.slots <= self._reserved_slots:
                self._begin(place)
                return place
        return None

    def leave(self, place: Place) -> None:
        """A request is over, or does not want to wait any more."""
        line = self._lines[place.service_class]
        if place.running:
            place.running = False
            self._taken[place.service_class] -= place.slots
            line.end(place)
        elif place.waiting:
            self._unqueue(place)
            line.drop(place)

    def _due(self) -> ServiceClass | None:
        """The class whose turn it is: the one overtaken most beyond the bound, or most urgent."""
        awaited = [kind for kind in BY_URGENCY if self._waiting[kind]]
        late = [kind for kind in awaited if self._overtaken[kind] >= self._overtakes_max]
        if late:
            return max(late, key=self._overtaken.__getitem__)
        return awaited[0] if awaited else None

    def _fits(self, place: Place) -> bool:
        taken = self.taken
        if taken + place.slots > self._slots:
            return False
        if place.service_class is ServiceClass.CRITICAL:
            return True
        ordinary = taken - self._taken[ServiceClass.CRITICAL]
        return ordinary + place.slots <= self.ordinary_slots

    def _note_overtaking(self, kind: ServiceClass) -> None:
        for other in BY_URGENCY:
            if other is kind:
                self._overtaken[other] = 0
            elif self._waiting[other]:
                self._overtaken[other] += 1

    def _begin(self, place: Place) -> None:
        self._unqueue(place)
        place.running = True
        self._taken[place.service_class] += place.slots
        self._lines[place.service_class].begin(place)

    def _unqueue(self, place: Place) -> None:
        place.waiting = False
        self._waiting[place.service_class] -= 1
        left = self._tenants[place.tenant] - 1
        if left:
            self._tenants[place.tenant] = left
        else:
            del self._tenants[place.tenant]
