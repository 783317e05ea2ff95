"""The desk's open operations: tokens (RFC 6749, RFC 7009), invitations, and what is published.

Who comes here proves with a secret who it is, or asks for what everybody may know.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from helixflow.crypto.passwords import Passwords
from helixflow.crypto.secret import Secret
from helixflow.errors import InvalidRequest, Refusal
from helixflow.identity.desk_operation import Arguments, Json, Services, Shown
from helixflow.identity.grants import Granted, Grants
from helixflow.identity.passwords import checked
from helixflow.identity.permissions import Permission
from helixflow.identity.ports import Store, Unit
from helixflow.identity.signing_keys import ALGORITHM, SigningKeys
from helixflow.ids import OrganizationId, ProjectId
from helixflow.settings import TokenSettings

GRANT_TYPES = ("client_credentials", "password", "refresh_token")


@dataclass(frozen=True, slots=True)
class Doors:
    """What the open operations are done with."""

    store: Store
    grants: Grants
    signing: SigningKeys
    services: Services
    passwords: Passwords
    settings: TokenSettings


class Grant(Arguments, frozen=True, kw_only=True):
    grant_type: str = ""
    client_id: str = ""
    client_secret: str = ""
    username: str = ""
    password: str = ""
    refresh_token: str = ""
    scope: str | None = None
    organization: str = ""
    project: str = ""


class Token(Arguments, frozen=True, kw_only=True):
    token: str


class Acceptance(Arguments, frozen=True, kw_only=True):
    invitation: str
    password: str


Open: TypeAlias = Callable[[Doors, Any], Awaitable[Shown]]


@dataclass(frozen=True, slots=True)
class OpenOperation:
    """One operation that asks for no principal."""

    name: str
    arguments: type[Arguments]
    run: Open


async def _grant(doors: Doors, asked: Grant) -> Shown:
    scopes = None if asked.scope is None else asked.scope.split()
    match asked.grant_type:
        case "client_credentials":
            _require(asked, "client_id", "client_secret")
            granted = await doors.grants.client_credentials(
                asked.client_id, Secret(asked.client_secret), scopes
            )
        case "password":
            _require(asked, "username", "password")
            organization, project = await doors.store.read(lambda unit: _place(unit, asked))
            granted = await doors.grants.password(
                organization, project, asked.username, Secret(asked.password), scopes
            )
        case "refresh_token":
            _require(asked, "refresh_token")
            granted = await doors.grants.refresh(Secret(asked.refresh_token))
        case "":
            raise _missing("grant_type")
        case _:
            raise InvalidRequest(
                Refusal.UNSUPPORTED_PARAMETER,
                f"It must be one of: {', '.join(GRANT_TYPES)}.",
                param="grant_type",
            )
    return Shown(_granted_json(granted))


async def _revoke(doors: Doors, asked: Token) -> Shown:
    await doors.grants.revoke(Secret(asked.token))
    return Shown({})


async def _accept(doors: Doors, asked: Acceptance) -> Shown:
    invitation, invites = Secret(asked.invitation), doors.services.invites
    # Hashing is dear on purpose: strangers must not be able to ask for it.
    invites.require_genuine(invitation)
    hashed = await doors.passwords.hash(checked(Secret(asked.password)))
    user = await invites.accept(invitation, hashed)
    return Shown({"object": "organization.user", "id": user.id, "email": user.email})


async def _jwks(doors: Doors, _: Arguments) -> Shown:
    return Shown(dict(await doors.signing.jwks()))


async def _openid(doors: Doors, _: Arguments) -> Shown:
    """OpenID Connect Discovery 1.0, as far as it fits a server that only issues access tokens."""
    issuer = doors.settings.issuer
    root = issuer.rstrip("/")
    return Shown(
        {
            "issuer": issuer,
            "token_endpoint": f"{root}/v1/auth/token",
            "revocation_endpoint": f"{root}/v1/auth/revoke",
            "jwks_uri": f"{root}/.well-known/jwks.json",
            "grant_types_supported": list(GRANT_TYPES),
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "scopes_supported": sorted(Permission),
            "response_types_supported": [],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
        }
    )


async def _place(unit: Unit, asked: Grant) -> tuple[OrganizationId, ProjectId]:
    """Where a password is for: what is not named is the default."""
    begun = await unit.installation()
    if begun is not None and asked.organization in ("", begun.organization):
        return begun.organization, ProjectId(asked.project) or begun.project
    _require(asked, "organization", "project")
    return OrganizationId(asked.organization), ProjectId(asked.project)


def _granted_json(granted: Granted) -> Json:
    body: Json = {
        "access_token": granted.access.reveal(),
        "token_type": "Bearer",
        "expires_in": granted.expires_in_s,
        "scope": " ".join(sorted(granted.scopes)),
    }
    if granted.refresh is not None:
        body["refresh_token"] = granted.refresh.reveal()
    return body


def _require(asked: Grant, *names: str) -> None:
    for name in names:
        if not getattr(asked, name):
            raise _missing(name)


def _missing(name: str) -> InvalidRequest:
    return InvalidRequest(Refusal.MISSING_PARAMETER, f"It lacks {name}.", param=name)


OPEN_OPERATIONS = (
    OpenOperation("token.grant", Grant, _grant),
    OpenOperation("token.revoke", Token, _revoke),
    OpenOperation("invite.accept", Acceptance, _accept),
    OpenOperation("jwks.read", Arguments, _jwks),
    OpenOperation("openid.read", Arguments, _openid),
)
