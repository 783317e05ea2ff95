"""Users and the roles that they have."""

from __future__ import annotations

import secrets
from dataclasses import replace

from helixflow.clock import Clock
from helixflow.errors import Conflict, Forbidden, Refusal
from helixflow.identity import inputs
from helixflow.identity.events import Actor, Event, EventName
from helixflow.identity.limits import drop_limits_of_user
from helixflow.identity.permissions import Permission, Role, permissions_of
from helixflow.identity.ports import AlreadyThere, Page, Store, Unit
from helixflow.identity.projects import open_project_of
from helixflow.identity.records import Membership, User
from helixflow.ids import OrganizationId, ProjectId, UserId, mint_user_id


class Users:
    """The people of the caller's organization."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(
        self, actor: Actor, email: str, name: str, role: Role, password_hash: str | None = None
    ) -> User:
        """A person with a role in the organization."""
        _may_grant(actor, role)
        now = self._clock.now()
        user = User(
            mint_user_id(), actor.organization, inputs.email(email), inputs.name(name), now,
            password_hash,
        )  # fmt: skip

        async def work(unit: Unit) -> User:
            await unit.users.add(user)
            self._record(unit, EventName.USER_CREATE, actor, None, user.id)
            await self._join(unit, actor, user.id, None, role)
            return user

        try:
            return await self._store.write(work)
        except AlreadyThere:
            raise inputs.taken("A user with this address", "email") from None

    async def get(self, actor: Actor, user: str) -> User:
        """One person."""
        return await self._store.read(lambda unit: user_of(unit, actor.organization, user))

    async def page(self, actor: Actor, after: str | None = None, limit: int = 20) -> Page[User]:
        """The people, oldest first."""
        size = inputs.page_size(limit)
        return await self._store.read(lambda unit: unit.users.page(actor.organization, after, size))

    async def update(
        self,
        actor: Actor,
        user: str,
        *,
        name: str | None = None,
        password_hash: str | None = None,
    ) -> User:
        """Give a person another name or password; another password ends what was begun before."""
        wanted = None if name is None else inputs.name(name)

        async def work(unit: Unit) -> User:
            held = await user_of(unit, actor.organization, user)
            changed = held if wanted is None else replace(held, name=wanted)
            if password_hash is not None:
                member = await self._membership(unit, actor, held.id, None)
                _may_grant(actor, Role.VIEWER if member is None else member.role)
                changed = await self._with_password(unit, changed, password_hash)
            if changed != held:
                await unit.users.put(changed)
                self._record(unit, EventName.USER_UPDATE, actor, None, held.id)
            return changed

        return await self._store.write(work)

    async def remove(self, actor: Actor, user: str) -> None:
        """Remove a person who never had a way to sign in. The last owner stays."""

        async def work(unit: Unit) -> None:
            held = await user_of(unit, actor.organization, user)
            member = await self._membership(unit, actor, held.id, None)
            _may_grant(actor, Role.VIEWER if member is None else member.role)
            await self._keep_an_owner(unit, actor.organization, held.id)
            for one in await unit.memberships.where(actor.organization, user=held.id):
                await unit.memberships.remove(one)
            await drop_limits_of_user(unit, actor, held.id, self._clock.now())
            await unit.users.remove(held)
            self._record(unit, EventName.USER_DISABLE, actor, None, held.id)

        await self._store.write(work)

    async def disable(self, actor: Actor, user: str) -> User:
        """Switch a person off. The last owner stays."""

        async def work(unit: Unit) -> User:
            held = await user_of(unit, actor.organization, user)
            if held.disabled_at is not None:
                return held
            member = await self._membership(unit, actor, held.id, None)
            _may_grant(actor, Role.VIEWER if member is None else member.role)
            await self._keep_an_owner(unit, actor.organization, held.id)
            disabled = replace(held, disabled_at=self._clock.now())
            await unit.users.put(disabled)
            self._record(unit, EventName.USER_DISABLE, actor, None, held.id)
            return disabled

        return await self._store.write(work)

    async def set_role(
        self, actor: Actor, user: str, project: ProjectId | None, role: Role
    ) -> Membership:
        """Give a person a role in a project, or in the organization (`project` None)."""
        _may_grant(actor, role)

        async def work(unit: Unit) -> Membership:
            held = await user_of(unit, actor.organization, user)
            if project is not None:
                await open_project_of(unit, actor.organization, project)
            member = await self._membership(unit, actor, held.id, project)
            if member is None:
                return await self._join(unit, actor, held.id, project, role)
            _may_grant(actor, member.role)
            if project is None and role is not Role.OWNER:
                await self._keep_an_owner(unit, actor.organization, held.id)
            changed = replace(member, role=role)
            await unit.memberships.put(changed)
            self._record(unit, EventName.MEMBER_UPDATE, actor, project, held.id)
            return changed

        return await self._store.write(work)

    async def leave(self, actor: Actor, user: str, project: ProjectId | None) -> None:
        """Take a person's role away."""

        async def work(unit: Unit) -> None:
            held = await user_of(unit, actor.organization, user)
            member = await self._membership(unit, actor, held.id, project)
            member = inputs.found(member, "member")
            _may_grant(actor, member.role)
            if project is None:
                await self._keep_an_owner(unit, actor.organization, held.id)
            await unit.memberships.remove(member)
            self._record(unit, EventName.MEMBER_DELETE, actor, project, held.id)

        await self._store.write(work)

    async def permissions(
        self, organization: OrganizationId, user: str, project: ProjectId
    ) -> frozenset[str]:
        """What a person may do in a project: the organization's role and the project's together."""

        async def work(unit: Unit) -> frozenset[str]:
            held = await unit.memberships.where(organization, user=user)
            return permissions_of(
                member.role for member in held if member.project in (None, project)
            )

        return await self._store.read(work)

    async def _with_password(self, unit: Unit, user: User, password_hash: str) -> User:
        """The user with another password; who got tokens for the one before must sign in again."""
        tokens, now = unit.refresh_tokens, self._clock.now()
        # Each living family has one link that was not used yet; its first link ends all of it.
        for last in await tokens.where(
            user.organization, subject=user.id, used_at=None, revoked_at=None
        ):
            first = await tokens.get(user.organization, last.family)
            if first is not None and first.revoked_at is None:
                await tokens.put(replace(first, revoked_at=now))
        return replace(user, password=password_hash, failures=0, locked_until=None)

    async def _membership(
        self, unit: Unit, actor: Actor, user: UserId, project: ProjectId | None
    ) -> Membership | None:
        held = await unit.memberships.where(actor.organization, user=user, project=project)
        return held[0] if held else None

    async def _join(
        self, unit: Unit, actor: Actor, user: UserId, project: ProjectId | None, role: Role
    ) -> Membership:
        member = Membership(
            "mem_" + secrets.token_hex(16), actor.organization, project, user, role,
            self._clock.now(),
        )  # fmt: skip
        await unit.memberships.add(member)
        self._record(unit, EventName.MEMBER_CREATE, actor, project, user)
        return member

    async def _keep_an_owner(
        self, unit: Unit, organization: OrganizationId, leaving: UserId
    ) -> None:
        """Refuse what would leave the organization without an owner who can act."""
        owners = await unit.memberships.where(organization, project=None, role=Role.OWNER)
        if leaving not in {owner.user for owner in owners}:
            return
        for owner in owners:
            if owner.user == leaving:
                continue
            user = await unit.users.get(organization, owner.user)
            if user is not None and user.disabled_at is None:
                return
        raise Conflict(Refusal.CONFLICT, "An organization keeps at least one owner.")

    def _record(
        self, unit: Unit, name: EventName, actor: Actor, project: ProjectId | None, user: UserId
    ) -> None:
        now = self._clock.now()
        unit.record(Event(name, actor.organization, project, actor.id, user, now))


async def user_of(unit: Unit, organization: OrganizationId, user: str) -> User:
    """A person of an organization. Raises `NotFound`."""
    return inputs.found(await unit.users.get(organization, user), "user")


def _may_grant(actor: Actor, role: Role) -> None:
    """Only who may change the organization itself can make or unmake its owners."""
    if role is Role.OWNER and Permission.ORGANIZATION_UPDATE not in actor.permissions:
        raise Forbidden(Refusal.PERMISSION_DENIED, "Only an owner can do this.")
