"""Tokens (RFC 6749, RFC 7009) and what is published about them, on the wire."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from helixflow.api.administration import Asked
from helixflow.api.users import Password
from helixflow.api.wire import Wire

TOKEN_LENGTH_MAX = 8192

_Short: TypeAlias = Annotated[str, Field(max_length=320)]
_Long: TypeAlias = Annotated[str, Field(max_length=TOKEN_LENGTH_MAX)]
_Place: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9_]{0,64}$")]


class TokenRequest(Asked):
    """Which fields are needed depends on `grant_type`. `organization` and `project` are those that
    a password is for, by default the platform's first ones."""

    grant_type: Annotated[str, Field(max_length=256)] = Field(
        default="", examples=["client_credentials"]
    )
    client_id: _Short = ""
    client_secret: _Long = ""
    username: _Short = ""
    password: Annotated[str, Field(max_length=1024)] = ""
    refresh_token: _Long = ""
    scope: Annotated[str, Field(max_length=4096)] | None = Field(
        default=None, examples=["model:invoke model:list"]
    )
    organization: _Place = ""
    project: _Place = ""


class TokenAnswer(Wire):
    """An access token (RFC 6749, 5.1)."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 (a word of the protocol)
    expires_in: int = Field(description="Seconds.")
    scope: str
    refresh_token: str | None = None


class OAuthError(Wire):
    """Why there is no token (RFC 6749, 5.2)."""

    error: Literal[
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "server_error",
        "temporarily_unavailable",
        "unsupported_grant_type",
    ]
    error_description: str


class RevocationRequest(Asked):
    """An access token or a refresh token."""

    token: Annotated[str, Field(min_length=1, max_length=TOKEN_LENGTH_MAX)]
    token_type_hint: Annotated[str, Field(max_length=64)] = ""


class Revoked(Wire):
    """Done, whether or not there was such a token."""


class AcceptRequest(Asked):
    """An invitation, and the password that is to be."""

    invitation: Annotated[str, Field(min_length=1, max_length=1024)]
    password: Password


class Accepted(Wire):
    """The user, who can sign in."""

    object: Literal["organization.user"] = "organization.user"
    id: str
    email: str


class Jwks(Wire):
    """The keys that verify access tokens (RFC 7517)."""

    keys: list[dict[str, Any]]


class OpenidConfiguration(Wire):
    """Where tokens and keys are (OpenID Connect Discovery 1.0)."""

    issuer: str
    token_endpoint: str
    revocation_endpoint: str
    jwks_uri: str
    grant_types_supported: list[str]
    token_endpoint_auth_methods_supported: list[str]
    scopes_supported: list[str]
    response_types_supported: list[str]
    subject_types_supported: list[str]
    id_token_signing_alg_values_supported: list[str]
