"""API keys and signing keys on the wire."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from helixflow.api.administration import Asked, EpochSeconds, Id, Name, Words
from helixflow.api.wire import Wire

_OVERLAP_S_MAX = 30 * 86_400


class AdminKeyRequest(Asked):
    """A key as it is to be. What is not given is not limited."""

    name: Name = Field(examples=["staging"])
    scopes: Words | None = Field(default=None, examples=[["model:invoke"]])
    allowed_models: Words | None = None
    allowed_cidrs: Words | None = Field(default=None, examples=[["10.0.0.0/8"]])
    expires_at: EpochSeconds | None = Field(default=None, description="Epoch seconds.")


class KeyRequest(AdminKeyRequest):
    """A project's key, or with `service_account_id` another key of that service account."""

    service_account_id: Id | None = None


class KeyUpdateRequest(Asked):
    """What is to be changed; what is not given stays as it is, `null` takes a limit away."""

    name: Name = ""
    scopes: Words | None = None
    allowed_models: Words | None = None
    allowed_cidrs: Words | None = None
    expires_at: EpochSeconds | None = None


class RotationRequest(Asked):
    """How long the old key stays valid."""

    overlap_s: Annotated[float, Field(ge=0, le=_OVERLAP_S_MAX, allow_inf_nan=False)] = 86_400.0


class KeyOwner(Wire):
    """What a key belongs to."""

    type: Literal["organization", "project", "service_account"]
    id: str


class Key(Wire):
    """An API key; its text is only in the answer that made it."""

    object: Literal["organization.project.api_key", "organization.admin_api_key"]
    id: str
    name: str
    kind: Literal["admin", "project", "service_account"]
    redacted_value: str
    created_at: int
    expires_at: float | None
    revoked_at: int | None
    last_used_at: int | None = Field(description="Coarse: it is written in batches.")
    owner: KeyOwner
    project_id: str | None
    scopes: list[str]
    allowed_models: list[str] | None
    allowed_cidrs: list[str] | None


class IssuedKey(Key):
    """A key that was just made."""

    value: str = Field(description="The key's text, shown this once.")


class SigningKey(Wire):
    """A key that signs access tokens."""

    object: Literal["organization.signing_key"] = "organization.signing_key"
    id: str = Field(description="The `kid`.")
    state: Literal["waiting", "signing", "verifying", "expired", "revoked"]
    created_at: int
    signs_from: int
    signs_until: int
    verifies_until: int
    revoked_at: int | None
