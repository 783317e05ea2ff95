"""What the shield notes about a request, for the face behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from helixflow.errors import Refusal, Unauthenticated
from helixflow.ids import RequestId, mint_request_id
from helixflow.inference.principal import Principal
from helixflow.inference.trace import TraceContext

SCOPE_KEY = "helixflow"


class RequestNote:
    """Travels in the ASGI scope.

    Attributes:
        request_id: ours; on every answer as `x-request-id`.
        client_request_id: what the client called it; shown in logs, never used as an identity.
        abort: drops the client's connection at once, unsent bytes included; None where the server
            gives no way to do that.
        trace: the place in a trace that the client sent.
        route: the template of the route that answers; empty where it is none.
        principal: the caller, once authenticated (set before a route of the closed ones runs).
    """

    __slots__ = ("abort", "client_request_id", "principal", "request_id", "route", "trace")

    def __init__(
        self,
        request_id: RequestId,
        client_request_id: str = "",
        abort: Callable[[], object] | None = None,
        trace: TraceContext | None = None,
    ) -> None:
        self.request_id = request_id
        self.client_request_id = client_request_id
        self.abort = abort
        self.trace = trace
        self.principal: Principal | None = None
        self.route = ""

    def __reduce__(
        self,
    ) -> tuple[type[RequestNote], tuple[RequestId, str, None, TraceContext | None]]:
        """Serve's own proxy pickles scopes; a connection stays where it is."""
        return (RequestNote, (self.request_id, self.client_request_id, None, self.trace))


def note_of(scope: Any) -> RequestNote:
    """The note of an ASGI scope; where no shield stands before the face, one is made."""
    note = scope.get(SCOPE_KEY)
    if not isinstance(note, RequestNote):
        trace = TraceContext.within(scope.get("headers", ()))
        note = scope[SCOPE_KEY] = RequestNote(mint_request_id(), trace=trace)
    return note


def principal_of(scope: Any) -> Principal:
    """The caller of a route that is not open. Raises `Unauthenticated`."""
    principal = note_of(scope).principal
    if principal is None:  # only where no gate stands before the routes
        raise Unauthenticated(Refusal.MISSING_API_KEY, "You did not provide an API key.")
    return principal
