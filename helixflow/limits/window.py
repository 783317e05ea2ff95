"""What was used in a sliding window: 60 full slots and the running one count.

A use at time `a` lies in slot `a // slot_s`. At a time `t` less than a window later, that slot is
among the 61 that count, wherever in its slot the use was: no window of real time is ever undercounted,
and a use counts for at most one slot longer than the window.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType

from helixflow.inference.quota import LimitName

SLOTS = 60

_LONG_AGO = -(2**62)

_MINUTE_S = 60.0
_HOUR_S = 3_600.0
_DAY_S = 86_400.0
_MONTH_S = 30 * _DAY_S

WINDOW_S = MappingProxyType(
    {
        LimitName.REQUESTS_PER_DAY.value: _DAY_S,
        LimitName.REQUESTS_PER_HOUR.value: _HOUR_S,
        LimitName.REQUESTS_PER_MINUTE.value: _MINUTE_S,
        LimitName.SPEND_PER_DAY.value: _DAY_S,
        LimitName.SPEND_PER_MONTH.value: _MONTH_S,
        LimitName.TOKENS_PER_DAY.value: _DAY_S,
        LimitName.TOKENS_PER_HOUR.value: _HOUR_S,
        LimitName.TOKENS_PER_MINUTE.value: _MINUTE_S,
    }
)
"""The window of each limit that has one; `concurrent_requests` has none. A month is 30 days."""


class Window:
    """Amounts by slot, at most 61 of them. Times are seconds on one clock that never steps."""

    __slots__ = ("_oldest", "_slots", "_total", "slot_s")

    def __init__(self, window_s: float) -> None:
        self.slot_s = window_s / SLOTS
        self._slots: dict[int, int] = {}
        self._total = 0
        self._oldest = _LONG_AGO

    def slot(self, at: float) -> int:
        """The slot that a time lies in."""
        return int(at // self.slot_s)

    def total(self, now: float) -> int:
        """What counts at `now`."""
        self._advance(now)
        return self._total

    def book(self, slot: int, amount: int, now: float) -> None:
        """Add to a slot, or take from it (`amount` below 0) what was added before.

        Nothing happens to a slot that has left the window.
        """
        self._advance(now)
        if slot < self._oldest or not amount:
            return
        before = self._slots.get(slot, 0)
        after = max(0, before + amount)
        self._total += after - before
        if after:
            self._slots[slot] = after
        else:
            self._slots.pop(slot, None)

    def frees_s(self, amount: int, now: float) -> float | None:
        """Seconds until `amount` of what counts has left the window; None where less counts."""
        if amount <= 0:
            return 0.0
        self._advance(now)
        freed = 0
        for slot in sorted(self._slots):
            freed += self._slots[slot]
            if freed >= amount:
                return self.leaves_s(slot, now)
        return None

    def leaves_s(self, slot: int, now: float) -> float:
        """Seconds until a slot has left the window."""
        return max(0.0, (slot + SLOTS + 1) * self.slot_s - now)

    def empty_s(self, now: float) -> float:
        """Seconds until nothing counts."""
        self._advance(now)
        return self.leaves_s(max(self._slots), now) if self._slots else 0.0

    def dump(self) -> list[tuple[int, int]]:
        """The slots and their amounts, for a snapshot."""
        return list(self._slots.items())

    def load(self, slots: Iterable[tuple[int, int]]) -> None:
        """Replace everything by what `dump` gave."""
        self._slots = dict(slots)
        self._total = sum(self._slots.values())
        self._oldest = _LONG_AGO

    def _advance(self, now: float) -> None:
        oldest = self.slot(now) - SLOTS
        if oldest <= self._oldest:
            return
        self._oldest = oldest
        for slot in [each for each in self._slots if each < oldest]:
            self._total -= self._slots.pop(slot)
