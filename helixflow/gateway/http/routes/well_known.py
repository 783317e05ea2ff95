"""What verifies access tokens and where they are granted. Open routes.

Failure behavior: an Ingress answers from its copy (gateway/published.py), so Auth may be away.
"""

from __future__ import annotations

from fastapi import APIRouter, Response

from helixflow.api.auth import Jwks, OpenidConfiguration
from helixflow.errors import Refusal
from helixflow.gateway.http.openapi import refusals
from helixflow.gateway.http.visitor import Reading, response_of
from helixflow.gateway.ports import Desk

_KEEP = "public, max-age=300"
"""No longer than a fresh signing key is published before it signs (`signing_ahead_s`, which is at
least as long). Who meets an unknown `kid` after a rotation on demand asks again (OpenID Connect
Core 1.0, 10.1.1)."""
_REFUSALS = refusals(Refusal.AUTH_UNAVAILABLE, Refusal.INTERNAL_ERROR)


def router(desk: Desk) -> APIRouter:
    """`GET /.well-known/jwks.json` and `GET /.well-known/openid-configuration`."""
    routes = APIRouter(tags=["tokens"])

    @routes.get("/.well-known/jwks.json", response_model=Jwks, responses=_REFUSALS)
    async def jwks(visitor: Reading) -> Response:
        """The keys that verify access tokens (RFC 7517)."""
        return response_of(await visitor.call(desk, "jwks.read", {}), _KEEP)

    @routes.get(
        "/.well-known/openid-configuration",
        response_model=OpenidConfiguration,
        responses=_REFUSALS,
    )
    async def openid_configuration(visitor: Reading) -> Response:
        """Where tokens are granted and keys are published (OpenID Connect Discovery 1.0)."""
        return response_of(await visitor.call(desk, "openid.read", {}), _KEEP)

    return routes
