"""Limits on the wire: those that are set, those of projects per model, and a caller's own."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from helixflow.api.administration import Asked, Id, Name
from helixflow.api.wire import Wire
from helixflow.tiers import AMOUNT_MAX, WEIGHT_MAX, ClassWord, LimitWord, ScopeWord

Amount: TypeAlias = Annotated[
    float,
    Field(
        gt=0,
        le=AMOUNT_MAX,
        allow_inf_nan=False,
        description="Requests, tokens, requests at a time; US dollars of spend.",
        examples=[100],
    ),
]
Scopes: TypeAlias = Annotated[
    list[ScopeWord],
    Field(
        min_length=1,
        max_length=2,
        description="Whose use is counted together; by default that of the entity.",
        examples=[["key"]],
    ),
]
PerMinute: TypeAlias = Annotated[int, Field(ge=1, le=AMOUNT_MAX)] | None
EntityId: TypeAlias = Annotated[
    str, Field(min_length=1, max_length=256, description="Which one of its kind.")
]
ModelName: TypeAlias = Annotated[
    str,
    Field(min_length=1, max_length=64, description="The model, no alias; by default each one."),
]

_HARD = "Whether no debt is allowed: then a request reserves its whole `max_tokens`."


class LimitRequest(Asked):
    """A limit as it is to be."""

    entity: ScopeWord = Field(description="Whose requests it is about.")
    entity_id: EntityId | None = None
    name: LimitWord
    per: Scopes | None = None
    amount: Amount
    hard: bool = Field(default=False, description=_HARD)
    model: ModelName | None = None


class LimitUpdateRequest(Asked):
    """What is to be changed; what is not given stays as it is."""

    amount: Amount | None = None
    hard: bool | None = None


class TierLimit(Wire):
    """A limit that a tier gives."""

    name: LimitWord
    per: list[ScopeWord]
    amount: float
    hard: bool
    model: str | None


class Limit(TierLimit):
    """A limit that stands in the place of what the tier says."""

    object: Literal["organization.limit"] = "organization.limit"
    id: str
    entity: ScopeWord
    entity_id: str
    project_id: str | None
    created_at: int
    updated_at: int


class RateLimitRequest(Asked):
    """What a project may use of a model; what is not given stays, null takes it away."""

    max_requests_per_1_day: PerMinute = None
    max_requests_per_1_minute: PerMinute = None
    max_tokens_per_1_minute: PerMinute = None


class RateLimit(Wire):
    """What a project may use of a model; null is not limited."""

    object: Literal["project.rate_limit"] = "project.rate_limit"
    id: str
    model: str
    max_requests_per_1_day: int | None
    max_requests_per_1_minute: int | None
    max_tokens_per_1_minute: int | None


class OrganizationRequest(Asked):
    """What is to be changed; what is not given stays, null gives back what the tier says."""

    name: Name = Field(default="", examples=["Acme"])
    tier: Id | None = Field(default=None, description="A tier of the configuration.")
    weight: Annotated[float, Field(gt=0, le=WEIGHT_MAX, allow_inf_nan=False)] | None = None
    service_class: ClassWord | None = None


class Organization(Wire):
    """The organization, and what is in force for it."""

    object: Literal["organization"] = "organization"
    id: str
    name: str
    created_at: int
    tier: str | None
    weight: float = Field(description="Its share of a contended model, beside the others'.")
    service_class: ClassWord = Field(description="The most urgent class of its requests.")
    tier_limits: list[TierLimit]


class OwnLimit(Wire):
    """A limit of the caller's, and what is left of it; null where nobody can tell right now."""

    object: Literal["limit"] = "limit"
    name: LimitWord
    scope: str = Field(description="Whose use it counts.", examples=["model=m,project=proj_6b1f"])
    limit: float = Field(description="Requests, tokens, requests at a time; US dollars of spend.")
    remaining: float | None
    reset_seconds: float | None = Field(
        description="How long until nothing of it is used, if nothing more is."
    )


class OwnLimits(Wire):
    """All limits of the caller's."""

    object: Literal["list"] = "list"
    data: list[OwnLimit]
