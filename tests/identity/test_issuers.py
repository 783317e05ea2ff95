from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import jwt
import pytest

from helixflow.crypto.rsa import load_private_key, new_private_key, public_jwk
from helixflow.errors import Refusal, Unavailable
from helixflow.identity.access_tokens import TokenRefused, issuer_of, kid_of
from helixflow.identity.events import Actor
from helixflow.identity.issuers import KeySet, OutsideAuthority, OutsideIssuer, usable
from helixflow.identity.permissions import ROLE_PERMISSIONS, Role
from helixflow.identity.projects import Projects
from helixflow.storage.prepare import Stores
from helixflow.testing.clock import ManualClock
from helixflow.testing.store import add_tenant

PRIVATE = new_private_key()
LOADED = load_private_key(PRIVATE)
NEXT = new_private_key()
ISSUER = "https://login.example"


class Provider:
    """An OIDC provider's key set, as one fetches it."""

    def __init__(self) -> None:
        self.keys: list[Any] = [public_jwk(PRIVATE) | {"kid": "k1", "use": "sig"}]
        self.away = False
        self.asked = 0

    async def fetch(self, url: str) -> bytes:
        assert url == ISSUER + "/jwks"
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise OSError
        return json.dumps({"keys": self.keys}).encode()


def token(clock: ManualClock, private: Any = LOADED, kid: str = "k1", **changes: Any) -> str:
    now = clock.now()
    claims = {
        "iss": ISSUER, "aud": ["helix", "other"], "sub": "ada", "iat": now, "exp": now + 3600,
        **changes,
    }  # fmt: skip
    return jwt.encode(claims, private, "RS256", {"kid": kid})


class Setting:
    def __init__(self, stores: Stores, actor: Actor, project: Any) -> None:
        self.stores, self.actor, self.project = stores, actor, project
        self.clock, self.provider = ManualClock(), Provider()
        issuer = OutsideIssuer(
            ISSUER, "helix", ISSUER + "/jwks", actor.organization, project,
            role_claim="groups", roles={"ml": Role.DEVELOPER},
            default_roles=frozenset({Role.VIEWER}),
        )  # fmt: skip
        self.authority = OutsideAuthority(stores.units, [issuer], self.provider.fetch, self.clock)


@pytest.fixture
async def setting(stores: Stores) -> Setting:
    organization, project = await add_tenant(stores.units)
    return Setting(stores, Actor(organization.id, "user"), project.id)


async def test_an_outside_token_has_the_roles_that_are_mapped(setting: Setting) -> None:
    viewer, developer = ROLE_PERMISSIONS[Role.VIEWER], ROLE_PERMISSIONS[Role.DEVELOPER]
    for groups, expected in (
        (["ml", "unknown", 7], viewer | developer),
        ("ml", viewer | developer),
        ([], viewer),
        ({"ml": 1}, viewer),
    ):
        verdict = await setting.authority.verify(token(setting.clock, groups=groups))
        caller = verdict.principal
        assert caller is not None
        assert caller.permissions == expected
        assert (caller.project, caller.name) == (setting.project, "ada")
        assert caller.key.startswith("oidc_")
        assert verdict.expires_at == setting.clock.now() + 3600
    assert setting.provider.asked == 1


async def test_what_an_outside_token_claims_beyond_its_mapping_is_nothing(
    setting: Setting,
) -> None:
    honest = await setting.authority.verify(token(setting.clock))
    greedy = token(
        setting.clock, org="org_other", project="proj_other", scope="key:create", key="key_1"
    )
    claimed = (await setting.authority.verify(greedy)).principal
    assert claimed is not None
    assert honest.principal is not None
    assert replace(claimed, claims=honest.principal.claims) == honest.principal
    assert "scope=key:create" in claimed.claims


async def test_a_token_that_does_not_fit_is_refused(setting: Setting) -> None:
    clock = setting.clock
    for bad in (
        token(clock, iss="https://evil.example"),
        token(clock, aud="other"),
        token(clock, NEXT),
        token(clock, kid="k9"),
        token(clock, sub=None),
        jwt.encode({"iss": ISSUER, "sub": "ada"}, "s" * 32, "HS256", {"kid": "k1"}),
        "ey.ey.ey",
        "nonsense",
    ):
        verdict = await setting.authority.verify(bad)
        assert verdict.principal is None
        assert verdict.refused is not None
        assert verdict.refused.reason is Refusal.INVALID_API_KEY
    old = token(clock, exp=clock.now() - 31)
    refused = (await setting.authority.verify(old)).refused
    assert refused is not None
    assert refused.reason is Refusal.EXPIRED_API_KEY


async def test_an_archived_project_lets_nobody_in(setting: Setting) -> None:
    await Projects(setting.stores.units, setting.clock).archive(setting.actor, setting.project)
    assert (await setting.authority.verify(token(setting.clock))).principal is None


async def test_a_fresh_key_is_found_and_unknown_ids_do_not_flood_the_issuer(
    setting: Setting,
) -> None:
    clock, provider = setting.clock, setting.provider
    await setting.authority.verify(token(clock))
    provider.keys.append(public_jwk(NEXT) | {"kid": "k2"})
    clock.advance(10)
    verdicts = await asyncio.gather(
        *(setting.authority.verify(token(clock, NEXT, "k2")) for _ in range(5))
    )
    assert all(verdict.principal is not None for verdict in verdicts)
    assert provider.asked == 2
    for number in range(20):
        await setting.authority.verify(token(clock, kid=f"made up {number}"))
    assert provider.asked == 2


async def test_a_key_set_is_kept_while_the_issuer_is_away(setting: Setting) -> None:
    clock, provider = setting.clock, setting.provider
    await setting.authority.verify(token(clock))
    provider.away = True
    clock.advance(3600)
    assert (await setting.authority.verify(token(clock))).principal is not None
    clock.advance(86_400)
    with pytest.raises(Unavailable):
        await setting.authority.verify(token(clock))
    provider.away = False
    clock.advance(10)
    assert (await setting.authority.verify(token(clock))).principal is not None


async def test_an_issuer_that_never_answered_is_unavailable_not_invalid() -> None:
    provider = Provider()
    provider.away = True
    keys = KeySet(ISSUER + "/jwks", provider.fetch, ManualClock())
    for _ in range(2):
        with pytest.raises(Unavailable):
            await keys.keys("k1")
    assert provider.asked == 1


@pytest.mark.parametrize(
    "document", [b"", b"[]", b"{}", b'{"keys": 3}', b"null", b"\xff", b"[" * 100_000]
)
def test_what_is_no_key_set_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError):
        usable(document)


def test_only_public_rsa_signing_keys_of_enough_bits_are_used() -> None:
    good = public_jwk(PRIVATE) | {"kid": "k"}
    bad = [
        good | {"use": "enc"},
        good | {"kty": "oct"},
        good | {"n": "AQAB"},
        good | {"kid": 3},
        good | {"d": "x"},
        "text",
        None,
    ]
    assert usable(json.dumps({"keys": [*bad, good]}).encode()) == [good]
    assert len(usable(json.dumps({"keys": [good] * 100}).encode())) == 64


@pytest.mark.parametrize("text", ["", "a.b.c", "ey.ey", "ey!.!.!", "é"])
def test_what_is_no_token_has_no_issuer_and_no_key(text: str) -> None:
    for look in (issuer_of, kid_of):
        with pytest.raises(TokenRefused):
            look(text)
