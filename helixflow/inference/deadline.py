"""A deadline: a point on the monotonic clock by which something must be over."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadline:
    """Attributes: `at` monotonic seconds; `limit_s` what was given in the first place."""

    at: float
    limit_s: float

    @staticmethod
    def after(now: float, limit_s: float) -> Deadline:
        """The deadline `limit_s` seconds after `now` (monotonic)."""
        return Deadline(now + limit_s, limit_s)

    def remaining_s(self, now: float) -> float:
        """Seconds that are left, never negative."""
        return max(0.0, self.at - now)
