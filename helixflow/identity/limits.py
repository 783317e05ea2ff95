"""The limits of an organization: overrides of what its tier says, for all of it or for a part."""

from __future__ import annotations

import re
import secrets
from dataclasses import replace

from helixflow.clock import Clock
from helixflow.identity import inputs
from helixflow.identity.events import Actor, Event, EventName
from helixflow.identity.limit_room import require_no_gift, require_room
from helixflow.identity.limit_wish import (
    LimitWish,
    canonical,
    detail,
    require_sensible,
    whole_units,
    wrong,
)
from helixflow.identity.ports import AlreadyThere, Page, Store, Unit
from helixflow.identity.projects import organization_of, project_of, require_match
from helixflow.identity.quotas import Tier, Tiers
from helixflow.identity.records import StoredQuota
from helixflow.ids import KeyId, OrganizationId, ProjectId
from helixflow.inference.quota import Scope

_ACCOUNT = "svc_acct_"
_OUTSIDER = re.compile(r"oidc_[0-9a-f]{32}")


class Limits:
    """The limits of the caller's organization and of what is in it."""

    def __init__(self, store: Store, tiers: Tiers, clock: Clock) -> None:
        self._store = store
        self._tiers = tiers
        self._clock = clock

    async def create(self, actor: Actor, wish: LimitWish) -> StoredQuota:
        """A limit that holds from now on."""
        wanted = canonical(wish, actor.organization)

        async def work(unit: Unit) -> StoredQuota:
            project = await _project_of_entity(unit, actor.organization, wanted)
            return await self.add(unit, actor, wanted, project)

        try:
            return await self._store.write(work)
        except AlreadyThere:
            raise inputs.taken("A limit of this name in this place", "name") from None

    async def get(self, actor: Actor, limit: str) -> StoredQuota:
        """One limit."""
        return await self._store.read(lambda unit: _find(unit, actor, limit))

    async def page(
        self,
        actor: Actor,
        after: str | None = None,
        limit: int = 20,
        *,
        entity: Scope | None = None,
        entity_id: str | None = None,
    ) -> Page[StoredQuota]:
        """The limits, oldest first; about everything, a kind of entities, or one of them."""
        size = inputs.page_size(limit)
        if entity_id is not None and not entity_id.isprintable():
            raise wrong("entity_id", "It must be the id of an entity.")
        given = {"entity": entity, "entity_id": entity_id}
        chosen = {field: value for field, value in given.items() if value is not None}
        return await self._store.read(
            lambda unit: unit.quotas.page(actor.organization, after, size, **chosen)
        )

    async def update(
        self,
        actor: Actor,
        limit: str,
        amount: float | None = None,
        *,
        hard: bool | None = None,
        if_match: str | None = None,
    ) -> StoredQuota:
        """Another amount; what is not given stays as it is."""

        async def work(unit: Unit) -> StoredQuota:
            held = await _find(unit, actor, limit)
            require_match(held, if_match)
            units = held.amount if amount is None else whole_units(held.name, amount)
            wanted = replace(held, amount=units, hard=held.hard if hard is None else hard)
            return await self.change(unit, actor, held, wanted)

        return await self._store.write(work)

    async def delete(self, actor: Actor, limit: str) -> None:
        """Remove a limit: what is less specific holds again."""

        async def work(unit: Unit) -> None:
            await self.drop(unit, actor, await _find(unit, actor, limit))

        await self._store.write(work)

    async def tier(self, unit: Unit, organization: OrganizationId) -> Tier:
        """The tier of an organization, within somebody else's unit."""
        return self._tiers.of((await organization_of(unit, organization)).tier)

    async def add(
        self, unit: Unit, actor: Actor, wanted: LimitWish, project: ProjectId | None
    ) -> StoredQuota:
        """Store what `canonical` gave, within somebody else's unit."""
        now = self._clock.now()
        row = StoredQuota(
            id=_mint(),
            organization=actor.organization,
            project=project,
            entity=wanted.entity,
            entity_id=wanted.entity_id or "",
            name=wanted.name,
            scopes=",".join(wanted.per),
            amount=whole_units(wanted.name, wanted.amount),
            hard=wanted.hard,
            model=wanted.model,
            created_at=now,
            updated_at=now,
        )
        tier = await self.tier(unit, actor.organization)
        await require_room(unit, tier, row)
        await require_no_gift(unit, tier, row)
        await unit.quotas.add(row)
        _record(unit, EventName.LIMIT_CREATE, actor, now, after=row)
        return row

    async def change(
        self, unit: Unit, actor: Actor, held: StoredQuota, wanted: StoredQuota
    ) -> StoredQuota:
        """Put `wanted` in the place of `held`, within somebody else's unit."""
        require_sensible(wanted.name, hard=wanted.hard)
        if wanted == held:
            return held
        now = self._clock.now()
        changed = replace(wanted, updated_at=now)
        await require_no_gift(unit, await self.tier(unit, actor.organization), changed)
        await unit.quotas.put(changed)
        _record(unit, EventName.LIMIT_UPDATE, actor, now, before=held, after=changed)
        return changed

    async def drop(self, unit: Unit, actor: Actor, held: StoredQuota) -> None:
        """Remove a limit, within somebody else's unit."""
        await drop_limit(unit, actor, held, self._clock.now())


