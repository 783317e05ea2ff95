"""Fakes of what the pipeline needs. `helixflow.testing.stage` puts a pipeline among them.

    dispatcher = FakeDispatcher([Frame(b"data: 1\\n\\n"), last_frame()])

The fakes fit the gateway's ports by shape and import nothing of it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from helixflow.clock import Clock, SystemClock
from helixflow.errors import Refusal, Refused, Unauthenticated
from helixflow.ids import RequestId, mint_request_id
from helixflow.inference.deadline import Deadline
from helixflow.inference.frame import Frame, Sidecar
from helixflow.inference.model_spec import EngineKind, ModelSpec
from helixflow.inference.principal import Principal
from helixflow.inference.request import Call, EngineRequest, Operation, ParsedBody
from helixflow.inference.usage import Usage
from helixflow.limits.ports import LimitView
from helixflow.routing.ports import ModelState, ModelStatus
from helixflow.routing.registry import Catalog, Entry, Snapshot

Step: TypeAlias = Frame | BaseException | asyncio.Event
"""One step of an answer: a frame to give, an error to raise, or an event to wait for."""

KEY = "the-key"
READY = ModelStatus(ModelState.READY, "", 1.0, 1)


class FakeAuthenticator:
    """`Authenticator` that knows the credentials it was given.

    Attributes:
        remembers: whether a known credential is answered without asking.
        held: where set, whoever asks waits for this event.
        asked: the credentials that were asked about.
        sources: the addresses that came with them, remembered ones included.
    """

    def __init__(self, known: Mapping[str, Principal], *, remembers: bool = True) -> None:
        self.known = dict(known)
        self.remembers = remembers
        self.held: asyncio.Event | None = None
        self.asked: list[str | None] = []
        self.sources: list[str] = []

    def cached(self, credential: str | None, source: str = "") -> Principal | None:
        """See `Authenticator.cached`."""
        self.sources.append(source)
        return self.known.get(credential or "") if self.remembers else None

    async def authenticate(self, credential: str | None, source: str = "") -> Principal:
        """See `Authenticator.authenticate`."""
        self.asked.append(credential)
        if self.held is not None:
            await self.held.wait()
        if not credential:
            raise Unauthenticated(Refusal.MISSING_API_KEY, "There is no API key.")
        if credential not in self.known:
            raise Unauthenticated(Refusal.INVALID_API_KEY, "This API key is not known.")
        return self.known[credential]


class FakeDispatcher:
    """`Dispatcher` that plays scripts: one for each attempt, the last one again and again.

    Attributes:
        requests: what was asked, in order.
        open: answers that were begun and are neither over nor closed.
        canceled: answers that ended by cancellation or by being closed before their end.
        waiting: set while an answer waits for an event of its script.
        close_step: what an answer does while it is closed: raise, or wait.
        last_words: what a request that is left early is said to have used, or raises.
    """

    def __init__(self, *scripts: Sequence[Step]) -> None:
        self._scripts = scripts or ([last_frame(b"{}")],)
        self.requests: list[EngineRequest] = []
        self.open = 0
        self.canceled = 0
        self.waiting = asyncio.Event()
        self.close_step: Step | None = None
        self.last_words: asyncio.Future[Usage | None] | None = None

    def left(self, request_id: RequestId) -> Awaitable[Usage | None] | None:
        """See `Dispatcher.left`."""
        return self.last_words

    async def unary(self, request: EngineRequest) -> Frame:
        """See `Dispatcher.unary`: the first frame of the script."""
        frames = self._play(request)
        try:
            return await anext(frames)
        finally:
            await frames.aclose()

    def stream(self, request: EngineRequest) -> AsyncGenerator[Frame, None]:
        """See `Dispatcher.stream`."""
        return self._play(request)

    async def _play(self, request: EngineRequest) -> AsyncGenerator[Frame, None]:
        script = self._scripts[min(len(self.requests), len(self._scripts) - 1)]
        self.requests.append(request)
        self.open += 1
        try:
            for step in script:
                frame = await self._do(step)
                if frame is not None:
                    yield frame
        except (asyncio.CancelledError, GeneratorExit):
            self.canceled += 1
            raise
        finally:
            self.open -= 1
            if self.close_step is not None:
                await self._do(self.close_step)

    async def _do(self, step: Step) -> Frame | None:
        if isinstance(step, BaseException):
            raise step
        if isinstance(step, Frame):
            return step
        self.waiting.set()
        await step.wait()
        self.waiting.clear()
        return None


@dataclass
class FakeReservation:
    """`Reservation` that keeps what it was settled with, and whether all answers were whole."""

    headers: tuple[tuple[bytes, bytes], ...] = ((b"x-ratelimit-limit-requests", b"60"),)
    settled: list[Usage | None] = field(default_factory=list)
    whole: bool = True
    failure: Exception | None = None
    tokens: int = 24

    def settle(self, usage: Usage | None, *, whole: bool = True) -> None:
        """See `Reservation.settle`."""
        self.settled.append(usage)
        self.whole = self.whole and whole
        if self.failure is not None:
            raise self.failure


class RecordingLimiter:
    """`Limiter` that admits everything, or raises `refusal`, and keeps every reservation."""

    def __init__(self) -> None:
        self.refusal: Refused | None = None
        self.held: asyncio.Event | None = None
        self.settle_failure: Exception | None = None
        self.asked: list[tuple[RequestId, Principal, ModelSpec, ParsedBody]] = []
        self.reservations: list[FakeReservation] = []
        self.views: list[LimitView] = []
        self.viewed: list[tuple[Principal, tuple[str, ...]]] = []

    def headers(self, principal: Principal, model: str) -> tuple[tuple[bytes, bytes], ...]:
        """See `Limiter.headers`."""
        return FakeReservation.headers

    async def view(self, principal: Principal, models: Sequence[str] = ()) -> list[LimitView]:
        """See `Limiter.view`: `views`, whoever asks."""
        self.viewed.append((principal, tuple(models)))
        return self.views

    def try_reserve(
        self, principal: Principal, spec: ModelSpec, body: ParsedBody
    ) -> FakeReservation | None:
        """See `Limiter.try_reserve`: somebody must be asked, always."""
        return None

    async def reserve(
        self, request_id: RequestId, principal: Principal, spec: ModelSpec, body: ParsedBody
    ) -> FakeReservation:
        """See `Limiter.reserve`."""
        self.asked.append((request_id, principal, spec, body))
        if self.held is not None:
            await self.held.wait()
        if self.refusal is not None:
            raise self.refusal
        self.reservations.append(FakeReservation(failure=self.settle_failure))
        return self.reservations[-1]

    @property
    def settled(self) -> list[list[Usage | None]]:
        """For each reservation, what it was settled with."""
        return [one.settled for one in self.reservations]


def last_frame(
    data: bytes = b"", usage: Usage | None = None, refused: Refused | None = None
) -> Frame:
    """The frame that ends an answer."""
    return Frame(data, Sidecar(usage or Usage(3, 5), "stop", refused=refused))


def some_spec(name: str = "echo-1", **changes: Any) -> ModelSpec:
    """An echo model's spec."""
    return ModelSpec(name=name, engine=EngineKind.ECHO, **changes)


def some_catalog(*entries: Entry) -> Catalog:
    """A catalog that holds these models; without any, one ready echo model called `echo-1`."""
    catalog = Catalog(loading_retry_after_s=5.0)
    catalog.replace(Snapshot("epoch", 1, 1_700_000_000, entries or (Entry(some_spec(), READY),)))
    return catalog


def some_call(
    *,
    clock: Clock | None = None,
    limit_s: float = 60.0,
    credential: str | None = KEY,
    raw: bytes | None = None,
    **body: Any,
) -> Call:
    """A chat call to `echo-1`; `body` changes fields of its JSON, `raw` replaces it."""
    fields = {"model": "echo-1", "messages": [{"role": "user", "content": "Hello"}], **body}
    return Call(
        operation=Operation.CHAT,
        body=json.dumps(fields).encode() if raw is None else raw,
        credential=credential,
        request_id=mint_request_id(),
        deadline=Deadline.after((clock or SystemClock()).monotonic(), limit_s),
    )
