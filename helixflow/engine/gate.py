"""The gate before an engine: who may generate, who waits for it, who is sent away.

The order is the fair queue's (engine/fair_queue.py); where it is switched off, requests are served
as they come. Nobody but the gate limits how many sequences run.

Failure behavior: a request for which there is no place in the queue is refused at once, with the
seconds after which, at the pace seen, those before it will have been dispatched: `Overloaded` where
the queue is full, `QuotaExceeded` (`queue_full`) where its tenant's part of it is. Leaving the
queue early (a hang-up, a deadline) frees the place.
"""

from __future__ import annotations

import asyncio
from collections import deque

from helixflow.clock import Clock
from helixflow.engine.fair_queue import FairQueue
from helixflow.engine.place import Place, Read, cost
from helixflow.engine.shedding import drain_s
from helixflow.errors import Breach, Overloaded, QuotaExceeded, Refusal, Refused
from helixflow.inference.model_spec import FairShares, ModelSpec
from helixflow.inference.quota import BY_URGENCY, ServiceClass
from helixflow.inference.request import EngineRequest
from helixflow.signals import Labels, Metric, Signals

_DEPARTURES_MAX = 32
_BYTES_PER_TOKEN = 4
_FIRST_COME = FairShares(enabled=False, tenant_share=1.0, reserved_share=0.0)


class Ticket:
    """A place at the engine. `leave` gives it back; calling it twice is harmless."""

    __slots__ = ("_gate", "_place")

    def __init__(self, gate: Gate, place: Place) -> None:
        self._gate = gate
        self._place = place

    def leave(self) -> None:
        self._gate._leave(self._place)


class Gate:
    """Lets `sequences_max` sequences of a model generate, and `queue_max` requests wait.

    Args:
        read: what a running request has used so far.
    """

    def __init__(self, spec: ModelSpec, read: Read, clock: Clock, signals: Signals) -> None:
        rules = spec.fair_queue if spec.fair_queue.enabled else _FIRST_COME
        self._spec = spec
        self._rules = rules
        self._queue = FairQueue(spec.sequences_max, spec.queue_max, rules, read)
        self._clock = clock
        self._signals = signals
        self._turns: dict[Place, asyncio.Future[None]] = {}
        self._departures: deque[float] = deque(maxlen=_DEPARTURES_MAX)
        model = ("model", spec.name)
        self._model: Labels = (model,)
        self._labels: dict[ServiceClass, Labels] = {
            each: (model, ("service_class", each.value)) for each in BY_URGENCY
        }

    @property
    def running(self) -> int:
        """Sequences at the engine."""
        return self._queue.taken

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return self._queue.waiting

    async def enter(self, request: EngineRequest) -> Ticket:
        """Wait for a place at the engine. Raises `Overloaded` or `QuotaExceeded` at once."""
        begun = self._clock.monotonic()
        place = self._place(request)
        self._queue.join(place)
        self._serve()
        if place.waiting:
            reason = self._queue.excess(place)
            if reason is not None:
                raise self._sent_away(place, request, reason)
            await self._wait(place)
        seconds = self._clock.monotonic() - begun
        kind = request.service_class
        self._signals.observe(Metric.QUEUE_WAIT_SECONDS, seconds, self._labels[kind])
        return Ticket(self, place)

    def _place(self, request: EngineRequest) -> Place:
        if not self._rules.enabled:
            return Place(request.request_id, "", ServiceClass.STANDARD, request.choices)
        prompt = max(1, len(request.body) // _BYTES_PER_TOKEN)
        for most in (request.tokens, self._spec.context_tokens):
            prompt = min(prompt, most) if most else prompt
        return Place(
            request.request_id,
            request.tenant,
            request.service_class,
            request.choices,
            cost(self._rules.input_weight, request.weight),
            cost(self._rules.output_weight, request.weight),
            prompt,
        )

    async def _wait(self, place: Place) -> None:
        turn = self._turns[place] = asyncio.get_running_loop().create_future()
        self._tell(place)
        try:
            await turn
        except asyncio.CancelledError:
            self._leave(place)
            raise
        finally:
            del self._turns[place]

    def _leave(self, place: Place) -> None:
        self._queue.leave(place)
        self._tell(place)
        self._serve()

    def _serve(self) -> None:
        """Dispatch whoever may be."""
        while (place := self._queue.next()) is not None:
            turn = self._turns.get(place)
            if turn is not None:
                self._departures.append(self._clock.monotonic())
                if not turn.done():  # its task may be on its way out already
                    turn.set_result(None)
            self._tell(place)
        if not self._queue.waiting:
            self._departures.clear()

    def _tell(self, place: Place) -> None:
        signals, kind = self._signals, place.service_class
        waiting = self._queue.waiting_in(kind)
        signals.gauge(Metric.QUEUED_REQUESTS, float(waiting), self._labels[kind])
        signals.gauge(Metric.RUNNING_SEQUENCES, float(self.running), self._model)

    def _sent_away(self, place: Place, request: EngineRequest, reason: Refusal) -> Refused:
        """The refusal of a request that has joined, and is taken out again."""
        queue, now = self._queue, self._clock.monotonic()
        mine = queue.waiting_of(place.tenant) - 1
        ahead = queue.ahead_of(place)
        queue.leave(place)
        if reason is Refusal.OVERLOADED:
            return Overloaded(
                reason,
                f"The model is busy: {queue.taken} sequences run and {queue.waiting} requests "
                "wait.",
                retry_after_s=drain_s(self._departures, queue.waiting, now),
            )
        wait_s = drain_s(self._departures, ahead, now)
        scope = f"model={self._spec.name},organization={request.tenant}"
        return QuotaExceeded(
            reason,
            f"The model is busy, and {mine} of your requests wait for it: that is your part of its "
            "queue.",
            retry_after_s=wait_s,
            breach=Breach("queued_requests", scope, float(mine), float(mine), wait_s),
        )
