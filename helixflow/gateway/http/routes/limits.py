"""What a caller may use, and what is left of it."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from helixflow.api.limits import OwnLimit, OwnLimits
from helixflow.errors import Refusal
from helixflow.gateway.http.credential import source_of
from helixflow.gateway.http.note import principal_of
from helixflow.gateway.http.openapi import REQUEST_ID_HEADER, refusals
from helixflow.gateway.http.ports import Service

_REFUSALS = refusals(
    Refusal.MISSING_API_KEY, Refusal.INVALID_API_KEY, Refusal.EXPIRED_API_KEY,
    Refusal.AUTH_UNAVAILABLE, Refusal.LIMITS_UNAVAILABLE, Refusal.REGISTRY_UNAVAILABLE,
    Refusal.INTERNAL_ERROR,
)  # fmt: skip


def router(service: Service) -> APIRouter:
    """`GET /v1/limits`."""
    routes = APIRouter(tags=["limits"])

    @routes.get("/v1/limits", responses={200: {"headers": REQUEST_ID_HEADER}, **_REFUSALS})
    async def list_own_limits(request: Request, response: Response) -> OwnLimits:
        """The limits that hold for this credential, and what is left of them at the moment."""
        response.headers["cache-control"] = "no-store"
        told = await service.limits(principal_of(request.scope), source_of(request.scope))
        return OwnLimits(
            data=[
                OwnLimit.model_validate(
                    {
                        "name": limit.name,
                        "scope": limit.scope,
                        "limit": limit.limit,
                        "remaining": limit.remaining,
                        "reset_seconds": limit.reset_s,
                    }
                )
                for limit in told
            ]
        )

    return routes
