"""What an Ingress asks of the administration's desk in Auth, and what the desk answers.

An operation is `resource.action`: `project.create`, `api_key.rotate`, `token.grant`, `jwks.read`.
`identity/desk.py` holds all of them with their arguments and permissions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from helixflow.errors import RefusalWire, Refused
from helixflow.inference.principal import Principal, PrincipalWire

DeskCallWire: TypeAlias = tuple[
    int, str, PrincipalWire | None, bytes, str | None, str | None, str, str
]
"""`(version, operation, principal, arguments, idempotency_key, if_match, request_id, source)`."""

DeskAnswerWire: TypeAlias = tuple[int, bytes, str | None, RefusalWire | None]
"""`(version, body, etag, refusal)`."""

_VERSION = 1
_SLOW = frozenset({"invite.create", "token.grant", "user.create", "user.update"})


@dataclass(frozen=True, slots=True)
class DeskCall:
    """One administrative request.

    Attributes:
        operation: `resource.action`.
        principal: who asks; None where the operation is open (tokens and published keys).
        arguments: a JSON object with the operation's arguments; may hold secrets.
        idempotency_key: what the client called this change; the same one changes nothing twice.
        if_match: the entity tag that the client saw last.
        request_id: ours.
        source: the client's address, as far as the face can vouch for it.
    """

    operation: str
    principal: Principal | None
    arguments: bytes = b"{}"
    idempotency_key: str | None = None
    if_match: str | None = None
    request_id: str = ""
    source: str = ""

    @property
    def slow(self) -> bool:
        """Whether a password may be hashed, which takes longer than a control call has."""
        return self.operation in _SLOW

    def __repr__(self) -> str:
        return f"DeskCall({self.operation!r}, request_id={self.request_id!r})"

    def to_wire(self) -> DeskCallWire:
        principal = None if self.principal is None else self.principal.to_wire()
        return (
            _VERSION, self.operation, principal, self.arguments, self.idempotency_key,
            self.if_match, self.request_id, self.source,
        )  # fmt: skip

    @staticmethod
    def from_wire(wire: DeskCallWire) -> DeskCall:
        _, operation, principal, arguments, key, if_match, request_id, source = wire
        return DeskCall(
            operation,
            None if principal is None else Principal.from_wire(principal),
            arguments,
            key,
            if_match,
            request_id,
            source,
        )


@dataclass(frozen=True, slots=True)
class DeskAnswer:
    """What came of it: a JSON body, and the entity tag of what it shows, where it has one."""

    body: bytes
    etag: str | None = None

    def __repr__(self) -> str:
        return f"DeskAnswer({len(self.body)} bytes)"

    def to_wire(self) -> DeskAnswerWire:
        return (_VERSION, self.body, self.etag, None)

    @staticmethod
    def from_wire(wire: DeskAnswerWire) -> DeskAnswer:
        """The answer. Raises the `Refused` that stands in its place."""
        _, body, etag, refusal = wire
        if refusal is not None:
            raise Refused.from_wire(refusal)
        return DeskAnswer(body, etag)


def refusal_wire(refused: Refused) -> DeskAnswerWire:
    """A refusal in the place of an answer."""
    return (_VERSION, b"", None, refused.to_wire())
