"""What Auth decides about an access token: who its bearer is by now, not by when it was signed.

A token never gives more than its bearer has today: a token of a key ends with the key and is bound
by it, a token of a user has what the user's roles give, within the token's scope.

Failure behavior: where the store is away, `verify` raises `Unavailable` (`auth_unavailable`).
"""

from __future__ import annotations

from helixflow.clock import Clock
from helixflow.errors import Refusal, Unauthenticated
from helixflow.identity.access_tokens import Claims, TokenRefused, verify, words
from helixflow.identity.permissions import permissions_of
from helixflow.identity.ports import Store, Unit, Verdict
from helixflow.identity.signing_keys import SigningKeys
from helixflow.ids import KeyId, OrganizationId, ProjectId
from helixflow.inference.principal import Principal
from helixflow.settings import TokenSettings

_INVALID = "The access token is not valid."
_EXPIRED = "The access token has expired. Ask for another one."


class TokenAuthority:
    """Decides about the access tokens that this platform signed."""

    def __init__(
        self, store: Store, signing: SigningKeys, settings: TokenSettings, clock: Clock
    ) -> None:
        self._store = store
        self._signing = signing
        self._settings = settings
        self._clock = clock

    async def verify(self, token: str) -> Verdict:
        """The verdict about a token, good at the revision of the state it was decided on."""
        # The revision first: what is read after it can only be newer.
        revision = await self._store.read(_revision)
        keys, settings = (await self._signing.jwks())["keys"], self._settings
        try:
            claims = verify(
                token, keys, settings.issuer, settings.audience, settings.leeway_s,
                self._clock.now(),
            )  # fmt: skip
        except TokenRefused as refused:
            return _no(revision, expired=refused.expired)
        return await self._store.read(lambda unit: self._decide(unit, claims, revision))

    async def _decide(self, unit: Unit, claims: Claims, revision: int) -> Verdict:
        organization = OrganizationId(claims.organization)
        if await unit.revoked_tokens.get(organization, claims.id) is not None:
            return _no(revision)
        if claims.key:
            return await self._for_key(unit, claims, organization, revision)
        return await self._for_user(unit, claims, organization, revision)

    async def _for_key(
        self, unit: Unit, claims: Claims, organization: OrganizationId, revision: int
    ) -> Verdict:
        found = await unit.key(organization, KeyId(claims.key))
        key, now = found.key, self._clock.now()
        if key is None or key.revoked_at is not None or found.disabled or key.project is None:
            return _no(revision)
        if key.expires_at is not None and key.expires_at <= now:
            return _no(revision, expired=True)
        principal = Principal(
            organization,
            key.project,
            key.id,
            key.name,
            key.permissions & claims.scopes,
            key.models,
            claims=words(claims.all),
            subject=key.service_account or "",
        )
        ends = (
            claims.expires_at if key.expires_at is None else min(claims.expires_at, key.expires_at)
        )
        cidrs = None if key.cidrs is None else tuple(sorted(key.cidrs))
        return Verdict(principal, None, revision, ends, cidrs)

    async def _for_user(
        self, unit: Unit, claims: Claims, organization: OrganizationId, revision: int
    ) -> Verdict:
        project = ProjectId(claims.project)
        tenant = await unit.organizations.get(organization, organization)
        place = await unit.projects.get(organization, project)
        user = await unit.users.get(organization, claims.subject)
        if tenant is None or place is None or user is None:
            return _no(revision)
        if any(at is not None for at in (tenant.disabled_at, place.archived_at, user.disabled_at)):
            return _no(revision)
        family = await unit.refresh_tokens.get(organization, claims.family)
        if family is None or family.revoked_at is not None:
            return _no(revision)
        members = await unit.memberships.where(organization, user=user.id)
        granted = permissions_of(
            member.role for member in members if member.project in (None, project)
        )
        principal = Principal(
            organization,
            project,
            KeyId(user.id),
            user.name,
            granted & claims.scopes,
            claims=words(claims.all),
            subject=user.id,
        )
        return Verdict(principal, None, revision, claims.expires_at)


async def _revision(unit: Unit) -> int:
    return await unit.revision()


def _no(revision: int, *, expired: bool = False) -> Verdict:
    reason = Refusal.EXPIRED_API_KEY if expired else Refusal.INVALID_API_KEY
    return Verdict(None, Unauthenticated(reason, _EXPIRED if expired else _INVALID), revision)
