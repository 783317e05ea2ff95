"""The audit log for auditors: OpenAI's audit logs, exports that anyone can verify, seals, erasures.

Each question goes to Auth first, which knows what the caller may in the place in question, and then
to Telemetry, which has the log.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from fastapi import APIRouter, Depends, Query, Response

from helixflow.api.administration import ID_LENGTH_MAX
from helixflow.api.audit import AuditLogs, AuditSeals, Chain, Erasure, ErasureRequest
from helixflow.errors import Refusal
from helixflow.gateway.http.openapi import CLOSED, REQUEST_ID_HEADER, refusals
from helixflow.gateway.http.pages import PagedResponse
from helixflow.gateway.http.visitor import After, Limit, Reading, Visitor, response_of
from helixflow.gateway.ports import Desk

_LOGS = "/v1/organization/audit_logs"
_VALUES_MAX = 100
_MEDIA_TYPE = "application/x-ndjson"
_ASKED = (
    *CLOSED, Refusal.INVALID_VALUE, Refusal.OVERLOADED, Refusal.TELEMETRY_UNAVAILABLE,
    Refusal.DEADLINE_EXCEEDED,
)  # fmt: skip
_LISTS = refusals(*_ASKED, Refusal.RESOURCE_NOT_FOUND)
_ERASES = refusals(
    *_ASKED, Refusal.INVALID_JSON, Refusal.BODY_TOO_LARGE, Refusal.RESOURCE_NOT_FOUND
)
_EXPORTS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {_MEDIA_TYPE: {"schema": {"type": "string"}}},
        "headers": REQUEST_ID_HEADER,
        "description": "JSON Lines; `helixflow audit verify` checks them.",
    },
    **refusals(*_ASKED),
}

Word: TypeAlias = Annotated[str, Query(min_length=1, max_length=256)]
At: TypeAlias = Annotated[int | None, Query(ge=0, le=100_000_000_000, description="Epoch seconds.")]
Which: TypeAlias = Annotated[
    Chain,
    Query(description="`platform`: what belongs to no organization; for the first one alone."),
]
Before: TypeAlias = Annotated[
    str | None, Query(max_length=ID_LENGTH_MAX, description="The id before which the list ends.")
]


def _some(description: str) -> Any:
    return Query(max_length=_VALUES_MAX, description=description)


def _bracketed(name: str) -> Any:
    """OpenAI writes `event_types[]=a` for what its documentation calls `event_types`."""
    return Query(alias=f"{name}[]", max_length=_VALUES_MAX, include_in_schema=False)


def _time(relation: str, description: str) -> Any:
    alias = f"effective_at[{relation}]"
    return Query(alias=alias, ge=0, le=100_000_000_000, description=description)


class Filters:
    """Which records."""

    def __init__(
        self,
        gt: Annotated[int | None, _time("gt", "After this time, epoch seconds.")] = None,
        gte: Annotated[int | None, _time("gte", "At this time or after.")] = None,
        lt: Annotated[int | None, _time("lt", "Before this time.")] = None,
        lte: Annotated[int | None, _time("lte", "At this time or before.")] = None,
        event_types: Annotated[list[Word] | None, _some("Of these types, or actions.")] = None,
        actor_ids: Annotated[list[Word] | None, _some("By these alone.")] = None,
        project_ids: Annotated[list[Word] | None, _some("In these projects alone.")] = None,
        resource_ids: Annotated[list[Word] | None, _some("Done to these alone.")] = None,
        outcomes: Annotated[
            list[Literal["denied", "done", "failed"]] | None, _some("With these outcomes alone.")
        ] = None,
        types_too: Annotated[list[Word] | None, _bracketed("event_types")] = None,
        actors_too: Annotated[list[Word] | None, _bracketed("actor_ids")] = None,
        projects_too: Annotated[list[Word] | None, _bracketed("project_ids")] = None,
        resources_too: Annotated[list[Word] | None, _bracketed("resource_ids")] = None,
    ) -> None:
        self.project_ids = _both(project_ids, projects_too)
        self.given: dict[str, Any] = {
            "gt": gt, "gte": gte, "lt": lt, "lte": lte,
            "event_types": _both(event_types, types_too),
            "actor_ids": _both(actor_ids, actors_too),
            "project_ids": self.project_ids,
            "resource_ids": _both(resource_ids, resources_too),
            "outcomes": outcomes or [],
        }  # fmt: skip


Filtered: TypeAlias = Annotated[Filters, Depends()]


def router(desk: Desk, records: Desk) -> APIRouter:
    """`/v1/organization/audit_logs` and what lies below it."""
    routes = APIRouter(tags=["audit"])
    auditor = _Auditor(desk, records)

    @routes.get(_LOGS, response_model=AuditLogs, responses=_LISTS)
    async def list_audit_logs(
        visitor: Reading,
        filters: Filtered,
        chain: Which = "organization",
        after: After = None,
        before: Before = None,
        limit: Limit = 20,
    ) -> Response:
        """What happened, the newest first. Of one project alone it takes the permission there."""
        asked = {**filters.given, "after": after, "before": before, "limit": limit}
        return await auditor.list(visitor, chain, filters.project_ids, asked)

    @routes.get(_LOGS + "/export", responses=_EXPORTS, response_class=Response)
    async def export_audit_logs(
        visitor: Reading, since: At = None, until: At = None, chain: Which = "organization"
    ) -> Response:
        """The whole chain as a file, or what happened from then to then; sealed at its end."""
        return await auditor.export(visitor, chain, {"since": since, "until": until})

    @routes.get(_LOGS + "/seals", response_model=AuditSeals, responses=_LISTS)
    async def list_audit_seals(
        visitor: Reading,
        chain: Which = "organization",
        after: Annotated[int, Query(ge=0, le=2**53, description="Over later records.")] = 0,
        limit: Annotated[int, Query(ge=1, le=1000, description="How many at most.")] = 100,
    ) -> Response:
        """Signed heads, the newest record's among them. Who keeps them can prove what was cut."""
        return await auditor.seals(visitor, chain, {"after": after, "limit": limit})

    @routes.post(_LOGS + "/erasures", response_model=Erasure, responses=_ERASES)
    async def erase_person(body: ErasureRequest, visitor: Reading) -> Response:
        """Have the log forget a person; the chain verifies as before. It cannot be undone."""
        return await auditor.erase(visitor, body)

    return routes


