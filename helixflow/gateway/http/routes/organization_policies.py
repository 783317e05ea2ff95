"""Policies, their explanation, and what the roles permit."""

from __future__ import annotations

from fastapi import APIRouter, Response

from helixflow.api.administration import Deleted, Listed
from helixflow.api.policies import (
    ExplainRequest,
    Judgement,
    Policy,
    PolicyRequest,
    PolicyUpdateRequest,
    Role,
)
from helixflow.gateway.http.visitor import (
    CREATES,
    DELETES,
    LISTS,
    READS,
    UPDATES,
    After,
    Creating,
    Limit,
    PathId,
    Reading,
    Updating,
)
from helixflow.gateway.ports import Desk

_POLICIES = "/v1/organization/policies"
_POLICY = _POLICIES + "/{policy_id}"


def router(desk: Desk) -> APIRouter:
    """`/v1/organization/policies` and `/v1/organization/roles`."""
    routes = APIRouter(tags=["policies"])

    @routes.get(_POLICIES, response_model=Listed[Policy], responses=LISTS)
    async def list_policies(visitor: Reading, after: After = None, limit: Limit = 20) -> Response:
        """The policies of the organization and of its projects, oldest first."""
        return await visitor.ask(desk, "policy.list", after=after, limit=limit)

    @routes.post(_POLICIES, response_model=Policy, responses=CREATES)
    async def create_policy(body: PolicyRequest, visitor: Creating) -> Response:
        """Let a policy be in force; it is checked first."""
        return await visitor.ask(desk, "policy.create", body)

    @routes.post(_POLICIES + "/explain", response_model=Judgement, responses=CREATES)
    async def explain_policies(body: ExplainRequest, visitor: Reading) -> Response:
        """What the policies in force in a project say to a case, and which of them decide."""
        return await visitor.ask(desk, "policy.explain", body)

    @routes.get(_POLICY, response_model=Policy, responses=READS)
    async def retrieve_policy(policy_id: PathId, visitor: Reading) -> Response:
        """One policy."""
        return await visitor.ask(desk, "policy.read", policy_id=policy_id)

    @routes.post(_POLICY, response_model=Policy, responses=UPDATES)
    async def modify_policy(
        policy_id: PathId, body: PolicyUpdateRequest, visitor: Updating
    ) -> Response:
        """Change what is given; `enabled` switches a policy on and off."""
        return await visitor.ask(desk, "policy.update", body, policy_id=policy_id)

    @routes.delete(_POLICY, response_model=Deleted, responses=DELETES)
    async def delete_policy(policy_id: PathId, visitor: Reading) -> Response:
        """Remove a policy."""
        return await visitor.ask(desk, "policy.delete", policy_id=policy_id)

    @routes.get("/v1/organization/roles", response_model=Listed[Role], responses=LISTS)
    async def list_roles(visitor: Reading) -> Response:
        """The roles and what they permit."""
        return await visitor.ask(desk, "role.list")

    return routes
