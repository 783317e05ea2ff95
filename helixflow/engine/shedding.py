"""How much may wait, and how long those must who may not: bounds of a queue, as pure functions.

A tenant's bound falls with the places that are left ("Dynamic Queue Length Thresholds for
Shared-Memory Packet Switches", Choudhury and Hahne, 1998): alone it may fill `tenant_share` of the
queue, and however many others fill theirs, something is left for one more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from helixflow.errors import Refusal

_WHOLE = 1000
_RETRY_AFTER_S_MIN = 1.0
_RETRY_AFTER_S_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many requests wait: `all`, those that are not critical, those of the tenant that comes."""

    all: int
    ordinary: int
    of_tenant: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of one queue.

    Attributes:
        queue_max: places.
        reserved: places that only `critical` may take.
        tenant_share: see `FairShares`, 0 to 1.
    """

    queue_max: int
    reserved: int
    tenant_share: float

    def refusal(self, waiting: Waiting, *, critical: bool) -> Refusal | None:
        """Why one more may not wait: the queue is full, or its tenant's part of it; else None."""
        free = self.queue_max - waiting.all
        if not critical:
            free = min(free, self.queue_max - self.reserved - waiting.ordinary)
        if free <= 0:
            return Refusal.OVERLOADED
        share = round(self.tenant_share * _WHOLE)
        mine, left = waiting.of_tenant + 1, free - 1
        if mine > 1 and mine * (_WHOLE - share) > left * share:
            return Refusal.QUEUE_FULL
        return None


def part_of(share: float, whole: int) -> int:
    """The part of `whole` that is kept back: what a share makes, rounded up, and never all."""
    return min(math.ceil(round(share * whole, 6)), max(0, whole - 1))


def drain_s(departures: Sequence[float], ahead: int, now: float) -> float:
    """Seconds until `ahead` requests are dispatched at the pace of these departures.

    `departures` are monotonic seconds of one busy period, oldest first. Between 1 and 60 s; one
    second where no pace is known.
    """
    if not departures or now <= departures[0]:
        return _RETRY_AFTER_S_MIN
    per_s = len(departures) / (now - departures[0])
    return min(_RETRY_AFTER_S_MAX, max(_RETRY_AFTER_S_MIN, ahead / per_s))
