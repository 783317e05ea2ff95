"""Access tokens of outside issuers: any OIDC provider whose key set can be read.

What an issuer says decides who somebody is (`sub`) and, by a mapping of ours, which roles that
gives in one project of ours. It never decides in which organization.

Failure behavior: an issuer that is away does not matter while its key set is kept (`kept_s`); after
that, or before the first reading, its callers get `Unavailable`. Key ids that we do not know make
us read again, but not more often than every `pause_s`, whoever sends them.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from helixflow.clock import Clock
from helixflow.errors import Refusal, Unauthenticated, Unavailable
from helixflow.identity.access_tokens import (
    Claims,
    TokenRefused,
    issuer_of,
    kid_of,
    verify,
    words,
)
from helixflow.identity.permissions import Role, permissions_of
from helixflow.identity.ports import Store, Unit, Verdict
from helixflow.ids import KeyId, OrganizationId, ProjectId
from helixflow.inference.principal import Principal

Fetch: TypeAlias = Callable[[str], Awaitable[bytes]]
Jwk: TypeAlias = dict[str, Any]

_KEYS_MAX = 64
_MODULUS_LENGTH_MIN = 342  # base64url characters of 2048 bits
_RETRY_AFTER_S = 5.0
_REFUSED = "The access token is not valid."
_EXPIRED = "The access token has expired."


@dataclass(frozen=True, slots=True)
class OutsideIssuer:
    """An issuer that is trusted.

    Attributes:
        issuer, audience: what its tokens must say.
        jwks_url: where its key set is.
        organization, project: where its people work.
        role_claim: the claim, text or list of texts, that `roles` maps; empty for none.
        default_roles: what everybody of this issuer has.
    """

    issuer: str
    audience: str
    jwks_url: str
    organization: OrganizationId
    project: ProjectId
    role_claim: str = ""
    roles: Mapping[str, Role] = field(default_factory=dict)
    default_roles: frozenset[Role] = frozenset()


class KeySet:
    """An issuer's published keys, kept."""

    def __init__(
        self,
        url: str,
        fetch: Fetch,
        clock: Clock,
        fresh_s: float = 300.0,
        kept_s: float = 86_400.0,
        pause_s: float = 10.0,
    ) -> None:
        self._url = url
        self._fetch = fetch
        self._clock = clock
        self._fresh_s = fresh_s
        self._kept_s = kept_s
        self._pause_s = pause_s
        self._keys: list[Jwk] = []
        self._read_at = float("-inf")
        self._tried_at = float("-inf")
        self._one = asyncio.Lock()

    async def keys(self, kid: str) -> Sequence[Jwk]:
        """The key set, read anew where it is old or does not know `kid`. Raises `Unavailable`."""
        if self._is_due(kid):
            async with self._one:
                if self._is_due(kid):
                    await self._read()
        if self._clock.monotonic() - self._read_at > self._kept_s:
            raise Unavailable(
                Refusal.AUTH_UNAVAILABLE,
                "The issuer of this token cannot be asked right now.",
                retry_after_s=_RETRY_AFTER_S,
            )
        return self._keys

    def _is_due(self, kid: str) -> bool:
        now = self._clock.monotonic()
        if now - self._tried_at < self._pause_s:
            return False
        return now - self._read_at > self._fresh_s or all(key["kid"] != kid for key in self._keys)

    async def _read(self) -> None:
        self._tried_at = self._clock.monotonic()
        try:
            keys = usable(await self._fetch(self._url))
        except (OSError, ValueError):
            return  # what is kept goes on; `keys` says when it is too old
        self._keys, self._read_at = keys, self._tried_at


def usable(document: bytes) -> list[Jwk]:
    """The keys of a key set that can be used here. Raises `ValueError` for what is no key set."""
    try:
        listed = json.loads(document)["keys"][:_KEYS_MAX]
        return [key for key in listed if _is_usable(key)]
    except (TypeError, KeyError, RecursionError) as error:
        raise ValueError("not a key set") from error


def _is_usable(key: Any) -> bool:
    if not isinstance(key, dict) or key.get("kty") != "RSA" or key.get("use", "sig") != "sig":
        return False
    texts = all(isinstance(key.get(name), str) for name in ("kid", "n", "e"))
    return texts and len(key["n"]) >= _MODULUS_LENGTH_MIN and "d" not in key


class OutsideAuthority:
    """Decides about the tokens of outside issuers."""

    def __init__(
        self,
        store: Store,
        issuers: Sequence[OutsideIssuer],
        fetch: Fetch,
        clock: Clock,
        leeway_s: float = 30.0,
    ) -> None:
        self._store = store
        self._clock = clock
        self._leeway_s = leeway_s
        self._issuers = {
            issuer.issuer: (issuer, KeySet(issuer.jwks_url, fetch, clock)) for issuer in issuers
        }

    async def verify(self, token: str) -> Verdict:
        """The verdict about a token. Raises `Unavailable` where the issuer's keys are not known."""
        # The revision first: what is read after it can only be newer.
        revision = await self._store.read(_revision)
        try:
            issuer, keys = self._known(issuer_of(token))
            claims = verify(
                token,
                await keys.keys(kid_of(token)),
                issuer.issuer,
                issuer.audience,
                self._leeway_s,
                self._clock.now(),
            )
        except TokenRefused as refused:
            return _no(revision, expired=refused.expired)
        alive = await self._store.read(lambda unit: _is_alive(unit, issuer))
        if not alive:
            return _no(revision)
        return Verdict(_principal(issuer, claims), None, revision, claims.expires_at)

    def _known(self, issuer: str) -> tuple[OutsideIssuer, KeySet]:
        if issuer not in self._issuers:
            raise TokenRefused("an unknown issuer")
        return self._issuers[issuer]


def _principal(issuer: OutsideIssuer, claims: Claims) -> Principal:
    said = claims.all.get(issuer.role_claim, ()) if issuer.role_claim else ()
    names = said if isinstance(said, list) else [said]
    roles = {issuer.roles[name] for name in names if isinstance(name, str) and name in issuer.roles}
    digest = hashlib.sha256(f"{claims.issuer}\n{claims.subject}".encode()).hexdigest()
    who = "oidc_" + digest[:32]
    return Principal(
        issuer.organization,
        issuer.project,
        KeyId(who),
        claims.subject,
        permissions_of(roles | issuer.default_roles),
        claims=words(claims.all),
        subject=who,
    )


async def _is_alive(unit: Unit, issuer: OutsideIssuer) -> bool:
    organization = await unit.organizations.get(issuer.organization, issuer.organization)
    project = await unit.projects.get(issuer.organization, issuer.project)
    return (
        organization is not None
        and organization.disabled_at is None
        and project is not None
        and project.archived_at is None
    )


async def _revision(unit: Unit) -> int:
    return await unit.revision()


def _no(revision: int, *, expired: bool = False) -> Verdict:
    reason = Refusal.EXPIRED_API_KEY if expired else Refusal.INVALID_API_KEY
    return Verdict(None, Unauthenticated(reason, _EXPIRED if expired else _REFUSED), revision)
