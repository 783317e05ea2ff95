"""A model replica: a gate, an engine, and a deadline; the class behind the Model deployment.

Failure behavior: whatever happens to a request, its answer ends with one frame whose sidecar says
what it used and, if it failed, why; no exception crosses to the other process. A caller that hangs
up (cancellation, `aclose`) or a deadline that passes aborts the generation and frees the place, in
`finally`. A dead engine fails `health`, so that the replica is replaced.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

import structlog

from helixflow.clock import Clock, SystemClock
from helixflow.engine.course import Course
from helixflow.engine.gate import Gate, Ticket
from helixflow.engine.ports import Engine, Progress
from helixflow.engine.step_timer import StepTimer
from helixflow.errors import Refusal, Refused
from helixflow.ids import RequestId
from helixflow.inference.bearings import take_bearings
from helixflow.inference.facts import CANCELED, OK
from helixflow.inference.frame import Frame, FrameWire, Sidecar
from helixflow.inference.load import Load
from helixflow.inference.model_spec import ModelSpec
from helixflow.inference.request import EngineRequest, EngineRequestWire
from helixflow.inference.trace import TraceContext
from helixflow.inference.usage import Usage
from helixflow.signals import Metric, NullSignals, Signals

_ABANDONED_MAX = 4096
_log = structlog.get_logger(__name__)
_requests = logging.getLogger("helixflow.requests")


class ModelReplica:
    """Answers requests with one engine: `sequences_max` sequences at once, `queue_max` requests
    that wait. `name` is what Serve calls the replica."""

    def __init__(
        self,
        spec: ModelSpec,
        engine: Engine,
        clock: Clock | None = None,
        signals: Signals | None = None,
        name: str = "",
    ) -> None:
        self._spec = spec
        self._name = name
        self._engine = engine
        self._clock = clock or SystemClock()
        self._signals = signals or NullSignals()
        self._gate = Gate(spec, engine.usage, self._clock, self._signals)
        self._held: dict[str, int] = {}
        self._abandoned: OrderedDict[str, Usage] = OrderedDict()

    async def start(self, progress: Progress) -> None:
        """Load the model. Raises `ModelLoadError`."""
        await self._engine.start(progress)

    async def stop(self) -> None:
        """End the engine and its processes."""
        await self._engine.stop()

    async def health(self) -> None:
        """Raises `Unavailable` when the engine can no longer generate."""
        await self._engine.health()

    def load(self) -> Load:
        """The engine's load, with everyone who waits, here or there."""
        load = self._engine.load()
        return replace(load, waiting=load.waiting + self._gate.waiting)

    def held(self, holder: str) -> int:
        """Requests of an Ingress process (by its random id) that run or wait here."""
        return self._held.get(holder, 0)

    async def unary(self, wire: EngineRequestWire) -> FrameWire:
        """Answer with one frame, sidecar included."""
        frames = [frame async for frame in self._answer(wire)]
        return Frame(b"".join(frame.data for frame in frames), frames[-1].sidecar).to_wire()

    async def stream(self, wire: EngineRequestWire) -> AsyncGenerator[FrameWire, None]:
        """Answer with frames as they come; the last one has the sidecar."""
        async with aclosing(self._answer(wire)) as frames:
            async for frame in frames:
                yield frame.to_wire()

    def abandoned(self, wire: EngineRequestWire) -> FrameWire:
        """The end of an answer that was cancelled, without its bytes: what it had used.

        To be asked once, and soon: this is remembered for a bounded number of requests.
        """
        usage = self._abandoned.pop(wire[1], Usage())
        return Frame(b"", Sidecar(usage, load=self.load())).to_wire()

    async def _answer(self, wire: EngineRequestWire) -> AsyncGenerator[Frame, None]:
        """At least one frame; exactly the last one has a sidecar.

        The place is free before the last frame leaves: a slow reader of the end holds nothing.
        """
        last = Frame(b"", Sidecar())
        refused: Refused | None = None
        usage = Usage()
        course = Course(self._clock)
        try:
            request = EngineRequest.from_wire(wire)
            course.operation, course.trace = request.operation.value, request.trace
            take_bearings(request.request_id, TraceContext.of(request.trace))
            async with aclosing(self._generate(request, course)) as frames:
                async for frame in frames:
                    course.give()
                    if frame.sidecar is None:
                        yield frame
                    else:
                        last = frame
            course.outcome = OK
        except Refused as error:
            refused = error
            course.outcome = error.reason.value
        except Exception:
            _log.exception("request_failed", model=self._spec.name, request_id=wire[1])
            refused = Refused(Refusal.INTERNAL_ERROR, "The model replica failed.")
            course.outcome = refused.reason.value
        finally:
            usage = self._settle(wire[1], course, last.sidecar)
            if course.outcome == CANCELED:
                self._abandoned[wire[1]] = usage
                while len(self._abandoned) > _ABANDONED_MAX:
                    self._abandoned.popitem(last=False)
        side = last.sidecar or Sidecar()
        refused = side.refused or refused
        yield Frame(last.data, Sidecar(usage, side.finish_reason, self.load(), refused))

    async def _generate(
        self, request: EngineRequest, course: Course
    ) -> AsyncGenerator[Frame, None]:
        """The engine's frames, in turn and in time."""
        timer = StepTimer(request.timeout_s, request.timeout_s)
        ticket: Ticket | None = None
        self._hold(request.holder, 1)
        try:
            ticket = await timer.within(self._gate.enter(request))
            course.begin()
            async with aclosing(self._engine.generate(request)) as frames:
                while (frame := await timer.within(anext(frames, None))) is not None:
                    yield frame
        finally:
            timer.stop()
            if ticket is not None:
                ticket.leave()
            self._hold(request.holder, -1)

    def _hold(self, holder: str, change: int) -> None:
        count = self._held.get(holder, 0) + change
        if count:
            self._held[holder] = count
        else:
            del self._held[holder]

    def _settle(self, request_id: str, course: Course, side: Sidecar | None) -> Usage:
        """Count and journal what the request used, hang-ups included."""
        usage = self._engine.usage(request_id)
        model = ("model", self._spec.name)
        if usage.prompt_tokens:
            self._signals.count(Metric.TOKENS, (model, ("kind", "prompt")), usage.prompt_tokens)
        if usage.completion_tokens:
            kind = ("kind", "completion")
            self._signals.count(Metric.TOKENS, (model, kind), usage.completion_tokens)
        if usage.cached_tokens:
            self._signals.count(Metric.PREFIX_CACHE_HIT_TOKENS, (model,), usage.cached_tokens)
        finish_reason = ""
        if side is not None:
            finish_reason = side.finish_reason
            if side.refused is not None:
                course.outcome = side.refused.reason.value
        if _requests.isEnabledFor(logging.INFO):
            said = {"model": self._spec.name, "outcome": course.outcome, "replica": self._name}
            _requests.info("request generated", extra=said)
        self._signals.gauge(Metric.KV_CACHE_USAGE, self._engine.load().kv_used, (model,))
        pace_s = course.pace_s(usage.completion_tokens)
        if pace_s is not None:
            self._signals.observe(Metric.INTER_TOKEN_SECONDS, pace_s, (model,))
        self._signals.record(
            course.event(RequestId(request_id), self._spec.name, self._name, usage, finish_reason)
        )
        return usage
