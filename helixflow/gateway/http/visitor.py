"""A request on its way to the administration's desk, and the desk's answer as a response.

Failure behavior: what the desk refuses is raised and answered in OpenAI's form by the app. Answers
may hold secrets that are shown once, so nobody may keep them.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec
from fastapi import Depends, Header, Path, Query, Request, Response

from helixflow.api.administration import ID_LENGTH_MAX, Asked
from helixflow.errors import Refusal
from helixflow.gateway.http.credential import source_of
from helixflow.gateway.http.note import note_of
from helixflow.gateway.http.openapi import CLOSED, REQUEST_ID_HEADER, refusals
from helixflow.gateway.ports import Desk
from helixflow.inference.desk import DeskAnswer, DeskCall

PAGE_MAX = 100
_KEY_LENGTH_MAX = 255
_TAGS_LENGTH_MAX = 1024

IdempotencyKey: TypeAlias = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=_KEY_LENGTH_MAX,
        description="The same key with the same request gets the same answer and changes nothing.",
    ),
]
IfMatch: TypeAlias = Annotated[
    str | None,
    Header(
        alias="If-Match",
        max_length=_TAGS_LENGTH_MAX,
        description="The entity tag that was seen last; if it is another one by then, 412.",
    ),
]
After: TypeAlias = Annotated[
    str | None,
    Query(max_length=ID_LENGTH_MAX, description="The id after which the list goes on."),
]
Limit: TypeAlias = Annotated[int, Query(ge=1, le=PAGE_MAX, description="How many at most.")]
PathId: TypeAlias = Annotated[str, Path(min_length=1, examples=["proj_6b1f"])]

_NO_STORE = "no-store"
_ETAG = {
    "etag": {
        "description": "What `If-Match` takes.",
        "schema": {"type": "string"},
        "example": '"0f8fad5bd9cb469fa1650f8fad5bd9cb"',
    }
}
_WITH_ETAG: dict[int | str, dict[str, Any]] = {200: {"headers": {**REQUEST_ID_HEADER, **_ETAG}}}
_ASKED = (*CLOSED, Refusal.INVALID_VALUE)
_CHANGED = (*_ASKED, Refusal.INVALID_JSON, Refusal.CONFLICT, Refusal.BODY_TOO_LARGE)

LISTS = refusals(*_ASKED, Refusal.RESOURCE_NOT_FOUND)
READS = {**_WITH_ETAG, **LISTS}
CREATES = {**_WITH_ETAG, **refusals(*_CHANGED, Refusal.RESOURCE_NOT_FOUND)}
UPDATES = {
    **_WITH_ETAG,
    **refusals(*_CHANGED, Refusal.RESOURCE_NOT_FOUND, Refusal.PRECONDITION_FAILED),
}
DELETES = refusals(*_ASKED, Refusal.RESOURCE_NOT_FOUND, Refusal.CONFLICT)


class Visitor:
    """A request and what its headers say about the change that it asks for."""

    def __init__(
        self, request: Request, idempotency_key: str | None = None, if_match: str | None = None
    ) -> None:
        self._scope = request.scope
        self._idempotency_key = idempotency_key
        self._if_match = if_match

    @property
    def organization(self) -> str:
        """The caller's; empty where nobody is known."""
        principal = note_of(self._scope).principal
        return "" if principal is None else principal.organization

    async def ask(
        self, desk: Desk, operation: str, body: Asked | None = None, **arguments: object
    ) -> Response:
        """Have an operation done; the path's parts go beside what the body says."""
        given = {} if body is None else body.model_dump(exclude_unset=True)
        return response_of(await self.call(desk, operation, given | arguments))

    async def call(self, desk: Desk, operation: str, arguments: dict[str, Any]) -> DeskAnswer:
        """The desk's answer to an operation. Raises `Refused`."""
        note = note_of(self._scope)
        return await desk.call(
            DeskCall(
                operation,
                note.principal,
                msgspec.json.encode(arguments),
                self._idempotency_key,
                self._if_match,
                note.request_id,
                source_of(self._scope),
            )
        )


async def _reading(request: Request) -> Visitor:
    return Visitor(request)


async def _creating(request: Request, idempotency_key: IdempotencyKey = None) -> Visitor:
    return Visitor(request, idempotency_key)


async def _updating(
    request: Request, idempotency_key: IdempotencyKey = None, if_match: IfMatch = None
) -> Visitor:
    return Visitor(request, idempotency_key, if_match)


Reading: TypeAlias = Annotated[Visitor, Depends(_reading)]
Creating: TypeAlias = Annotated[Visitor, Depends(_creating)]
Updating: TypeAlias = Annotated[Visitor, Depends(_updating)]


def response_of(answer: DeskAnswer, keep: str = _NO_STORE) -> Response:
    """The response; `keep` is its `cache-control`."""
    headers = {"cache-control": keep}
    if answer.etag is not None:
        headers["etag"] = answer.etag
    return Response(answer.body, media_type="application/json", headers=headers)
