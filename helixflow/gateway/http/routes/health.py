"""Is the process alive, and can requests be answered."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from helixflow.api.models import Health, ModelReadiness, Readiness
from helixflow.gateway.http.ports import Service

_NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {"model": Readiness, "description": "No request can be answered yet."}
}


def router(service: Service) -> APIRouter:
    """`GET /healthz` and `GET /readyz`, both open."""
    routes = APIRouter(tags=["health"])

    @routes.get("/healthz")
    async def healthz() -> Health:
        """The process answers; nothing else is asked."""
        return Health()

    @routes.get("/readyz", responses=_NOT_READY)
    async def readyz(response: Response) -> Readiness:
        """Whether requests can be answered, and what is not ready; 503 where none can be."""
        state = service.readiness()
        response.status_code = 200 if state.ready else 503
        response.headers["cache-control"] = "no-store"
        return Readiness(
            ready=state.ready,
            waiting=list(state.waiting),
            models=[
                ModelReadiness(
                    id=card.id, state=card.state, detail=card.detail, progress=card.progress
                )
                for card in state.models
            ],
        )

    return routes
