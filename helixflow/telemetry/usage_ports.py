"""What usage needs of the store. `storage/usage.py` and `storage/usage_queries.py` implement it.

All methods raise `Unavailable` (`telemetry_unavailable`) where the database is away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from helixflow.telemetry.usage import UsageRow
from helixflow.telemetry.usage_query import Group, RequestQuery, UsageQuery


@dataclass(frozen=True, slots=True)
class Kept:
    """From when on what is kept, epoch seconds; what is older is forgotten."""

    rows: float
    hours: float
    days: float


class UsageStore(Protocol):
    """Holds the rows and their sums."""

    async def high_water(self, source: str) -> int:
        """See `Sink.high_water`."""
        ...

    async def take(self, source: str, last: int, rows: Sequence[UsageRow], now: float) -> None:
        """Merge rows into those that are there, amend the sums, remember `last`: in one step.

        Nothing is done where `last` is remembered already.
        """
        ...

    async def give_up(self, before: float) -> int:
        """Give requests up that began before and that nobody ended; some, and how many it were."""
        ...

    async def forget(self, kept: Kept) -> int:
        """Delete what is older; some, and how many it were."""
        ...


class UsageReader(Protocol):
    """Answers questions."""

    async def groups(self, query: UsageQuery, limit: int) -> list[Group]:
        """The results in the order of their buckets, at most `limit`."""
        ...

    async def requests(self, query: RequestQuery, limit: int) -> list[UsageRow]:
        """The rows in the order of their admission, at most `limit`."""
        ...