async def copy_limits(unit: Unit, actor: Actor, key: KeyId, to: KeyId, now: float) -> None:
    """Give a key that takes another one's place the limits that the other one had."""
    for row in await unit.quotas_about(actor.organization, [(Scope.KEY, key)]):
        copied = replace(row, id=_mint(), entity_id=to, created_at=now, updated_at=now)
        await unit.quotas.add(copied)
        _record(unit, EventName.LIMIT_CREATE, actor, now, after=copied)


async def drop_limits_of_user(unit: Unit, actor: Actor, user: str, now: float) -> None:
    """Remove the limits of a user that is removed itself."""
    for row in await unit.quotas_about(actor.organization, [(Scope.USER, user)]):
        await drop_limit(unit, actor, row, now)


async def drop_limit(unit: Unit, actor: Actor, held: StoredQuota, now: float) -> None:
    """Remove a limit."""
    await unit.quotas.remove(held)
    _record(unit, EventName.LIMIT_DELETE, actor, now, before=held)


async def _project_of_entity(
    unit: Unit, organization: OrganizationId, wanted: LimitWish
) -> ProjectId | None:
    """The project that the entity is in. Raises `NotFound` where there is no such entity."""
    named = wanted.entity_id or ""
    match wanted.entity:
        case Scope.PROJECT:
            return (await project_of(unit, organization, ProjectId(named))).id
        case Scope.KEY:
            key = inputs.found((await unit.key(organization, KeyId(named))).key, "API key")
            if key.project is None:
                raise wrong("entity_id", "An admin key does not infer.")
            return key.project
        case Scope.USER if named.startswith(_ACCOUNT):
            account = await unit.service_account(organization, named)
            return inputs.found(account, "service account").project
        case Scope.USER if _OUTSIDER.fullmatch(named) is None:
            inputs.found(await unit.users.get(organization, named), "user")
    return None


async def _find(unit: Unit, actor: Actor, limit: str) -> StoredQuota:
    return inputs.found(await unit.quotas.get(actor.organization, limit), "limit")


def _record(
    unit: Unit,
    name: EventName,
    actor: Actor,
    now: float,
    *,
    before: StoredQuota | None = None,
    after: StoredQuota | None = None,
) -> None:
    row = after or before
    if row is not None:
        told = detail(before, after)
        unit.record(Event(name, actor.organization, row.project, actor.id, row.id, now, told))


def _mint() -> str:
    return "lim_" + secrets.token_hex(16)
