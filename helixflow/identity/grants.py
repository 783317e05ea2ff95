"""What `POST /v1/auth/token` grants: access tokens for a service key, a password, a refresh token.

Refresh tokens are used once: each gives the next one of its family. One that comes a second time
was stolen, or its successor was: the whole family ends (RFC 9700, 4.14.2).

Every grant is an event in the outbox before its token is handed out: in the transaction that keeps
the refresh token, or, for a key, in one of its own.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace

from helixflow.clock import Clock
from helixflow.crypto.secret import Secret
from helixflow.errors import Forbidden, Refusal, Unauthenticated
from helixflow.identity import inputs
from helixflow.identity.access_tokens import TokenRefused, mint_token_id, sign, verify
from helixflow.identity.authority import judge
from helixflow.identity.events import Event, EventName, changes
from helixflow.identity.keys import digest, mac
from helixflow.identity.login import Login
from helixflow.identity.ports import KeyStore, Store, StoredKey, Unit
from helixflow.identity.projects import open_project_of
from helixflow.identity.records import RefreshToken, RevokedToken, User
from helixflow.identity.signing_keys import Signer, SigningKeys
from helixflow.identity.users import Users
from helixflow.ids import OrganizationId, ProjectId
from helixflow.settings import TokenSettings

_PREFIX = "hx-rt-"
_REFUSED = "The grant is not valid."


@dataclass(frozen=True, slots=True)
class Granted:
    """Tokens that were just made (RFC 6749, 5.1)."""

    access: Secret
    expires_in_s: int
    scopes: frozenset[str]
    refresh: Secret | None = None


class Grants:
    """Grants tokens. Every refusal is the same `Unauthenticated`."""

    def __init__(
        self,
        store: Store,
        keys: KeyStore,
        signing: SigningKeys,
        login: Login,
        pepper: bytes,
        settings: TokenSettings,
        clock: Clock,
    ) -> None:
        self._store = store
        self._keys = keys
        self._signing = signing
        self._login = login
        self._users = Users(store, clock)
        self._pepper = pepper
        self._settings = settings
        self._clock = clock

    async def client_credentials(
        self, client_id: str, client_secret: Secret, scopes: Iterable[str] | None = None
    ) -> Granted:
        """For a service account's id, or a key's, and the key as the secret."""
        wanted = mac(self._pepper, digest(client_secret.reveal()))
        found = await self._keys.find(wanted)
        key = found.key
        if judge(found, wanted, self._clock.now()).principal is None or key is None:
            raise _refused()
        if client_id not in (key.id, key.service_account) or key.project is None:
            raise _refused()
        granted = inputs.scopes(scopes, key.permissions)
        signer, claims = await self._signing.signer(), _key_claims(key, granted)
        now = self._clock.now()

        async def work(unit: Unit) -> None:
            self._record(unit, "client_credentials", claims, now)

        await self._store.write(work)
        return self._access(signer, claims, granted, now)

    async def password(
        self,
        organization: OrganizationId,
        project: ProjectId,
        email: str,
        password: Secret,
        scopes: Iterable[str] | None = None,
    ) -> Granted:
        """For a local user's password; with a refresh token."""
        user = await self._login.check(organization, email, password)
        ceiling = await self._users.permissions(organization, user.id, project)
        if not ceiling:
            raise Forbidden(Refusal.PERMISSION_DENIED, "You have no role in this project.")
        granted = inputs.scopes(scopes, ceiling)
        signer, now = await self._signing.signer(), self._clock.now()
        text, token = self._refresh_token(user, project, granted)
        claims = _user_claims(token)

        async def work(unit: Unit) -> None:
            await open_project_of(unit, organization, project)
            await unit.refresh_tokens.add(token)
            self._record(unit, "password", claims, now)

        await self._store.write(work)
        return replace(self._access(signer, claims, granted, now), refresh=text)

    async def refresh(self, refresh_token: Secret) -> Granted:
        """For a refresh token; gives the next one of its family."""
        known = mac(self._pepper, digest(refresh_token.reveal()))
        signer, now = await self._signing.signer(), self._clock.now()

        async def work(unit: Unit) -> tuple[dict[str, str], RefreshToken, Secret] | None:
            held = await unit.refresh_token(known)
            if held is None or held.expires_at <= now:
                return None
            first = await unit.refresh_tokens.get(held.organization, held.family)
            if first is None or first.revoked_at is not None:
                return None
            if held.used_at is not None:
                await _end_family(unit, held, EventName.TOKEN_REUSE, now)
                return None
            user = await unit.users.get(held.organization, held.subject)
            if user is None or user.disabled_at is not None:
                return None
            text, following = self._refresh_token(user, held.project, held.scopes, held)
            await unit.refresh_tokens.put(replace(held, used_at=now))
            await unit.refresh_tokens.add(following)
            claims = _user_claims(following)
            self._record(unit, "refresh_token", claims, now)
            return claims, following, text

        exchanged = await self._store.write(work)
        if exchanged is None:
            raise _refused()
        claims, following, text = exchanged
        return replace(self._access(signer, claims, following.scopes, now), refresh=text)

    async def revoke(self, token: Secret) -> None:
        """End a refresh token's family, or an access token. Unknown ones are no error (RFC 7009)."""
        text, now = token.reveal(), self._clock.now()
        known = mac(self._pepper, digest(text))

        async def end_family(unit: Unit) -> bool:
            held = await unit.refresh_token(known)
            if held is None:
                return False
            await _end_family(unit, held, EventName.TOKEN_REVOKE, now)
            return True

        if await self._store.write(end_family):
            return
        settings, jwks = self._settings, await self._signing.jwks()
        try:
            claims = verify(
                text, jwks["keys"], settings.issuer, settings.audience, settings.leeway_s, now
            )
        except TokenRefused:
            return
        organization = OrganizationId(claims.organization)
        ended = RevokedToken(claims.id, organization, now, claims.expires_at + settings.leeway_s)

        async def end_token(unit: Unit) -> None:
            if await unit.revoked_tokens.get(organization, ended.id) is None:
                await unit.revoked_tokens.add(ended)
                event = Event(
                    EventName.TOKEN_REVOKE, organization, ProjectId(claims.project),
                    claims.subject, claims.id, now,
                )  # fmt: skip
                unit.record(event)

        await self._store.write(end_token)

    def _refresh_token(
        self,
        user: User,
        project: ProjectId,
        scopes: frozenset[str],
        before: RefreshToken | None = None,
    ) -> tuple[Secret, RefreshToken]:
        text, now = _PREFIX + secrets.token_urlsafe(32), self._clock.now()
        token_id = "rt_" + secrets.token_hex(16)
        return Secret(text), RefreshToken(
            id=token_id,
            organization=user.organization,
            project=project,
            family=token_id if before is None else before.family,
            subject=user.id,
            mac=mac(self._pepper, digest(text)),
            scopes=scopes,
            created_at=now,
            # A family does not live longer than its first token.
            expires_at=now + self._settings.refresh_s if before is None else before.expires_at,
        )

    def _record(self, unit: Unit, grant_type: str, claims: dict[str, str], now: float) -> None:
        """Note who was granted which token, what it may do and what it stands on; never the token."""
        told = {
            "expires_at": int(now + self._settings.access_s),
            "family": claims.get("family"),
            "grant_type": grant_type,
            "key": claims.get("key"),
            "scopes": claims["scope"].replace(" ", ", "),
        }
        organization, project = OrganizationId(claims["org"]), ProjectId(claims["project"])
        unit.record(
            Event(
                EventName.TOKEN_GRANT, organization, project, claims["sub"], claims["jti"], now,
                changes({}, told),
            )
        )  # fmt: skip

    def _access(
        self, signer: Signer, claims: dict[str, str], scopes: frozenset[str], now: float
    ) -> Granted:
        text = sign(signer, claims, self._settings, now)
        return Granted(Secret(text), int(self._settings.access_s), scopes)


def _user_claims(token: RefreshToken) -> dict[str, str]:
    return {
        "jti": mint_token_id(),
        "sub": token.subject,
        "org": token.organization,
        "project": token.project,
        "family": token.family,
        "scope": " ".join(sorted(token.scopes)),
    }


def _key_claims(key: StoredKey, scopes: frozenset[str]) -> dict[str, str]:
    return {
        "jti": mint_token_id(),
        "sub": key.service_account or key.id,
        "org": key.organization,
        "project": key.project or "",
        "key": key.id,
        "scope": " ".join(sorted(scopes)),
    }


async def _end_family(unit: Unit, token: RefreshToken, why: EventName, now: float) -> None:
    first = await unit.refresh_tokens.get(token.organization, token.family)
    if first is not None and first.revoked_at is None:
        await unit.refresh_tokens.put(replace(first, revoked_at=now))
        unit.record(Event(why, token.organization, token.project, token.subject, token.family, now))


def _refused() -> Unauthenticated:
    return Unauthenticated(Refusal.INVALID_API_KEY, _REFUSED)
