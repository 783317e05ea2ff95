"""Tenants that contend for one model replica, and how they fare.

contention = Contention(spec, engine, clock)
contention.flood("a", body, 40)
await contention.over()
contention.gap_tokens, contention.entries
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from helixflow.clock import Clock
from helixflow.engine.ports import Engine, Progress
from helixflow.engine.replica import ModelReplica
from helixflow.inference.frame import Frame, Sidecar
from helixflow.inference.load import Load
from helixflow.inference.model_spec import ModelSpec
from helixflow.inference.request import EngineRequest
from helixflow.inference.usage import Usage
from helixflow.testing.engine import engine_request


@dataclass(frozen=True, slots=True)
class Entry:
    """A request that was dispatched.

    Attributes:
        tenant: whose.
        waited_s: from when it was asked until it was dispatched.
        overtaken: requests that were dispatched meanwhile.
        at_s: when that was, on the clock.
    """

    tenant: str
    waited_s: float
    overtaken: int
    at_s: float


class Contention:
    """A replica, and requests of several tenants. Implements `Engine` between the two, to see what
    is dispatched when.

    Attributes:
        replica: whom the tenants ask.
        entries: dispatched requests, in their order.
        service_s: how long each answered request was at the engine, seconds.
        gap_tokens: how far the service of two tenants has drifted apart, at most, over any span of
            time in which both had requests waiting, in weighted tokens.
        curve: `(seconds, service by tenant)` at every dispatch and `note`.
    """

    def __init__(self, spec: ModelSpec, engine: Engine, clock: Clock) -> None:
        self._spec = spec
        self._engine = engine
        self._clock = clock
        self.replica = ModelReplica(spec, self, clock)
        self.entries: list[Entry] = []
        self.service_s: list[float] = []
        self.gap_tokens = 0.0
        self.curve: list[tuple[float, dict[str, float]]] = []
        self._begun_s = clock.monotonic()
        self._asked: dict[str, float] = {}
        self._requests: defaultdict[str, list[str]] = defaultdict(list)
        self._waiting: defaultdict[str, int] = defaultdict(int)
        self._drift: dict[tuple[str, str], tuple[float, float]] = {}
        self._tasks: set[asyncio.Task[Sidecar]] = set()

    def ask(self, tenant: str, body: dict[str, Any], **how: Any) -> asyncio.Task[Sidecar]:
        """Send a request; its task gives the sidecar of the answer."""
        request = engine_request(body, tenant=tenant, model=self._spec.name, **how)
        self._asked[request.request_id] = self._clock.monotonic()
        self._waiting[tenant] += 1
        self._requests[tenant].append(request.request_id)
        task = asyncio.create_task(self._answer(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def flood(self, tenant: str, body: dict[str, Any], count: int, **how: Any) -> None:
        """Send many requests at once."""
        for _ in range(count):
            self.ask(tenant, body, **how)

    async def trickle(self, tenant: str, body: dict[str, Any], count: int, **how: Any) -> None:
        """Send one request after the other, each when the one before it is answered."""
        for _ in range(count):
            await self.ask(tenant, body, **how)

    async def over(self) -> None:
        """Wait until every request is answered."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def service(self, tenant: str) -> float:
        """What a tenant was served so far, in weighted tokens."""
        rules, total = self._spec.fair_queue, 0.0
        for request_id in self._requests[tenant]:
            used = self._engine.usage(request_id)
            total += used.prompt_tokens * rules.input_weight
            total += used.completion_tokens * rules.output_weight
        return total

    def waits_s(self, tenant: str) -> list[float]:
        """How long each of a tenant's requests waited."""
        return [entry.waited_s for entry in self.entries if entry.tenant == tenant]

    def note(self) -> None:
        """Take down everybody's service at this moment."""
        services = {tenant: self.service(tenant) for tenant in self._requests}
        self.curve.append((self._clock.monotonic() - self._begun_s, services))
        backlogged = [tenant for tenant, waiting in self._waiting.items() if waiting]
        kept = {}
        for place, one in enumerate(backlogged):
            for other in backlogged[place + 1 :]:
                now = services[one] - services[other]
                least, most = self._drift.get((one, other), (now, now))
                least, most = kept[one, other] = min(least, now), max(most, now)
                self.gap_tokens = max(self.gap_tokens, most - least)
        self._drift = kept

    async def _answer(self, request: EngineRequest) -> Sidecar:
        last = None
        async for wire in self.replica.stream(request.to_wire()):
            last = Frame.from_wire(wire).sidecar
        self.note()
        return last or Sidecar()

    async def start(self, progress: Progress) -> None:
        await self._engine.start(progress)

    async def generate(self, request: EngineRequest) -> AsyncGenerator[Frame, None]:
        self.note()
        self._waiting[request.tenant] -= 1
        asked_s, begun_s = self._asked.pop(request.request_id), self._clock.monotonic()
        overtaken = sum(asked_s < entry.at_s for entry in self.entries)
        self.entries.append(Entry(request.tenant, begun_s - asked_s, overtaken, begun_s))
        async with aclosing(self._engine.generate(request)) as frames:
            async for frame in frames:
                yield frame
        self.service_s.append(self._clock.monotonic() - begun_s)

    def usage(self, request_id: str) -> Usage:
        return self._engine.usage(request_id)

    def load(self) -> Load:
        return self._engine.load()

    async def health(self) -> None:
        await self._engine.health()

    async def stop(self) -> None:
        await self._engine.stop()