class _Auditor:
    """Asks Auth, then Telemetry."""

    def __init__(self, desk: Desk, records: Desk) -> None:
        self._desk = desk
        self._records = records

    async def list(
        self, visitor: Visitor, chain: Chain, projects: Sequence[str], asked: dict[str, Any]
    ) -> Response:
        if chain == "organization" and len(projects) == 1:
            await visitor.call(self._desk, "audit.read_project", {"project_id": projects[0]})
            reach = "named"
        else:
            reach = await self._may(visitor, "audit.read", chain)
        return response_of(
            await visitor.call(self._records, "audit.query", {**asked, "reach": reach})
        )

    async def export(self, visitor: Visitor, chain: Chain, asked: dict[str, Any]) -> Response:
        reach = await self._may(visitor, "audit.read", chain)
        arguments = {**asked, "reach": reach}
        first = await visitor.call(self._records, "audit.export", arguments)

        async def pages() -> AsyncIterator[bytes]:
            body = first.body
            while True:
                cursor, _, lines = body.partition(b"\n")
                yield lines
                following = msgspec.json.decode(cursor)
                if following is None:
                    return
                more = {**arguments, "cursor": following}
                body = (await visitor.call(self._records, "audit.export", more)).body

        headers = {
            "cache-control": "no-store",
            "content-disposition": f'attachment; filename="audit-{chain}.jsonl"',
        }
        return PagedResponse(pages(), media_type=_MEDIA_TYPE, headers=headers)

    async def seals(self, visitor: Visitor, chain: Chain, asked: dict[str, Any]) -> Response:
        reach = await self._may(visitor, "audit.read", chain)
        return response_of(
            await visitor.call(self._records, "audit.seals", {**asked, "reach": reach})
        )

    async def erase(self, visitor: Visitor, body: ErasureRequest) -> Response:
        reach = await self._may(visitor, "audit.erase", body.chain)
        asked = {"person": body.person, "reach": reach}
        return response_of(await visitor.call(self._records, "audit.erase_person", asked))

    async def _may(self, visitor: Visitor, operation: str, chain: Chain) -> Chain:
        """How far the caller reaches. Raises `Forbidden`."""
        suffix = "_platform" if chain == "platform" else ""
        await visitor.call(self._desk, operation + suffix, {})
        return chain


def _both(one: Sequence[str] | None, other: Sequence[str] | None) -> list[str]:
    return [*(one or ()), *(other or ())]
