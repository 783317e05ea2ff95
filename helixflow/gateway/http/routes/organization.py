"""The organization itself."""

from __future__ import annotations

from fastapi import APIRouter, Response

from helixflow.api.limits import Organization, OrganizationRequest
from helixflow.gateway.http.visitor import READS, UPDATES, Reading, Updating
from helixflow.gateway.ports import Desk

_ROOT = "/v1/organization"


def router(desk: Desk) -> APIRouter:
    """`/v1/organization`."""
    routes = APIRouter(tags=["organization"])

    @routes.get(_ROOT, response_model=Organization, responses=READS)
    async def retrieve_organization(visitor: Reading) -> Response:
        """The organization, its tier, and its share of contended models."""
        return await visitor.ask(desk, "organization.read")

    @routes.post(_ROOT, response_model=Organization, responses=UPDATES)
    async def modify_organization(body: OrganizationRequest, visitor: Updating) -> Response:
        """Change what is given. Tier, weight and service class are changed by the platform's first
        organization alone."""
        return await visitor.ask(desk, "organization.update", body)

    return routes
