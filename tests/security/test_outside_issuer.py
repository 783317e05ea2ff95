"""Tokens of an issuer that is none of ours, made with a library that is none of ours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from joserfc import jwk, jwt

from helixflow.identity.permissions import ROLE_PERMISSIONS, Role
from helixflow.testing.http import serving
from helixflow.testing.platform import Platform, Tenant

ISSUER = "https://login.example.test"
AUDIENCE = "helixflow-api"


class Provider:
    """An OIDC provider: a key set on loopback, and tokens."""

    def __init__(self) -> None:
        self.keys = [jwk.RSAKey.generate_key(2048, parameters={"kid": "k1", "use": "sig"})]
        self.asked = 0
        self.port = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        body = json.dumps({"keys": [key.as_dict(private=False) for key in self.keys]}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    def issue(self, now: float, key: jwk.RSAKey | None = None, **claims: Any) -> str:
        """A token as an OIDC provider makes it."""
        key = key or self.keys[-1]
        said = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "ada",
            "iat": int(now),
            "exp": int(now) + 600,
            "groups": ["research", "unmapped"],
            **claims,
        }
        return jwt.encode({"alg": "RS256", "kid": key.kid, "typ": "JWT"}, said, key)


def trusting(port: int, tenant: Tenant) -> dict[str, Any]:
    """The settings that trust a provider for one project of a tenant."""
    issuer = {
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "jwks_url": f"http://127.0.0.1:{port}/jwks",
        "organization": tenant.organization,
        "project": tenant.project,
        "role_claim": "groups",
        "roles": {"research": "developer", "board": "owner"},
    }
    return {"issuers": [issuer]}


@asynccontextmanager
async def trusted(home: Path, tenant: Tenant) -> AsyncIterator[tuple[Platform, Provider]]:
    """A platform that trusts a provider."""
    provider = Provider()
    async with (
        serving(provider) as port,
        Platform.open(home, identity=trusting(port, tenant)) as platform,
    ):
        yield platform, provider


async def test_a_token_of_a_trusted_issuer_is_accepted(home: Path, tenant: Tenant) -> None:
    async with trusted(home, tenant) as (platform, provider):
        token = provider.issue(platform.clock.now())
        assert (await platform.ask("GET", "/v1/models", token)).status == 200
        who = await platform.authenticator.authenticate(token, "203.0.113.7")
        assert (who.organization, who.project) == (tenant.organization, tenant.project)
        assert who.permissions == ROLE_PERMISSIONS[Role.DEVELOPER]


async def test_a_token_gives_what_its_mapped_claim_gives_and_nothing_else(
    home: Path, tenant: Tenant, other: Tenant
) -> None:
    async with trusted(home, tenant) as (platform, provider):
        now = platform.clock.now()
        powerless = provider.issue(now, groups=["owner", "admin", "BOARD"])
        answer = await platform.ask("GET", "/v1/models", powerless)
        assert (answer.status, answer.code) == (403, "permission_denied")
        for claims in (
            {"org": other.organization, "project": other.project},
            {"scope": "user:create organization:update"},
            {"role": "owner", "roles": ["owner"], "groups": "research"},
        ):
            token = provider.issue(now, **claims)
            who = await platform.authenticator.authenticate(token, "203.0.113.7")
            assert who.organization == tenant.organization
            assert who.permissions <= ROLE_PERMISSIONS[Role.DEVELOPER]


async def test_what_the_issuer_did_not_say_is_refused(home: Path, tenant: Tenant) -> None:
    async with trusted(home, tenant) as (platform, provider):
        now = platform.clock.now()
        stranger = jwk.RSAKey.generate_key(2048, parameters={"kid": "k1", "use": "sig"})
        for token in (
            provider.issue(now, key=stranger),
            provider.issue(now, aud="another"),
            provider.issue(now, iss=ISSUER + ".evil"),
            provider.issue(now, iss=platform.settings.identity.tokens.issuer),
            provider.issue(now, nbf=int(now) + 3600),
            provider.issue(now, exp=None),
        ):
            answer = await platform.ask("GET", "/v1/models", token)
            assert (answer.status, answer.code) == (401, "invalid_api_key"), answer.body
        old = provider.issue(now - 7200)
        answer = await platform.ask("GET", "/v1/models", old)
        assert (answer.status, answer.code) == (401, "expired_api_key")


async def test_an_issuer_s_fresh_key_is_found_and_its_old_one_ends_with_the_set(
    home: Path, tenant: Tenant
) -> None:
    async with trusted(home, tenant) as (platform, provider):
        before = provider.issue(platform.clock.now(), exp=int(platform.clock.now()) + 86_400)
        assert (await platform.ask("GET", "/v1/models", before)).status == 200
        provider.keys = [jwk.RSAKey.generate_key(2048, parameters={"kid": "k2", "use": "sig"})]
        platform.clock.advance(60)
        after = provider.issue(platform.clock.now())
        assert (await platform.ask("GET", "/v1/models", after)).status == 200
        platform.clock.advance(60)
        assert (await platform.ask("GET", "/v1/models", before)).status == 401


async def test_unknown_key_ids_do_not_make_us_flood_the_issuer(home: Path, tenant: Tenant) -> None:
    async with trusted(home, tenant) as (platform, provider):
        key = provider.keys[0].as_dict(private=True)
        for number in range(20):
            forged = jwk.RSAKey.import_key(key | {"kid": f"unknown-{number}"})
            token = provider.issue(platform.clock.now(), key=forged)
            assert (await platform.ask("GET", "/v1/models", token)).status == 401
        assert provider.asked == 1


async def test_an_issuer_that_is_away_is_no_refusal(home: Path, tenant: Tenant) -> None:
    provider = Provider()
    async with serving(provider) as port:
        pass
    settings = trusting(port, tenant)
    async with Platform.open(home, identity=settings) as platform, asyncio.timeout(10):
        answer = await platform.ask("GET", "/v1/models", provider.issue(platform.clock.now()))
        assert (answer.status, answer.code) == (503, "auth_unavailable")
        assert answer.header("retry-after")
