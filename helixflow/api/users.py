"""Users and invitations on the wire."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from helixflow.api.administration import Asked, Name, RoleName
from helixflow.api.wire import Wire

Email: TypeAlias = Annotated[str, Field(min_length=3, max_length=320, examples=["ada@example.com"])]
Password: TypeAlias = Annotated[
    str, Field(min_length=12, max_length=1024, json_schema_extra={"format": "password"})
]


class UserRequest(Asked):
    """A person as it is to be; without a password it cannot sign in here."""

    email: Email
    role: RoleName
    name: Name | None = Field(default=None, description="By default the address.")
    password: Password | None = None


class UserUpdateRequest(Asked):
    """What is to be changed; another password ends the person's refresh tokens."""

    role: RoleName | None = None
    name: Name | None = None
    password: Password | None = None


class User(Wire):
    """A person and its role in the organization."""

    object: Literal["organization.user"] = "organization.user"
    id: str
    name: str
    email: str
    role: RoleName | None
    added_at: int
    disabled_at: int | None


class InviteRequest(Asked):
    """Who is invited, and into which role."""

    email: Email
    role: RoleName
    name: Name | None = Field(default=None, description="By default the address.")


class Invite(Wire):
    """A person who has not chosen a password yet."""

    object: Literal["organization.invite"] = "organization.invite"
    id: str
    user_id: str
    email: str
    name: str
    role: RoleName | None
    status: Literal["pending", "expired"]
    invited_at: int
    expires_at: int


class NewInvite(Invite):
    """An invitation that was just made."""

    value: str = Field(description="What the invited one gives to `/v1/auth/accept`, shown once.")
