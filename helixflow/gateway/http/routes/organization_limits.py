"""Limits that stand in the place of what the organization's tier says."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from helixflow.api.administration import ID_LENGTH_MAX, Deleted, Listed
from helixflow.api.limits import Limit, LimitRequest, LimitUpdateRequest
from helixflow.gateway.http.visitor import (
    CREATES,
    DELETES,
    LISTS,
    READS,
    UPDATES,
    After,
    Creating,
    PathId,
    Reading,
    Updating,
)
from helixflow.gateway.http.visitor import Limit as PageSize
from helixflow.gateway.ports import Desk
from helixflow.tiers import ScopeWord

_LIMITS = "/v1/organization/limits"
_LIMIT = _LIMITS + "/{limit_id}"


def router(desk: Desk) -> APIRouter:
    """`/v1/organization/limits`."""
    routes = APIRouter(tags=["limits"])

    @routes.get(_LIMITS, response_model=Listed[Limit], responses=LISTS)
    async def list_limits(
        visitor: Reading,
        after: After = None,
        limit: PageSize = 20,
        entity: Annotated[
            ScopeWord | None, Query(description="Only limits about such entities.")
        ] = None,
        entity_id: Annotated[
            str | None, Query(max_length=ID_LENGTH_MAX, description="Only limits about this one.")
        ] = None,
    ) -> Response:
        """The organization's own limits, oldest first; what its tier gives is in
        `/v1/organization`."""
        return await visitor.ask(
            desk, "limit.list", after=after, limit=limit, entity=entity, entity_id=entity_id
        )

    @routes.post(_LIMITS, response_model=Limit, responses=CREATES)
    async def create_limit(body: LimitRequest, visitor: Creating) -> Response:
        """Let a limit hold. It stands in the place of what is less specific and counts the same
        use under the same name."""
        return await visitor.ask(desk, "limit.create", body)

    @routes.get(_LIMIT, response_model=Limit, responses=READS)
    async def retrieve_limit(limit_id: PathId, visitor: Reading) -> Response:
        """One limit."""
        return await visitor.ask(desk, "limit.read", limit_id=limit_id)

    @routes.post(_LIMIT, response_model=Limit, responses=UPDATES)
    async def modify_limit(
        limit_id: PathId, body: LimitUpdateRequest, visitor: Updating
    ) -> Response:
        """Change the amount, or whether debt is allowed."""
        return await visitor.ask(desk, "limit.update", body, limit_id=limit_id)

    @routes.delete(_LIMIT, response_model=Deleted, responses=DELETES)
    async def delete_limit(limit_id: PathId, visitor: Reading) -> Response:
        """Remove a limit: what is less specific holds again."""
        return await visitor.ask(desk, "limit.delete", limit_id=limit_id)

    return routes
