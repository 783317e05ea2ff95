"""Telemetry's desk: what an Ingress asks of usage, costs, audit and metrics.

Each part brings a table of operations (`usage.read`, `audit.query`, `metrics.read`) with its typed
arguments. Closed unless listed: what is in no table is refused, and so is who lacks the permission.
An operation is given the caller's scope and answers for nothing outside it.

Failure behavior: refusals come back as answers. More questions at once than `queries_max` are
refused as `overloaded`, one that takes longer than `query_s` as `deadline_exceeded`. A fault of
ours is logged with the request id, and the caller is told nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from helixflow.errors import (
    DeadlineExceeded,
    Forbidden,
    InvalidRequest,
    NotFound,
    Overloaded,
    Refusal,
    Refused,
    Unauthenticated,
)
from helixflow.ids import OrganizationId, ProjectId
from helixflow.inference.desk import (
    DeskAnswer,
    DeskAnswerWire,
    DeskCall,
    DeskCallWire,
    refusal_wire,
)
from helixflow.inference.principal import Principal
from helixflow.settings import HubSettings

_log = logging.getLogger(__name__)


class Arguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The root of all arguments."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose facts a caller may read.

    Attributes:
        organization: nothing outside it exists for the caller.
        project: nothing outside it either; None for an admin key, which reads all of its
            organization.
    """

    organization: OrganizationId
    project: ProjectId | None

    @staticmethod
    def of(principal: Principal) -> Scope:
        """The scope of a caller."""
        return Scope(principal.organization, principal.project or None)


@dataclass(frozen=True, slots=True)
class Visit:
    """Who asks.

    Attributes:
        principal: the caller.
        request_id: ours.
        source: the caller's address, as far as the face can vouch for it.
    """

    principal: Principal
    request_id: str = ""
    source: str = ""

    @property
    def scope(self) -> Scope:
        """Whose facts the caller may read."""
        return Scope.of(self.principal)


Run: TypeAlias = Callable[[Visit, Any], Awaitable[object]]
"""Answers a visit with its arguments: bytes go out as they are, anything else as JSON."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation.

    Attributes:
        name: `resource.action`.
        permission: what the caller must be permitted (`usage:read`).
        arguments: what it takes.
        run: does it. Raises `Refused`.
    """

    name: str
    permission: str
    arguments: type[Arguments]
    run: Run


class Desk:
    """Answers `DeskCall`s. For one event loop. Raises ValueError for two operations of one name."""

    def __init__(self, operations: Iterable[Operation], settings: HubSettings) -> None:
        self._settings = settings
        self._operations: dict[str, Operation] = {}
        self._running = 0
        for operation in operations:
            if operation.name in self._operations:
                raise ValueError(f"two operations are called {operation.name!r}")
            self._operations[operation.name] = operation

    async def handle(self, wire: DeskCallWire) -> DeskAnswerWire:
        """The answer to a call, or the refusal in its place; nothing is raised."""
        call = DeskCall.from_wire(wire)
        try:
            return (await self.answer(call)).to_wire()
        except Refused as refused:
            return refusal_wire(refused)
        except Exception as error:
            _log.error("request %s failed", call.request_id, exc_info=error)
            message = f"The server had an error while processing your request ({call.request_id})."
            return refusal_wire(Refused(Refusal.INTERNAL_ERROR, message))

    async def answer(self, call: DeskCall) -> DeskAnswer:
        """What comes of a call. Raises `Refused`."""
        operation = self._operations.get(call.operation)
        if operation is None:
            raise NotFound(Refusal.ROUTE_NOT_FOUND, "There is no such operation.")
        if call.principal is None:
            raise Unauthenticated(Refusal.MISSING_API_KEY, "You did not provide an API key.")
        if operation.permission not in call.principal.permissions:
            raise Forbidden(
                Refusal.PERMISSION_DENIED,
                f"This credential does not have the permission {operation.permission}.",
            )
        arguments = _decode(operation.arguments, call.arguments)
        visit = Visit(call.principal, call.request_id, call.source)
        return DeskAnswer(await self._run(operation, visit, arguments))

    async def _run(self, operation: Operation, visit: Visit, arguments: Arguments) -> bytes:
        if self._running >= self._settings.queries_max:
            raise Overloaded(
                Refusal.OVERLOADED, "Too many questions are being answered.", retry_after_s=1.0
            )
        timer = asyncio.timeout(self._settings.query_s)
        self._running += 1
        try:
            async with timer:
                body = await operation.run(visit, arguments)
        except TimeoutError:
            if timer.expired():
                raise DeadlineExceeded.of("The question", self._settings.query_s) from None
            raise
        finally:
            self._running -= 1
        return body if isinstance(body, bytes) else msgspec.json.encode(body)


def _decode(kind: type[Arguments], data: bytes) -> Arguments:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        # The faces check fields one by one; what fails here came by another way.
        raise InvalidRequest(
            Refusal.INVALID_VALUE, "The arguments do not fit the operation."
        ) from None
