"""A clock that a test turns by hand."""

from __future__ import annotations


class ManualClock:
    """`helixflow.clock.Clock` that stands still until `advance`."""

    def __init__(self, now: float = 1_700_000_000.0, monotonic: float = 1_000.0) -> None:
        self._now = now
        self._monotonic = monotonic

    def now(self) -> float:
        """See `Clock.now`."""
        return self._now

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        if seconds < 0:
            raise ValueError("time does not run backwards")
        self._now += seconds
        self._monotonic += seconds

    def set_wall(self, now: float) -> None:
        """Step the machine's clock; the monotonic one does not notice."""
        self._now = now
