"""Policies, explanations and roles on the wire."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from helixflow.api.administration import Asked, EpochSeconds, Id, Name, Word
from helixflow.api.wire import Wire

Source: TypeAlias = Annotated[
    str,
    Field(
        min_length=1,
        max_length=16_384,
        description="Cedar policies.",
        examples=['forbid (principal, action, resource == Model::"big");'],
    ),
]


class PolicyRequest(Asked):
    """A policy as it is to be; without a project it holds in the whole organization."""

    name: Name
    source: Source
    project_id: Id | None = None


class PolicyUpdateRequest(Asked):
    """What is to be changed; what is not given stays as it is."""

    name: Name | None = None
    source: Source | None = None
    enabled: bool | None = None


class Policy(Wire):
    """A Cedar policy."""

    object: Literal["organization.policy"] = "organization.policy"
    id: str
    name: str
    source: str
    enabled: bool
    project_id: str | None
    created_at: int
    updated_at: int


class ExplainRequest(Asked):
    """Who wants what, and how things are then. It names a `model` or an `object`."""

    project_id: Id
    action: Word = Field(examples=["model:invoke"])
    model: Word | None = None
    object: Word | None = None
    attributes: dict[Word, Annotated[str, Field(max_length=256)]] = Field(
        default_factory=dict, max_length=8
    )
    key_id: Annotated[str, Field(max_length=256)] = ""
    caller: Annotated[str, Field(max_length=256)] = ""
    source: Annotated[str, Field(max_length=64, description="The client's address.")] = ""
    claims: list[Word] = Field(default_factory=list, max_length=64, examples=[["team=search"]])
    at: EpochSeconds | None = Field(default=None, description="By default the present.")


class Judgement(Wire):
    """What the policies in force say."""

    object: Literal["organization.policy.judgement"] = "organization.policy.judgement"
    allowed: bool
    because: list[str] = Field(description="Ids of the policies that decide; `roles` is none.")
    errors: list[str] = Field(description="What went wrong in them; then they deny.")


class Role(Wire):
    """What members of a role may do."""

    object: Literal["organization.role"] = "organization.role"
    id: str
    name: str
    permissions: list[str]
