"""How one request went in a replica: when it began, when its first frame left, how it ended."""

from __future__ import annotations

from helixflow.clock import Clock
from helixflow.ids import RequestId
from helixflow.inference.facts import CANCELED, Generated
from helixflow.inference.trace_facts import caller_facts
from helixflow.inference.usage import Usage
from helixflow.signals import Event, EventKind


class Course:
    """One request's. Times are monotonic seconds.

    Attributes:
        outcome: `ok`, a refusal's word, or `canceled` for whoever ended it before it was over.
        operation: an `Operation`'s word.
        trace: the `traceparent` of what it is a part of; empty where its request is a trace itself.
    """

    __slots__ = (
        "_clock",
        "_first_at",
        "_frames",
        "_queue_s",
        "_started",
        "operation",
        "outcome",
        "trace",
    )

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started = clock.monotonic()
        self._queue_s: float | None = None
        self._first_at: float | None = None
        self._frames = 0
        self.outcome = CANCELED
        self.operation = ""
        self.trace = ""

    def begin(self) -> None:
        """It has its place at the engine."""
        self._queue_s = self._clock.monotonic() - self._started

    def give(self) -> None:
        """A frame is there."""
        self._frames += 1
        if self._first_at is None:
            self._first_at = self._clock.monotonic()

    def pace_s(self, tokens: int) -> float | None:
        """The mean time from one token to the next; None where the answer came in one piece."""
        if self._first_at is None or self._frames < 2 or tokens < 2:
            return None
        return (self._clock.monotonic() - self._first_at) / (tokens - 1)

    def event(
        self, request_id: RequestId, model: str, replica: str, usage: Usage, finish_reason: str
    ) -> Event:
        """What is journaled of it, at its end."""
        now = self._clock.monotonic()
        duration_s = now - self._started
        generated = Generated(
            model,
            self.outcome,
            usage,
            replica,
            duration_s if self._queue_s is None else self._queue_s,
            None if self._first_at is None else self._first_at - self._started,
            duration_s,
            finish_reason,
        )
        kind = EventKind.REQUEST_GENERATED
        facts = {**generated.facts(), "operation": self.operation}
        if self.trace:
            facts |= caller_facts(self.trace)
        return Event(kind, self._clock.now(), request_id, facts)
