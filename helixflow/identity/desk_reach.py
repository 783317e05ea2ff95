"""How far a caller's permissions reach: the organization, one project, or nothing.

An admin key administers its organization. A user has what its roles give in the place in question,
within what its token says. Everybody else has what it has in its own project alone.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from helixflow.clock import Clock
from helixflow.errors import Forbidden, Refusal
from helixflow.identity.cedar import Circumstances, CompiledPolicies, Target
from helixflow.identity.desk_operation import Arguments, Operation
from helixflow.identity.events import Actor
from helixflow.identity.permissions import Deny, Permissions, decide, permissions_of
from helixflow.identity.policies import Policies
from helixflow.identity.policy_copies import decision
from helixflow.identity.policy_texts import policy_set
from helixflow.identity.ports import PolicySet, Store, Unit
from helixflow.ids import ProjectId
from helixflow.inference.principal import Principal

_SETS_MAX = 64
_USER = "user_"


class Reach:
    """Admits callers to operations. For one event loop."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._policies = Policies(store, clock)
        self._compiled: OrderedDict[str, CompiledPolicies] = OrderedDict()

    async def admit(
        self, operation: Operation, arguments: Arguments, principal: Principal, source: str
    ) -> Actor:
        """The caller as the actor of an operation. Raises `Forbidden`."""
        project = operation.project(arguments)

        async def look(unit: Unit) -> tuple[Permissions, bool]:
            begun = await unit.installation()
            first = begun is not None and begun.organization == principal.organization
            return await _reached(unit, principal, project), first

        permissions, first = await self._store.read(look)
        judged = decide(_with(principal, permissions), operation.permission)
        if isinstance(judged, Deny):
            raise judged.refused()
        if operation.platform and not first:
            raise Forbidden(
                Refusal.PERMISSION_DENIED, "Only the platform's first organization can do this."
            )
        if not operation.permission.startswith("policy:"):
            await self._ask_policies(operation, arguments, principal, source)
        return Actor(principal.organization, principal.key, permissions)

    async def _ask_policies(
        self, operation: Operation, arguments: Arguments, principal: Principal, source: str
    ) -> None:
        project = operation.project(arguments) or ProjectId("")
        _, texts = await self._policies.sources(principal.organization, project)
        if not texts:
            return
        policies = await self._compile(policy_set(texts))
        named = getattr(arguments, operation.target, None) if operation.target else None
        target = Target(
            "Object",
            str(named or principal.organization),
            (("organization", principal.organization), ("project", project)),
        )
        circumstances = Circumstances(self._clock.now(), source, principal.claims)
        judged = decision(policies, principal, operation.permission, target, circumstances)
        if isinstance(judged, Deny):
            raise judged.refused()

    async def _compile(self, told: PolicySet) -> CompiledPolicies:
        held = self._compiled.get(told.fingerprint)
        if held is None:
            held = await asyncio.to_thread(CompiledPolicies, dict(told.texts))
            while len(self._compiled) >= _SETS_MAX:
                self._compiled.popitem(last=False)
            self._compiled[told.fingerprint] = held
        return held


async def _reached(unit: Unit, principal: Principal, project: ProjectId | None) -> Permissions:
    """What the caller may do in a project, or in the organization (`project` None)."""
    if not principal.project:
        return principal.permissions
    if principal.key.startswith(_USER):
        held = await unit.memberships.where(principal.organization, user=principal.key)
        roles = [member.role for member in held if member.project in (None, project)]
        return permissions_of(roles) & principal.permissions
    return principal.permissions if project == principal.project else frozenset()


def _with(principal: Principal, permissions: Permissions) -> Principal:
    return Principal(
        principal.organization, principal.project, principal.key, principal.name, permissions
    )
