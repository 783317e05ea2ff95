"""The desk's operations on users and invitations."""

from __future__ import annotations

from typing import Any

from helixflow.crypto.secret import Secret
from helixflow.identity.desk_operation import (
    Arguments,
    Json,
    Operation,
    Paging,
    Shown,
    Visit,
    deleted,
    listed,
    seconds,
    shown,
)
from helixflow.identity.invites import INVITED_S, invite_id
from helixflow.identity.members import Person
from helixflow.identity.permissions import Permission, Role
from helixflow.identity.projects import require_match

_INVITE, _USER = "organization.invite", "organization.user"


class NewUser(Arguments, frozen=True, kw_only=True):
    email: str
    role: Role
    name: str | None = None
    password: str | None = None


class User(Arguments, frozen=True, kw_only=True):
    user_id: str


class UserUpdate(User, frozen=True, kw_only=True):
    role: Role | None = None
    name: str | None = None
    password: str | None = None


class NewInvite(Arguments, frozen=True, kw_only=True):
    email: str
    role: Role
    name: str | None = None


class Invite(Arguments, frozen=True, kw_only=True):
    invite_id: str


def _user_json(person: Person) -> Json:
    user = person.user
    return {
        "object": _USER,
        "id": user.id,
        "name": user.name,
        "email": user.email,
        "role": person.role,
        "added_at": seconds(user.created_at),
        "disabled_at": seconds(user.disabled_at),
    }


def _invite_json(person: Person, now: float) -> Json:
    user = person.user
    end = user.created_at + INVITED_S
    return {
        "object": _INVITE,
        "id": invite_id(user),
        "user_id": user.id,
        "email": user.email,
        "name": user.name,
        "role": person.role,
        "status": "pending" if now < end else "expired",
        "invited_at": seconds(user.created_at),
        "expires_at": seconds(end),
    }


async def _list(visit: Visit, asked: Paging) -> Shown:
    page = await visit.services.members.people(visit.actor, asked.after, asked.limit)
    return listed(page, _user_json)


async def _shown(visit: Visit, user: str) -> Shown:
    return shown(_user_json(await visit.services.members.person(visit.actor, user)))


async def _create(visit: Visit, asked: NewUser) -> Shown:
    name = asked.email if asked.name is None else asked.name
    user = await visit.services.users.create(
        visit.actor, asked.email, name, asked.role, visit.password_hash
    )
    return await _shown(visit, user.id)


async def _read(visit: Visit, asked: User) -> Shown:
    return await _shown(visit, asked.user_id)


async def _update(visit: Visit, asked: UserUpdate) -> Shown:
    """What is not given stays as it is."""
    held = await visit.services.members.person(visit.actor, asked.user_id)
    require_match(_user_json(held), visit.if_match)
    if asked.role is not None and asked.role is not held.role:
        await visit.services.users.set_role(visit.actor, asked.user_id, None, asked.role)
    if asked.name is not None or visit.password_hash is not None:
        await visit.services.users.update(
            visit.actor, asked.user_id, name=asked.name, password_hash=visit.password_hash
        )
    return await _shown(visit, asked.user_id)


async def _disable(visit: Visit, asked: User) -> Shown:
    user = await visit.services.users.disable(visit.actor, asked.user_id)
    return deleted(_USER, user.id)


async def _list_invites(visit: Visit, asked: Paging) -> Shown:
    services = visit.services
    page = await services.invites.page(visit.actor, asked.after, asked.limit)
    return listed(page, lambda person: _invite_json(person, services.clock.now()))


async def _create_invite(visit: Visit, asked: NewInvite) -> Shown:
    name = asked.email if asked.name is None else asked.name
    services = visit.services
    invited = await services.invites.create(visit.actor, asked.email, name, asked.role)
    body = _invite_json(invited.person, services.clock.now())
    return shown({**body, "value": invited.secret.reveal()}, body)


async def _read_invite(visit: Visit, asked: Invite) -> Shown:
    person = await visit.services.invites.get(visit.actor, asked.invite_id)
    return shown(_invite_json(person, visit.services.clock.now()))


async def _delete_invite(visit: Visit, asked: Invite) -> Shown:
    await visit.services.invites.delete(visit.actor, asked.invite_id)
    return deleted(_INVITE, asked.invite_id)


def password_of(arguments: Arguments) -> Secret | None:
    """The password among an operation's arguments."""
    text = getattr(arguments, "password", None)
    return None if text is None else Secret(text)


def _operation(name: str, permission: Permission, arguments: Any, run: Any) -> Operation:
    changes = not name.endswith((".list", ".read"))
    fields = arguments.__struct_fields__
    target = next((one for one in ("user_id", "invite_id") if one in fields), "")
    return Operation(name, permission, arguments, run, changes, target)


OPERATIONS = (
    _operation("user.list", Permission.USER_READ, Paging, _list),
    _operation("user.create", Permission.USER_CREATE, NewUser, _create),
    _operation("user.read", Permission.USER_READ, User, _read),
    _operation("user.update", Permission.USER_UPDATE, UserUpdate, _update),
    _operation("user.delete", Permission.USER_DELETE, User, _disable),
    _operation("invite.list", Permission.USER_READ, Paging, _list_invites),
    _operation("invite.create", Permission.USER_CREATE, NewInvite, _create_invite),
    _operation("invite.read", Permission.USER_READ, Invite, _read_invite),
    _operation("invite.delete", Permission.USER_DELETE, Invite, _delete_invite),
)
