"""The people of the organization, and invitations."""

from __future__ import annotations

from enum import Enum

from fastapi import APIRouter, Response

from helixflow.api.administration import Deleted, Listed
from helixflow.api.users import (
    Invite,
    InviteRequest,
    NewInvite,
    User,
    UserRequest,
    UserUpdateRequest,
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

_USERS = "/v1/organization/users"
_USER = _USERS + "/{user_id}"
_INVITES = "/v1/organization/invites"
_INVITE = _INVITES + "/{invite_id}"


def router(desk: Desk) -> APIRouter:
    """`/v1/organization/users` and `/v1/organization/invites`."""
    routes = APIRouter()
    _add_users(routes, desk)
    _add_invites(routes, desk)
    return routes


def _add_users(add: APIRouter, desk: Desk) -> None:
    tags: list[str | Enum] = ["users"]

    @add.get(_USERS, response_model=Listed[User], responses=LISTS, tags=tags)
    async def list_users(visitor: Reading, after: After = None, limit: Limit = 20) -> Response:
        """The people of the organization, oldest first, disabled ones included."""
        return await visitor.ask(desk, "user.list", after=after, limit=limit)

    @add.post(_USERS, response_model=User, responses=CREATES, tags=tags)
    async def create_user(body: UserRequest, visitor: Creating) -> Response:
        """Add a person with a role in the organization."""
        return await visitor.ask(desk, "user.create", body)

    @add.get(_USER, response_model=User, responses=READS, tags=tags)
    async def retrieve_user(user_id: PathId, visitor: Reading) -> Response:
        """One person."""
        return await visitor.ask(desk, "user.read", user_id=user_id)

    @add.post(_USER, response_model=User, responses=UPDATES, tags=tags)
    async def modify_user(user_id: PathId, body: UserUpdateRequest, visitor: Updating) -> Response:
        """Give a person another role, name or password."""
        return await visitor.ask(desk, "user.update", body, user_id=user_id)

    @add.delete(_USER, response_model=Deleted, responses=DELETES, tags=tags)
    async def delete_user(user_id: PathId, visitor: Reading) -> Response:
        """Switch a person off: their tokens are refused. The last owner stays."""
        return await visitor.ask(desk, "user.delete", user_id=user_id)


def _add_invites(add: APIRouter, desk: Desk) -> None:
    tags: list[str | Enum] = ["invites"]

    @add.get(_INVITES, response_model=Listed[Invite], responses=LISTS, tags=tags)
    async def list_invites(visitor: Reading, after: After = None, limit: Limit = 20) -> Response:
        """Who has not chosen a password yet, oldest first."""
        return await visitor.ask(desk, "invite.list", after=after, limit=limit)

    @add.post(_INVITES, response_model=NewInvite, responses=CREATES, tags=tags)
    async def create_invite(body: InviteRequest, visitor: Creating) -> Response:
        """Invite a person; what the answer's `value` holds is shown this once."""
        return await visitor.ask(desk, "invite.create", body)

    @add.get(_INVITE, response_model=Invite, responses=READS, tags=tags)
    async def retrieve_invite(invite_id: PathId, visitor: Reading) -> Response:
        """One invitation."""
        return await visitor.ask(desk, "invite.read", invite_id=invite_id)

    @add.delete(_INVITE, response_model=Deleted, responses=DELETES, tags=tags)
    async def delete_invite(invite_id: PathId, visitor: Reading) -> Response:
        """Take an invitation back; the person is removed."""
        return await visitor.ask(desk, "invite.delete", invite_id=invite_id)
