"""Invitations: people who were added and have not chosen a password yet.

An invitation is a user without a password, and a text that lets its holder choose one, within a
week and once. The text is sealed under the master key; nothing of it is stored.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, replace

from helixflow.clock import Clock
from helixflow.crypto.master_key import KeyRing, SealBroken
from helixflow.crypto.secret import Secret
from helixflow.errors import NotFound, Refusal, Unauthenticated
from helixflow.identity import inputs
from helixflow.identity.events import Actor, Event, EventName
from helixflow.identity.members import Person, person_of
from helixflow.identity.permissions import Role
from helixflow.identity.ports import Page, Store, Unit
from helixflow.identity.records import User
from helixflow.identity.users import Users
from helixflow.ids import OrganizationId

INVITED_S = 7 * 86_400.0
TEXT_LENGTH_MAX = 1024
_PREFIX = "hx-inv-"
_PURPOSE = "invitation"
_ID, _USER_ID = "invite_", "user_"
_REFUSED = "The invitation is not valid: it was used, taken back or has expired."


@dataclass(frozen=True, slots=True)
class Invited:
    """A person who was just invited, with the text that is shown once."""

    person: Person
    secret: Secret


def invite_id(user: User) -> str:
    """An invitation's id, from its user's."""
    return _ID + user.id.removeprefix(_USER_ID)


class Invites:
    """The invitations of the caller's organization."""

    def __init__(self, store: Store, users: Users, ring: KeyRing, clock: Clock) -> None:
        self._store = store
        self._users = users
        self._ring = ring
        self._clock = clock

    async def create(self, actor: Actor, email: str, name: str, role: Role) -> Invited:
        """Invite a person into a role of the organization."""
        user = await self._users.create(actor, email, name, role)
        plain = f"{user.organization}\n{user.id}".encode()
        sealed = base64.urlsafe_b64encode(self._ring.seal(_PURPOSE, plain, b""))
        text = _PREFIX + sealed.decode().rstrip("=")
        return Invited(Person(user, role, user.created_at), Secret(text))

    async def get(self, actor: Actor, invite: str) -> Person:
        """Who was invited; with the password chosen the invitation is no more."""
        return await self._store.read(lambda unit: _pending(unit, actor.organization, invite))

    async def page(self, actor: Actor, after: str | None, limit: int) -> Page[Person]:
        """Who was invited, oldest first; the first thousand of them."""
        size = inputs.page_size(limit)

        async def work(unit: Unit) -> Page[Person]:
            users = await unit.users.where(actor.organization, password=None, disabled_at=None)
            if after is not None:
                mark = (await _pending(unit, actor.organization, after)).user
                order = (mark.created_at, mark.id)
                users = [user for user in users if (user.created_at, user.id) > order]
            people = [await person_of(unit, actor.organization, user.id) for user in users[:size]]
            return Page(tuple(people), len(users) > size)

        return await self._store.read(work)

    async def delete(self, actor: Actor, invite: str) -> None:
        """Take an invitation back; the person is removed."""
        held = await self.get(actor, invite)
        await self._users.remove(actor, held.id)

    def require_genuine(self, text: Secret) -> None:
        """Raises `Unauthenticated` for a text that we never made; no store is asked."""
        self._opened(text)

    async def accept(self, text: Secret, password_hash: str) -> User:
        """Choose the password. Raises `Unauthenticated`."""
        organization, user_id = self._opened(text)

        async def work(unit: Unit) -> User:
            user, now = await unit.users.get(organization, user_id), self._clock.now()
            if user is None or user.password is not None or user.disabled_at is not None:
                raise _refused()
            if user.created_at + INVITED_S <= now:
                raise _refused()
            accepted = replace(user, password=password_hash)
            await unit.users.put(accepted)
            unit.record(Event(EventName.USER_UPDATE, organization, None, user.id, user.id, now))
            return accepted

        return await self._store.write(work)

    def _opened(self, text: Secret) -> tuple[OrganizationId, str]:
        body = text.reveal().removeprefix(_PREFIX)
        try:
            sealed = base64.b64decode(body + "=" * (-len(body) % 4), b"-_", validate=True)
            organization, user = self._ring.unseal(_PURPOSE, sealed, b"").decode().split("\n")
        except (binascii.Error, ValueError, SealBroken):
            raise _refused() from None
        return OrganizationId(organization), user


async def _pending(unit: Unit, organization: OrganizationId, invite: str) -> Person:
    if invite.startswith(_ID):
        user = await unit.users.get(organization, _USER_ID + invite.removeprefix(_ID))
        if user is not None and user.password is None and user.disabled_at is None:
            return await person_of(unit, organization, user.id)
    raise NotFound(Refusal.RESOURCE_NOT_FOUND, "There is no such invitation.")


def _refused() -> Unauthenticated:
    return Unauthenticated(Refusal.INVALID_API_KEY, _REFUSED)
