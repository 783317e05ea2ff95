"""The echo engine: deterministic, no weights. For tests and gateway benchmarks, nothing else.

It answers with the words of the last message (or of the prompt), over and over until the answer is
long enough: `max_tokens` words, or the spec's own number where the request does not say. A token is
a whitespace word here, and is counted as one. It has as many sequence slots as its spec says, so
that its load is true; a request takes one per choice.

Failure behavior: nothing can be away; a stopped engine answers `Unavailable` (`engine_died`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

from helixflow.clock import Clock, SystemClock
from helixflow.engine.echo_body import read_ask
from helixflow.engine.echo_json import writer_for
from helixflow.engine.metering import Meters
from helixflow.engine.ports import Progress
from helixflow.engine.slots import Slots
from helixflow.errors import Refusal, Unavailable
from helixflow.inference.frame import Frame, Sidecar
from helixflow.inference.load import Load
from helixflow.inference.model_spec import ModelSpec
from helixflow.inference.request import EngineRequest
from helixflow.inference.usage import Usage

_CONTEXT_TOKENS = 131_072


class EchoEngine:
    """Implements `Engine`. `sleep` is what paces a stream: seconds in, an awaitable out."""

    def __init__(
        self,
        spec: ModelSpec,
        *,
        clock: Clock | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._spec = spec
        self._clock = clock or SystemClock()
        self._sleep = sleep
        self._slots = Slots(spec.sequences_max)
        self._meters = Meters()
        self._stopped = False

    async def start(self, progress: Progress) -> None:
        progress("ready", 1.0)

    async def generate(self, request: EngineRequest) -> AsyncGenerator[Frame, None]:
        await self.health()
        ask = read_ask(request, self._spec.context_tokens or _CONTEXT_TOKENS)
        length = ask.max_tokens or self._spec.echo.tokens
        meter = self._meters.open(request.request_id)
        taken = 0
        try:
            taken = await self._slots.take(ask.answers)
            meter.read("", ask.prompt_tokens, 0)
            writer = writer_for(request, ask, length, int(self._clock.now()))
            begun, held = self._clock.monotonic(), writer.roles()
            for step in range(length if request.stream or self._spec.echo.tokens_per_s else 0):
                await self._pace(begun, step)
                if not request.stream:
                    meter.wrote_more("", 0, ask.answers)
                    continue
                for index in range(ask.answers):
                    meter.wrote_more("", 0, 1)
                    yield Frame(held + writer.piece(index, step))
                    held = b""
            meter.wrote("", 0, ask.answers * length)
            meter.finish_reason = writer.finish_reason
            last = writer.ending if request.stream else writer.whole
            yield Frame(last(meter.usage), Sidecar(meter.usage, meter.finish_reason, self.load()))
        finally:
            self._slots.give(taken)
            self._meters.close(request.request_id)

    def usage(self, request_id: str) -> Usage:
        return self._meters.usage(request_id)

    def load(self) -> Load:
        taken = self._slots.taken
        return Load(taken, self._slots.waiting, taken / self._spec.sequences_max)

    async def health(self) -> None:
        if self._stopped:
            raise Unavailable(Refusal.ENGINE_DIED, "The engine is stopped.", retry_after_s=1.0)

    async def stop(self) -> None:
        self._stopped = True

    async def _pace(self, begun: float, step: int) -> None:
        """Wait until token `step` is due, (step + 1) / pace seconds after `begun`."""
        per_s = self._spec.echo.tokens_per_s
        if not per_s:
            await self._sleep(0)
            return
        due = begun + (step + 1) / per_s
        await self._sleep(max(0.0, due - self._clock.monotonic()))
