"""A pipeline without anything behind it, for tests of the faces."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from helixflow.errors import Forbidden, NotFound, Refusal, Refused, Unauthenticated
from helixflow.ids import KeyId, OrganizationId, ProjectId
from helixflow.inference.principal import Principal
from helixflow.inference.request import Call

KEY = "hx-proj-test"


@dataclass(frozen=True, slots=True)
class FakeCard:
    """`gateway.http.ports.Card`."""

    id: str = "echo-1"
    created: int = 1_700_000_000
    owned_by: str = "helixflow"
    state: str = "ready"
    detail: str = ""
    progress: float = 1.0


@dataclass(frozen=True, slots=True)
class FakeLimit:
    """`gateway.http.ports.OwnLimit`."""

    name: str = "requests_per_minute"
    scope: str = "key=key_1"
    limit: float = 60.0
    remaining: float | None = 59.0
    reset_s: float | None = 1.5


@dataclass(frozen=True, slots=True)
class FakeReadiness:
    """`gateway.http.ports.Ready`."""

    ready: bool = True
    waiting: tuple[str, ...] = ()
    models: tuple[FakeCard, ...] = (FakeCard(),)


class FakeExchange:
    """An answer as scripted."""

    def __init__(self, script: Script, streaming: bool) -> None:
        self._script = script
        self.streaming = streaming
        self.headers = script.headers
        self.first = script.frames[0] if streaming else script.whole

    async def rest(self) -> AsyncIterator[bytes]:
        """The frames after the first, then what the script ends with."""
        for frame in self._script.frames[1:]:
            yield frame
        if self._script.hold is not None:
            await self._script.hold.wait()
        if self._script.breaks is not None:
            raise self._script.breaks


@dataclass
class Script:
    """What the next exchanges do.

    Attributes:
        whole: the body of an answer that is not streamed.
        frames: the SSE bytes of one that is.
        headers: the exchange's response headers.
        refuse: raised before the first byte.
        breaks: raised after the frames.
        hold: waited for before the answer (not streamed), or after the frames (streamed).
    """

    whole: bytes = b'{"object":"chat.completion","choices":[]}'
    frames: Sequence[bytes] = (b'data: {"choices":[]}\n\n', b"data: [DONE]\n\n")
    headers: tuple[tuple[bytes, bytes], ...] = ()
    refuse: Exception | None = None
    breaks: Exception | None = None
    hold: asyncio.Event | None = None


@dataclass
class FakePipeline:
    """`gateway.http.ports.Service` that knows one key and answers as its script says.

    Attributes:
        script: what exchanges do.
        calls: every call that came in.
        outcomes: how each exchange was left: `ok`, or the name of what was raised in it.
        left: set whenever an exchange is left.
        permissions: what the one key may do.
    """

    script: Script = field(default_factory=Script)
    calls: list[Call] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    cards: tuple[FakeCard, ...] = (FakeCard(),)
    ready: FakeReadiness = field(default_factory=FakeReadiness)
    own_limits: tuple[FakeLimit, ...] = (FakeLimit(),)
    permissions: frozenset[str] = frozenset({"model:invoke", "model:list", "model:read"})
    faulty: bool = False

    @asynccontextmanager
    async def exchange(self, call: Call) -> AsyncGenerator[FakeExchange, None]:
        """See `Service.exchange`."""
        self.calls.append(call)
        outcome = "ok"
        try:
            await self.authenticate(call.credential)
            self.entered.set()
            if self.script.refuse is not None:
                raise self.script.refuse
            streaming = bool(json.loads(call.body).get("stream"))
            if not streaming and self.script.hold is not None:
                await self.script.hold.wait()
            yield FakeExchange(self.script, streaming)
        except BaseException as error:
            outcome = error.reason.value if isinstance(error, Refused) else type(error).__name__
            raise
        finally:
            self.outcomes.append(outcome)
            self.left.set()

    async def authenticate(self, credential: str | None, source: str = "") -> Principal:
        """See `Service.authenticate`."""
        if credential is None:
            raise Unauthenticated(Refusal.MISSING_API_KEY, "You did not provide an API key.")
        if credential != KEY:
            raise Unauthenticated(Refusal.INVALID_API_KEY, "Incorrect API key provided.")
        return Principal(
            OrganizationId("org_1"), ProjectId("proj_1"), KeyId("key_1"), "test", self.permissions
        )

    def authorize(self, principal: Principal, permission: str, source: str = "") -> None:
        """See `Service.authorize`."""
        if permission not in principal.permissions:
            raise Forbidden(Refusal.PERMISSION_DENIED, f"{permission} is not permitted.")

    def models(self, principal: Principal, source: str = "") -> Sequence[FakeCard]:
        """See `Service.models`."""
        if self.faulty:
            raise ZeroDivisionError("a fault with a secret in it")
        return self.cards

    def model(self, name: str, principal: Principal, source: str = "") -> FakeCard:
        """See `Service.model`."""
        for card in self.cards:
            if card.id == name:
                return card
        raise NotFound(
            Refusal.MODEL_NOT_FOUND, f"The model {name!r} does not exist.", param="model"
        )

    async def limits(self, principal: Principal, source: str = "") -> Sequence[FakeLimit]:
        """See `Service.limits`."""
        return self.own_limits

    def readiness(self) -> FakeReadiness:
        """See `Service.readiness`."""
        return self.ready
