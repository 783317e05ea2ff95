"""What the pipeline needs of the processes around it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable
from typing import Protocol

from helixflow.identity.cedar import CompiledPolicies
from helixflow.ids import RequestId
from helixflow.inference.desk import DeskAnswer, DeskCall
from helixflow.inference.frame import Frame
from helixflow.inference.principal import Principal
from helixflow.inference.request import Call, EngineRequest
from helixflow.inference.usage import Usage
from helixflow.routing.registry import Snapshot


class Authenticator(Protocol):
    """Who is calling. `identity.authenticator.Authenticator` implements it."""

    def cached(self, credential: str | None, source: str = "") -> Principal | None:
        """The caller, if a fresh verdict is at hand; None sends the caller to `authenticate`."""
        ...

    async def authenticate(self, credential: str | None, source: str = "") -> Principal:
        """The caller. `source` is the client's address; some credentials are bound to networks.

        Raises `Unauthenticated`, `Forbidden`, or `Unavailable` where nobody can tell.
        """
        ...


class Policies(Protocol):
    """The policies that hold for a caller. `identity.policy_copies.PolicyCopies` implements it."""

    def held(self, principal: Principal) -> CompiledPolicies | None:
        """They, if they are at hand; None sends the caller to `fetch`. Never waits."""
        ...

    async def fetch(self, principal: Principal) -> CompiledPolicies:
        """They, asked for. Raises `Unavailable` where nobody can tell."""
        ...


class RevisionSource(Protocol):
    """Auth, as an Ingress asks it for news."""

    async def changed(self, known: int, wait_s: float) -> int:
        """The newest identity revision, as soon as it is above `known` or after `wait_s` seconds.

        Raises `Unavailable` (`auth_unavailable`) where Auth does not answer.
        """
        ...


class Desk(Protocol):
    """The administration's desk in Auth (identity/desk.py), as an Ingress calls it."""

    async def call(self, call: DeskCall) -> DeskAnswer:
        """What came of an administrative request.

        Raises whatever `Refused` the desk answers with, and `Unavailable` (`auth_unavailable`)
        where it does not answer in time. `call.slow` says that passwords are hashed.
        """
        ...


class Dispatcher(Protocol):
    """Carries a request to a replica of its model and the answer back.

    Both raise `Unavailable` (`engine_died`) when the replica is lost on the way and `Overloaded`
    when too many requests already wait. Cancelling, or closing the generator, cancels the request
    in the replica.
    """

    async def unary(self, request: EngineRequest) -> Frame:
        """The whole answer as one frame."""
        ...

    def stream(self, request: EngineRequest) -> AsyncGenerator[Frame, None]:
        """The answer's frames; the last one has a sidecar."""
        ...

    def left(self, request_id: RequestId) -> Awaitable[Usage | None] | None:
        """What a request that was left early had used by then, as soon as its replica says so.

        None, at once or in the end (soon, in any case), where nobody does. To be asked once.
        """
        ...


class Draft(Protocol):
    """The content of one request while it is answered. Never waits and never raises."""

    def add(self, data: bytes) -> None:
        """A part of the answer, as it is sent."""
        ...

    def end(self, outcome: str) -> None:
        """The exchange is over; `outcome` is the metric's word for how."""
        ...


class Contents(Protocol):
    """Where the content of requests is kept, of projects that want it. Never waits, never raises.

    `telemetry.content.keeper.Keeper` implements it.
    """

    def begin(self, principal: Principal, call: Call, model: str) -> Draft | None:
        """A request was admitted; None where there is no room for its content."""
        ...


class RegistrySource(Protocol):
    """Router, as an Ingress asks it for what it serves."""

    async def snapshot(self, epoch: str, revision: int, wait_s: float) -> Snapshot | None:
        """The registry, as soon as it differs from the named one; None after `wait_s` seconds.

        Raises `Unavailable` (`registry_unavailable`) where Router does not answer.
        """
        ...
