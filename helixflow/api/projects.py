"""Projects, their members and their service accounts on the wire."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from helixflow.api.administration import Asked, EpochSeconds, Id, Name, RoleName, Words
from helixflow.api.keys import IssuedKey
from helixflow.api.wire import Wire


class ProjectRequest(Asked):
    """A project as it is to be."""

    name: Name = Field(examples=["Search team"])


class ProjectUpdateRequest(Asked):
    """What is to change of a project; what is left out stays as it is.

    `content_retention_days` is how long the content of the project's requests (the body, and the
    answer as it was sent) is kept, encrypted; null keeps none, and is how every project begins.
    """

    name: Name | None = Field(default=None, examples=["Search team"])
    content_retention_days: int | None = Field(default=None, ge=1, examples=[30])

    @model_validator(mode="after")
    def _something(self) -> ProjectUpdateRequest:
        if not self.model_fields_set:
            raise ValueError("nothing is given that could change")
        return self


class Project(Wire):
    """A part of the organization; what infers belongs to one."""

    object: Literal["organization.project"] = "organization.project"
    id: str
    name: str
    created_at: int
    archived_at: int | None
    status: Literal["active", "archived"]
    content_retention_days: int | None = None


class MemberRequest(Asked):
    """A user's role in a project."""

    user_id: Id
    role: RoleName


class RoleRequest(Asked):
    """Another role."""

    role: RoleName


class ProjectUser(Wire):
    """A member of a project."""

    object: Literal["organization.project.user"] = "organization.project.user"
    id: str
    name: str
    email: str
    role: RoleName
    added_at: int


class ServiceAccountRequest(Asked):
    """A service account; what else is given is about its first key."""

    name: Name = Field(examples=["nightly-summaries"])
    scopes: Words | None = None
    allowed_models: Words | None = None
    allowed_cidrs: Words | None = None
    expires_at: EpochSeconds | None = None


class ServiceAccount(Wire):
    """A program that has keys of its own."""

    object: Literal["organization.project.service_account"] = "organization.project.service_account"
    id: str
    name: str
    role: Literal["member"] = "member"
    created_at: int
    disabled_at: int | None


class NewServiceAccount(ServiceAccount):
    """A service account that was just made, with its first key."""

    api_key: IssuedKey
