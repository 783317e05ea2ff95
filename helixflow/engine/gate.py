"""The bounded queue before an engine: who may generate, who waits, who is sent away.

Failure behavior: a full queue refuses at once with `Overloaded` and the seconds after which, at the
pace seen, those who wait will have been served. Leaving the queue early (a hang-up) frees the place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from helixflow.clock import Clock
from helixflow.engine.slots import Slots
from helixflow.errors import Overloaded, Refusal

_DEPARTURES_MAX = 32
_RETRY_AFTER_S_MIN = 1.0
_RETRY_AFTER_S_MAX = 60.0


class Ticket:
    """A place at the engine. `leave` gives it back; calling it twice is harmless."""

    def __init__(self, gate: Gate) -> None:
        self._gate: Gate | None = gate

    def leave(self) -> None:
        gate, self._gate = self._gate, None
        if gate is not None:
            gate._left()


class Gate:
    """Lets `running_max` requests generate and `queue_max` more wait, in the order they came."""

    def __init__(self, running_max: int, queue_max: int, clock: Clock) -> None:
        self._slots = Slots(running_max)
        self._running_max = running_max
        self._queue_max = queue_max
        self._clock = clock
        self._departures: deque[float] = deque(maxlen=_DEPARTURES_MAX)

    @property
    def running(self) -> int:
        """Requests at the engine."""
        return self._slots.taken

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return self._slots.waiting

    async def enter(self) -> Ticket:
        """Wait for a place at the engine; raises `Overloaded` at once where the queue is full."""
        if self.running >= self._running_max and self.waiting >= self._queue_max:
            wait_s = drain_s(self._departures, self.waiting, self._clock.monotonic())
            raise Overloaded(
                Refusal.OVERLOADED,
                f"The model is busy: {self.running} requests run and {self.waiting} wait.",
                retry_after_s=wait_s,
            )
        await self._slots.take()
        return Ticket(self)

    def _left(self) -> None:
        if self.waiting:
            self._departures.append(self._clock.monotonic())
        else:
            self._departures.clear()
        self._slots.give(1)


def drain_s(departures: Sequence[float], waiting: int, now: float) -> float:
    """Seconds until `waiting` requests are served at the pace of these departures.

    `departures` are monotonic seconds of one busy period, oldest first. Between 1 and 60 s; one
    second where no pace is known.
    """
    if not departures or now <= departures[0]:
        return _RETRY_AFTER_S_MIN
    per_s = len(departures) / (now - departures[0])
    return min(_RETRY_AFTER_S_MAX, max(_RETRY_AFTER_S_MIN, waiting / per_s))
