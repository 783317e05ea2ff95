"""How large a lease is, and how long it lives.

Far from the limit a lease is a share of what is left, so that many holders can have one and none of
them soon asks again. What is left shrinks, and the share with it, down to exactly what is needed:
at the limit nothing is lent that is not used. What is waited for is no share: all of it is lent at
once, as far as it is there, so that a crowd costs one exchange.
"""

from __future__ import annotations

from dataclasses import dataclass

from helixflow.settings import LimitsSettings

SHARE = 8
"""One lease takes at most one part in eight of what is left, unless more is needed."""

FAR = 4
"""A limit is far while at least one part in four of it is left."""


def is_far(left: int, limit: int) -> bool:
    """Whether `left` of `limit` is plenty."""
    return left * FAR >= limit and left > 0


def lease_amount(need: int, want: int, left: int, limit: int, waiting: int = 0) -> int | None:
    """The amount of a lease; 0 for none, None where `need` is not there."""
    if need > max(0, left):
        return None
    if need == 0 and not is_far(left, limit):
        return 0
    return max(need, min(waiting, left), min(want, left // SHARE))


def level_amount(used: int, need: int, want: int, free: int, waiting: int = 0) -> int | None:
    """What a holder may use of `free`, which is not counted for others; None without its need.

    Above what it needs, waits for or runs already, it is a share of what remains free.
    """
    free = max(0, free)
    if need > free:
        return None
    floor = max(need, used, min(waiting, free))
    if floor >= free:
        return free
    return floor + min(max(0, want - floor), (free - floor) // SHARE)


@dataclass(frozen=True, slots=True)
class Lives:
    """How long leases live, at the most: near the limit and far from it, and the lender's margin.

    The lender counts a lease for `margin_s` longer than it says, because the two do not read the
    same clock. No level may be used for longer than the longest lease. What is recalled is back
    after `recall_s`, where its holder is well and does not use it.
    """

    near_s: float
    far_s: float
    margin_s: float
    recall_s: float

    @staticmethod
    def of(settings: LimitsSettings) -> Lives:
        """Those that are configured."""
        far_s = max(settings.lease_s, settings.lease_far_s, settings.standby_s, settings.slots_s)
        margin_s = settings.margin_s
        return Lives(settings.lease_s, far_s, margin_s, settings.heartbeat_s + margin_s)

    @property
    def longest_s(self) -> float:
        """The longest that a lender counts a lease, from its grant."""
        return self.far_s + self.margin_s

    def lease_s(self, asked_s: float, left: int, limit: int) -> float:
        """How long a lease lives, given what was left before it."""
        return min(asked_s, self.far_s if is_far(left, limit) else self.near_s)
