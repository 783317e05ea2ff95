"""The policies of an organization: checked when saved, never half in force."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeAlias

from helixflow.clock import Clock
from helixflow.errors import Conflict, InvalidRequest, Refusal
from helixflow.identity import inputs
from helixflow.identity.cedar import CompiledPolicies
from helixflow.identity.cedar_schema import POLICIES_MAX, SOURCES_LENGTH_MAX, check_source
from helixflow.identity.events import Actor, Event, EventName
from helixflow.identity.ports import AlreadyThere, Page, Store, Unit
from helixflow.identity.projects import project_of, require_match
from helixflow.identity.records import StoredPolicy
from helixflow.ids import OrganizationId, ProjectId

Work: TypeAlias = Callable[[Unit], Awaitable[StoredPolicy]]


class Policies:
    """The policies of the caller's organization and of its projects."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(
        self, actor: Actor, name: str, source: str, project: ProjectId | None = None
    ) -> StoredPolicy:
        """A policy that is in force from now on, in the organization or in one project."""
        check_source(source)
        now = self._clock.now()
        policy = StoredPolicy(
            id="pol_" + secrets.token_hex(16),
            organization=actor.organization,
            project=project,
            name=inputs.name(name),
            source=source,
            enabled=True,
            created_at=now,
            updated_at=now,
        )

        async def work(unit: Unit) -> StoredPolicy:
            if project is not None:
                await project_of(unit, actor.organization, project)
            await _require_room(unit, policy)
            await unit.policies.add(policy)
            self._record(unit, EventName.POLICY_CREATE, actor, policy)
            return policy

        return await self._write(work)

    async def get(self, actor: Actor, policy: str) -> StoredPolicy:
        """One policy."""
        return await self._store.read(lambda unit: _find(unit, actor, policy))

    async def page(
        self, actor: Actor, after: str | None = None, limit: int = 20
    ) -> Page[StoredPolicy]:
        """The policies, oldest first."""
        size = inputs.page_size(limit)
        return await self._store.read(
            lambda unit: unit.policies.page(actor.organization, after, size)
        )

    async def update(
        self,
        actor: Actor,
        policy: str,
        name: str,
        source: str,
        *,
        enabled: bool = True,
        if_match: str | None = None,
    ) -> StoredPolicy:
        """Replace a policy's name and text, and switch it on or off."""
        check_source(source)
        name = inputs.name(name)

        async def work(unit: Unit) -> StoredPolicy:
            held = await _find(unit, actor, policy)
            require_match(held, if_match)
            changed = replace(
                held, name=name, source=source, enabled=enabled, updated_at=self._clock.now()
            )
            if name != held.name and await unit.policies.where(actor.organization, name=name):
                raise AlreadyThere(name)
            await _require_room(unit, changed)
            await unit.policies.put(changed)
            self._record(unit, EventName.POLICY_UPDATE, actor, changed)
            return changed

        return await self._write(work)

    async def delete(self, actor: Actor, policy: str) -> None:
        """Remove a policy."""

        async def work(unit: Unit) -> None:
            held = await _find(unit, actor, policy)
            await unit.policies.remove(held)
            self._record(unit, EventName.POLICY_DELETE, actor, held)

        await self._store.write(work)

    async def sources(
        self, organization: OrganizationId, project: ProjectId
    ) -> tuple[int, dict[str, str]]:
        """What is in force in a project, texts by id, and the revision of that state."""

        async def work(unit: Unit) -> tuple[int, dict[str, str]]:
            held = await unit.policies.where(organization, enabled=True)
            texts = {
                policy.id: policy.source for policy in held if policy.project in (None, project)
            }
            return await unit.revision(), texts

        return await self._store.read(work)

    async def compiled(
        self, organization: OrganizationId, project: ProjectId
    ) -> tuple[int, CompiledPolicies]:
        """The same, ready to be asked."""
        revision, texts = await self.sources(organization, project)
        return revision, CompiledPolicies(texts)

    async def _write(self, work: Work) -> StoredPolicy:
        try:
            return await self._store.write(work)
        except AlreadyThere:
            raise inputs.taken("A policy of this name", "name") from None

    def _record(self, unit: Unit, name: EventName, actor: Actor, policy: StoredPolicy) -> None:
        now = self._clock.now()
        unit.record(Event(name, actor.organization, policy.project, actor.id, policy.id, now))


async def _require_room(unit: Unit, policy: StoredPolicy) -> None:
    """Refuse what would make an organization's policies too many or too long."""
    others = [one for one in await unit.policies.where(policy.organization) if one.id != policy.id]
    if len(others) >= POLICIES_MAX:
        raise Conflict(Refusal.CONFLICT, f"An organization has {POLICIES_MAX} policies at most.")
    if sum(len(one.source) for one in (*others, policy)) > SOURCES_LENGTH_MAX:
        raise InvalidRequest(
            Refusal.INVALID_VALUE,
            f"An organization's policies have {SOURCES_LENGTH_MAX} characters together at most.",
            param="source",
        )


async def _find(unit: Unit, actor: Actor, policy: str) -> StoredPolicy:
    return inputs.found(await unit.policies.get(actor.organization, policy), "policy")
