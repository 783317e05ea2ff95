"""The way of a request: authenticate, parse, resolve, ask policies, reserve, dispatch, settle.

This class knows no HTTP and no Ray; HTTP and the Python handle are thin faces over it. On the path
of a warm request it opens no database and makes no call but the one to the model's replica.

Failure behavior: every refusal is raised before the first byte of an answer wherever that is
possible; `Exchange.rest` raises those that come later. Whatever happens, leaving the exchange
cancels the generation if it still runs, settles the reservation once and reports the outcome.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from helixflow.clock import Clock
from helixflow.errors import (
    DeadlineExceeded,
    Forbidden,
    Overloaded,
    Refusal,
    Refused,
    Unauthenticated,
    Unavailable,
)
from helixflow.gateway.body import check_bounds, parse
from helixflow.gateway.denials import Denials
from helixflow.gateway.ports import Authenticator, Contents, Dispatcher, Policies
from helixflow.gateway.settling import Settling
from helixflow.gateway.story import Story
from helixflow.gateway.tracing import Tracing
from helixflow.identity.cedar import Circumstances, CompiledPolicies, Target
from helixflow.identity.last_used import LastUsed
from helixflow.identity.permissions import Decision, Deny, Permission, decide
from helixflow.identity.policy_copies import decision
from helixflow.inference.facts import Admitted
from helixflow.inference.frame import Frame
from helixflow.inference.model_spec import ModelSpec
from helixflow.inference.principal import Principal
from helixflow.inference.request import Call, EngineRequest
from helixflow.inference.usage import Usage
from helixflow.limits.ports import Limiter, LimitView, Reservation
from helixflow.routing.ports import ModelState
from helixflow.routing.registry import Catalog, Entry
from helixflow.settings import GatewaySettings, TracesSettings
from helixflow.signals import Metric, Signals

_TRIES = 3


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model as callers see it."""

    id: str
    created: int
    owned_by: str
    state: str
    detail: str
    progress: float


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether requests can be answered; `waiting` says what is not ready, in words."""

    ready: bool
    waiting: tuple[str, ...]
    models: tuple[ModelCard, ...]


class Pipeline:
    """Holds the copies and ports that every request needs."""

    def __init__(
        self,
        *,
        authenticator: Authenticator,
        policies: Policies,
        last_used: LastUsed,
        catalog: Catalog,
        limiter: Limiter,
        dispatcher: Dispatcher,
        settings: GatewaySettings,
        clock: Clock,
        signals: Signals,
        denials: Denials | None = None,
        tracing: Tracing | None = None,
        contents: Contents | None = None,
        holder: str = "",
    ) -> None:
        self.authenticator = authenticator
        self.policies = policies
        self.last_used = last_used
        self.catalog = catalog
        self.limiter = limiter
        self.dispatcher = dispatcher
        self.settings = settings
        self.clock = clock
        self.signals = signals
        self.denials = denials or Denials(signals, clock)
        self.tracing = tracing or Tracing(TracesSettings(), clock)
        self.contents = contents
        self.holder = holder
        self.ongoing = 0
        self.settling = Settling(dispatcher)

    def exchange(self, call: Call) -> Exchange:
        """`async with pipeline.exchange(call) as exchange`: entered with the first frame there."""
        return Exchange(self, call)

    async def authenticate(self, credential: str | None, source: str = "") -> Principal:
        """The caller, whose policies are at hand from here on.

        Raises `Unauthenticated`, `Forbidden` or `Unavailable`.
        """
        principal = await self.who(credential, source)
        self.last_used.note(principal.key)
        if self.policies.held(principal) is None:
            await self.policies.fetch(principal)
        return principal

    async def who(self, credential: str | None, source: str) -> Principal:
        """The caller. Raises `Unauthenticated`, `Forbidden` or `Unavailable`."""
        principal = self.authenticator.cached(credential, source)
        if principal is not None:
            return principal
        try:
            return await self.authenticator.authenticate(credential, source)
        except Unauthenticated as refused:
            self.denials.unauthenticated(source, refused)
            raise

    def authorize(self, principal: Principal, permission: str, source: str = "") -> None:
        """Raises `Forbidden` where the caller lacks the permission (`resource:action`)."""
        decision = decide(principal, permission)
        if isinstance(decision, Deny):
            raise self._denied(decision, principal, permission, "", source)

    def _denied(
        self, decision: Deny, principal: Principal, permission: str, target: str, source: str
    ) -> Forbidden:
        refused = decision.refused()
        self.denials.forbidden(principal, permission, target, source, refused)
        return refused

    async def permit(self, principal: Principal, spec: ModelSpec, source: str) -> None:
        """Ask the caller's policies whether it may use a model. Raises `Forbidden`, `Unavailable`.

        To be called after `authorize`: policies only narrow what permissions give.
        """
        policies = self.policies.held(principal) or await self.policies.fetch(principal)
        action = Permission.MODEL_INVOKE
        judged = self._judge(policies, principal, action, spec, source)
        if isinstance(judged, Deny):
            raise self._denied(judged, principal, action, spec.name, source)

    def models(self, principal: Principal, source: str = "") -> Sequence[ModelCard]:
        """The models that exist for this caller, without those that policies do not let it list.

        Raises `Unavailable`.
        """
        policies, action = self._at_hand(principal), Permission.MODEL_LIST
        return [
            self._card(entry)
            for entry in self.catalog.visible(principal)
            if not isinstance(self._judge(policies, principal, action, entry.spec, source), Deny)
        ]

    def model(self, name: str, principal: Principal, source: str = "") -> ModelCard:
        """One model by name or alias, in whatever state.

        Raises `NotFound`, `Forbidden` or `Unavailable`.
        """
        entry = self.catalog.find(name, principal)
        policies, action = self._at_hand(principal), Permission.MODEL_READ
        judged = self._judge(policies, principal, action, entry.spec, source)
        if isinstance(judged, Deny):
            raise self._denied(judged, principal, action, entry.spec.name, source)
        return self._card(entry)

    async def limits(self, principal: Principal, source: str = "") -> Sequence[LimitView]:
        """A caller's limits and what is left of them, those per model for each that it may list.

        Raises `Unavailable`.
        """
        models = [card.id for card in self.models(principal, source)]
        return await self.limiter.view(principal, models)

    def _at_hand(self, principal: Principal) -> CompiledPolicies:
        """What `authenticate` fetched; gone only where very many others were fetched since."""
        policies = self.policies.held(principal)
        if policies is None:
            raise Unavailable(
                Refusal.AUTH_UNAVAILABLE, "Your policies are not at hand.", retry_after_s=1.0
            )
        return policies

    def _judge(
        self,
        policies: CompiledPolicies,
        principal: Principal,
        action: Permission,
        spec: ModelSpec,
        source: str,
    ) -> Decision:
        circumstances = Circumstances(self.clock.now(), source, principal.claims)
        return decision(policies, principal, action, _target(spec), circumstances)

    def readiness(self) -> Readiness:
        """What is ready: with the registry here, one model that can answer is enough."""
        snapshot = self.catalog.snapshot
        if snapshot is None:
            return Readiness(
                ready=False, waiting=("the model registry has not been received",), models=()
            )
        cards = tuple(self._card(entry) for entry in snapshot.entries)
        waiting = tuple(
            f"model {card.id}: {card.detail or card.state}"
            for card in cards
            if card.state != ModelState.READY
        )
        return Readiness(not cards or len(waiting) < len(cards), waiting, cards)

    def _card(self, entry: Entry) -> ModelCard:
        created = self.catalog.snapshot.created if self.catalog.snapshot else 0
        spec, status = entry.spec, entry.status
        return ModelCard(
            spec.name, created, spec.owner, status.state.value, status.detail, status.progress
        )


class Exchange:
    """One request and its answer.

    Attributes (valid inside the `async with` block):
        streaming: whether the answer is a stream of SSE events.
        first: the whole JSON body, or the first SSE bytes.
        headers: response headers about the caller's limits.
        usage: the tokens of the answer once it is complete, else None.
    """

    __slots__ = (
        "_call", "_finish_reason", "_first_is_due", "_frames", "_pipeline", "_reservation",
        "_story", "_timeout", "first", "headers", "model", "streaming", "usage",
    )  # fmt: skip

    def __init__(self, pipeline: Pipeline, call: Call) -> None:
        self._pipeline = pipeline
        self._call = call
        self._frames: AsyncGenerator[Frame, None] | None = None
        self._reservation: Reservation | None = None
        self._story = Story(
            call, pipeline.signals, pipeline.clock, pipeline.tracing, pipeline.contents
        )
        remaining = call.deadline.remaining_s(self._story.started)
        first_token_s = self._first_token_s
        self._first_is_due = first_token_s < remaining
        self._timeout = asyncio.timeout(min(remaining, first_token_s))
        self.first = b""
        self.headers: tuple[tuple[bytes, bytes], ...] = ()
        self.model = ""
        self.streaming = False
        self.usage: Usage | None = None
        self._finish_reason = ""

    async def __aenter__(self) -> Self:
        self._pipeline.ongoing += 1
        await self._timeout.__aenter__()
        try:
            await self._open()
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._story.mark("rest")
        ended = await self._finish(error)
        self._pipeline.ongoing -= 1
        refused = isinstance(ended, Refused)
        self._story.end(
            _outcome(ended),
            self.model,
            self.usage,
            self._finish_reason,
            refused=refused,
            stream=self.streaming,
        )
        if ended is not None and ended is not error:
            raise ended from None

    async def rest(self) -> AsyncGenerator[bytes, None]:
        """The SSE bytes after `first`. Raises `Refused` where the answer breaks off."""
        if self._frames is None or self._complete():
            return
        async for frame in self._frames:
            data = self._take(frame)
            self._note_completion()
            if data:
                yield data
            if self._complete():
                return
        raise _broken_off()

    def _complete(self) -> bool:
        return self.usage is not None

    def _note_completion(self) -> None:
        """Journal a whole answer before its last byte goes out."""
        if self.usage is not None:
            self._story.complete(self.model, self.usage, self._finish_reason, stream=self.streaming)

    async def _open(self) -> None:
        pipeline, call = self._pipeline, self._call
        if pipeline.ongoing > pipeline.settings.ongoing_max:
            raise Overloaded(
                Refusal.OVERLOADED, "Too many requests are being answered.", retry_after_s=1.0
            )
        principal = pipeline.authenticator.cached(call.credential, call.source)
        if principal is None:
            principal = await pipeline.who(call.credential, call.source)
        story = self._story
        story.mark("authenticate")
        pipeline.last_used.note(principal.key)
        pipeline.authorize(principal, Permission.MODEL_INVOKE, call.source)
        body = parse(call.operation, call.body)
        story.mark("parse")
        spec = pipeline.catalog.resolve(body.model, principal).spec
        story.mark("resolve")
        if principal.policies:
            await pipeline.permit(principal, spec, call.source)
        check_bounds(body, spec)
        self.model, self.streaming = spec.name, body.stream
        story.mark("authorize")
        limiter = pipeline.limiter
        reservation = limiter.try_reserve(principal, spec, body)
        if reservation is None:
            reservation = await limiter.reserve(call.request_id, principal, spec, body)
        self._reservation = reservation
        self.headers = reservation.headers
        story.mark("reserve")
        if not body.stream:
            # A whole answer takes as long as it takes.
            self._await_the_rest()
        service_class = principal.share.class_for(body.service_tier)
        story.admit(
            Admitted.of(
                principal,
                spec,
                call.operation,
                stream=body.stream,
                estimated_tokens=reservation.tokens,
                service_class=service_class,
            ),
            principal,
        )
        request = EngineRequest(
            call.request_id,
            call.operation,
            call.body,
            spec.name,
            body.stream,
            principal.organization,
            call.deadline.remaining_s(pipeline.clock.monotonic()),
            pipeline.holder,
            principal.share.weight,
            service_class,
            reservation.tokens,
            body.choices,
            "" if call.trace is None else call.trace.below(call.request_id).parent,
        )
        self.first = await self._first_bytes(request)
        story.begin_answer()
        if body.stream and story.first_token_s is not None:
            labels = (("model", spec.name),)
            metric = Metric.TIME_TO_FIRST_TOKEN_SECONDS
            pipeline.signals.observe(metric, story.first_token_s, labels)
            self._await_the_rest()
        self._note_completion()

    def _await_the_rest(self) -> None:
        """From here on only the request's own deadline holds."""
        left = self._call.deadline.remaining_s(self._pipeline.clock.monotonic())
        self._timeout.reschedule(asyncio.get_running_loop().time() + left)
        self._first_is_due = False

    async def _first_bytes(self, request: EngineRequest) -> bytes:
        """The first bytes; a replica that is lost before them is replaced by another one.

        A replica is lost where the way to it breaks, and where it says that its engine died.
        """
        tries = 1
        while True:
            try:
                return self._take(await self._first_frame(request))
            except Overloaded:
                self.usage = self.usage or Usage()  # it was never let in: it has used no token
                raise
            except Unavailable as error:
                if error.reason is not Refusal.ENGINE_DIED or tries == _TRIES:
                    raise
            tries += 1
            self.usage = None
            await self._close_frames()

    async def _first_frame(self, request: EngineRequest) -> Frame:
        if not request.stream:
            return await self._pipeline.dispatcher.unary(request)
        self._frames = self._pipeline.dispatcher.stream(request)
        frame = await anext(self._frames, None)
        if frame is None:
            raise _broken_off()
        return frame

    def _take(self, frame: Frame) -> bytes:
        side = frame.sidecar
        if side is not None:
            self.usage = side.usage
            self._finish_reason = side.finish_reason
            if side.refused is not None:
                raise side.refused
        if self._story.draft is not None:
            self._story.draft.add(frame.data)
        return frame.data

    async def _finish(self, error: BaseException | None) -> BaseException | None:
        """Give everything back; returns what the exchange ends with, and never raises.

        The timer is stopped in every case: one that stays armed would cancel a later await.
        """
        try:
            await self._release()
        except BaseException as failure:
            error = failure
        try:
            await self._timeout.__aexit__(None if error is None else type(error), error, None)
        except TimeoutError:
            return self._too_late()
        if self._timeout.expired() and isinstance(error, Exception):
            # Somebody turned our cancellation into an error of its own; a refusal stands.
            return error if isinstance(error, Refused) else self._too_late()
        return error

    async def _release(self) -> None:
        reservation, self._reservation = self._reservation, None
        try:
            await self._close_frames()
        finally:
            if reservation is not None:
                self._pipeline.settling.settle(reservation, self.usage, self._call.request_id)

    async def _close_frames(self) -> None:
        frames, self._frames = self._frames, None
        if frames is not None:
            await frames.aclose()

    @property
    def _first_token_s(self) -> float:
        return self._pipeline.settings.first_token_s

    def _too_late(self) -> DeadlineExceeded:
        if self._first_is_due:
            return DeadlineExceeded.of("The first token", self._first_token_s)
        return DeadlineExceeded.of("The request", self._call.deadline.limit_s)


def _target(spec: ModelSpec) -> Target:
    """A model as policies see it."""
    attributes = (
        ("dataClass", spec.data_class), ("owner", spec.owner), ("region", spec.region),
    )  # fmt: skip
    return Target("Model", spec.name, attributes)


def _outcome(error: BaseException | None) -> str:
    """The metric's word for how an exchange ended."""
    if error is None:
        return "ok"
    if isinstance(error, Refused):
        return error.reason.value
    if isinstance(error, (asyncio.CancelledError, GeneratorExit, OSError)):
        return "canceled"  # the caller hung up, or its connection broke
    return Refusal.INTERNAL_ERROR.value


def _broken_off() -> Unavailable:
    return Unavailable(
        Refusal.ENGINE_DIED, "The model's replica ended without an answer.", retry_after_s=5.0
    )
