"""What projects may use of each model, as OpenAI's administration has it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from helixflow.api.administration import Listed
from helixflow.api.limits import RateLimit, RateLimitRequest
from helixflow.errors import NotFound, Refusal
from helixflow.gateway.http.credential import source_of
from helixflow.gateway.http.note import principal_of
from helixflow.gateway.http.openapi import refusals
from helixflow.gateway.http.ports import Service
from helixflow.gateway.http.visitor import (
    CREATES,
    LISTS,
    After,
    Creating,
    Limit,
    PathId,
    Reading,
)
from helixflow.gateway.ports import Desk

_RATES = "/v1/organization/projects/{project_id}/rate_limits"
_PREFIX = "rl_"
_AWAY = refusals(Refusal.AUTH_UNAVAILABLE, Refusal.REGISTRY_UNAVAILABLE)
_LISTS, _CREATES = {**LISTS, **_AWAY}, {**CREATES, **_AWAY}


def router(desk: Desk, service: Service) -> APIRouter:
    """Projects' `/rate_limits`."""
    routes = APIRouter(tags=["limits"])

    def models(request: Request) -> list[str]:
        cards = service.models(principal_of(request.scope), source_of(request.scope))
        return [card.id for card in cards]

    @routes.get(_RATES, response_model=Listed[RateLimit], responses=_LISTS)
    async def list_project_rate_limits(
        project_id: PathId,
        request: Request,
        visitor: Reading,
        after: After = None,
        limit: Limit = 100,
    ) -> Response:
        """What a project may use of each model, wherever that was said; the models by name."""
        return await visitor.ask(
            desk,
            "project_rate_limit.list",
            project_id=project_id,
            models=models(request),
            after=after,
            limit=limit,
        )

    @routes.post(_RATES + "/{rate_limit_id}", response_model=RateLimit, responses=_CREATES)
    async def modify_project_rate_limit(
        project_id: PathId,
        rate_limit_id: Annotated[str, Path(min_length=1, examples=["rl_smollm2-135m-instruct"])],
        body: RateLimitRequest,
        request: Request,
        visitor: Creating,
    ) -> Response:
        """Set what is given for one model; null takes away what was set here."""
        model = rate_limit_id.removeprefix(_PREFIX)
        if model == rate_limit_id or model not in models(request):
            raise NotFound(Refusal.RESOURCE_NOT_FOUND, "There is no such rate limit.")
        return await visitor.ask(
            desk, "project_rate_limit.update", body, project_id=project_id, model=model
        )

    return routes
