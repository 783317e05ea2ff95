"""API keys of projects, of service accounts and of the organization: made, listed, ended.

A key's text is in the `Issued` that its making returns, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from helixflow.clock import Clock
from helixflow.crypto.secret import Secret
from helixflow.errors import Conflict, InvalidRequest, Refusal
from helixflow.identity import inputs
from helixflow.identity.events import Actor, Event, EventName
from helixflow.identity.keys import KeyKind, mac, mint
from helixflow.identity.limits import copy_limits
from helixflow.identity.permissions import KIND_PERMISSIONS
from helixflow.identity.ports import Page, Store, StoredKey, Unit
from helixflow.identity.projects import open_project_of, project_of, require_match
from helixflow.ids import ProjectId, ServiceAccountId, mint_key_id

OVERLAP_S_MAX = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class KeyWish:
    """What a key is to be.

    Attributes:
        name: for people.
        scopes: permissions, at most those of its kind; None for all of them.
        models, cidrs: what it may see, and where it may be used from; None for everything.
        expires_at: epoch seconds, or None for never.
    """

    name: str
    scopes: Iterable[str] | None = None
    models: Iterable[str] | None = None
    cidrs: Iterable[str] | None = None
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Issued:
    """A key that was just made, with its text."""

    key: StoredKey
    secret: Secret


class ApiKeys:
    """All keys of an organization. `project` None means its admin keys."""

    def __init__(self, store: Store, pepper: bytes, clock: Clock) -> None:
        self._store = store
        self._pepper = pepper
        self._clock = clock

    async def create(self, actor: Actor, project: ProjectId | None, wish: KeyWish) -> Issued:
        """A project's key, or an admin key."""
        kind = KeyKind.ADMIN if project is None else KeyKind.PROJECT
        issued = self.issue(actor, project, kind, wish)

        async def work(unit: Unit) -> Issued:
            if project is not None:
                await open_project_of(unit, actor.organization, project)
            return await self.add(unit, actor, issued)

        return await self._store.write(work)

    async def page(
        self, actor: Actor, project: ProjectId | None, after: str | None = None, limit: int = 20
    ) -> Page[StoredKey]:
        """The keys, oldest first, revoked and expired ones included."""
        size = inputs.page_size(limit)

        async def work(unit: Unit) -> Page[StoredKey]:
            if project is None:
                return await unit.admin_keys.page(actor.organization, after, size)
            await project_of(unit, actor.organization, project)
            return await unit.keys.page(project, after, size)

        return await self._store.read(work)

    async def get(self, actor: Actor, project: ProjectId | None, key: str) -> StoredKey:
        """One key."""
        return await self._store.read(lambda unit: self._find(unit, actor, project, key))

    async def update(
        self,
        actor: Actor,
        project: ProjectId | None,
        key: str,
        wish: KeyWish,
        if_match: str | None = None,
    ) -> StoredKey:
        """Give a key another name, other limits, another end. It is all of `wish`, as in `create`."""

        async def work(unit: Unit) -> StoredKey:
            held = await self._find(unit, actor, project, key)
            require_match(held, if_match)
            _require_live(held)
            updated = _shaped(held, wish, self._clock.now())
            return await self._put(unit, EventName.KEY_UPDATE, actor, updated)

        return await self._store.write(work)

    async def rotate(
        self, actor: Actor, project: ProjectId | None, key: str, overlap_s: float
    ) -> Issued:
        """A key like this one, which itself ends after `overlap_s` seconds (0: now)."""
        if not 0 <= overlap_s <= OVERLAP_S_MAX:
            raise InvalidRequest(
                Refusal.INVALID_VALUE,
                f"It must be 0 to {OVERLAP_S_MAX:g} seconds.",
                param="overlap_s",
            )

        async def work(unit: Unit) -> Issued:
            held = await self._find(unit, actor, project, key)
            _require_live(held)
            now, made = self._clock.now(), mint(held.kind)
            fresh = replace(
                held, id=mint_key_id(), mac=mac(self._pepper, made.digest), hint=made.hint,
                created_at=now, last_used_at=None,
            )  # fmt: skip
            await self._records_add(unit, fresh)
            await copy_limits(unit, actor, held.id, fresh.id, now)
            await self._put(unit, EventName.KEY_ROTATE, actor, _ended(held, now, overlap_s))
            return Issued(fresh, made.secret)

        return await self._store.write(work)

    async def revoke(self, actor: Actor, project: ProjectId | None, key: str) -> StoredKey:
        """End a key now. Twice is harmless and keeps the first time."""

        async def work(unit: Unit) -> StoredKey:
            held = await self._find(unit, actor, project, key)
            if held.revoked_at is not None:
                return held
            revoked = replace(held, revoked_at=self._clock.now())
            return await self._put(unit, EventName.KEY_REVOKE, actor, revoked)

        return await self._store.write(work)

    def issue(
        self,
        actor: Actor,
        project: ProjectId | None,
        kind: KeyKind,
        wish: KeyWish,
        service_account: ServiceAccountId | None = None,
    ) -> Issued:
        """A key that is not stored yet."""
        made = mint(kind)
        key = StoredKey(
            id=mint_key_id(),
            organization=actor.organization,
            project=project,
            name="",
            kind=kind,
            mac=mac(self._pepper, made.digest),
            hint=made.hint,
            permissions=frozenset(),
            models=None,
            created_at=self._clock.now(),
            service_account=service_account,
        )
        return Issued(_shaped(key, wish, key.created_at), made.secret)

    async def add(self, unit: Unit, actor: Actor, issued: Issued) -> Issued:
        """Store what `issue` made, within somebody else's unit."""
        await self._records_add(unit, issued.key)
        self._record(unit, EventName.KEY_CREATE, actor, issued.key)
        return issued

    async def _find(
        self, unit: Unit, actor: Actor, project: ProjectId | None, key: str
    ) -> StoredKey:
        if project is None:
            held = await unit.admin_keys.get(actor.organization, key)
        else:
            await project_of(unit, actor.organization, project)
            held = await unit.keys.get(project, key)
        return inputs.found(held, "API key")

    async def _records_add(self, unit: Unit, key: StoredKey) -> None:
        await (unit.admin_keys if key.project is None else unit.keys).add(key)

    async def _put(self, unit: Unit, name: EventName, actor: Actor, key: StoredKey) -> StoredKey:
        await (unit.admin_keys if key.project is None else unit.keys).put(key)
        self._record(unit, name, actor, key)
        return key

    def _record(self, unit: Unit, name: EventName, actor: Actor, key: StoredKey) -> None:
        now = self._clock.now()
        unit.record(Event(name, actor.organization, key.project, actor.id, key.id, now))


def _shaped(key: StoredKey, wish: KeyWish, now: float) -> StoredKey:
    """The key as its owner wishes it, within what its kind allows."""
    return replace(
        key,
        name=inputs.name(wish.name),
        permissions=inputs.scopes(wish.scopes, KIND_PERMISSIONS[key.kind]),
        models=inputs.models(wish.models),
        cidrs=inputs.cidrs(wish.cidrs),
        expires_at=inputs.expiry(wish.expires_at, now),
    )


def _require_live(key: StoredKey) -> None:
    if key.revoked_at is not None:
        raise Conflict(Refusal.CONFLICT, "The API key was revoked.")


def _ended(key: StoredKey, now: float, overlap_s: float) -> StoredKey:
    """The key with its end set, never later than it was."""
    if overlap_s == 0:
        return replace(key, revoked_at=now)
    end = now + overlap_s
    return replace(key, expires_at=end if key.expires_at is None else min(end, key.expires_at))
