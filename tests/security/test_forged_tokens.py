"""Tokens that this platform did not sign, or not for this, are refused, and all alike."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import jwt
from joserfc import jwk

from helixflow.identity.access_tokens import sign
from helixflow.identity.permissions import Role
from helixflow.settings import TokenSettings
from helixflow.testing.http import HttpAnswer, serving
from helixflow.testing.platform import MODEL, Platform, Tenant

from .forge import b64, honest, parts, unsigned, with_hmac


async def shown(platform: Platform, token: str) -> HttpAnswer:
    """What a token's bearer sees; the same by both ways in."""
    cold = await platform.ask("GET", "/v1/models", token)
    body = {"model": MODEL, "messages": [{"role": "user", "content": "a"}]}
    hot = await platform.ask("POST", "/v1/chat/completions", token, body)
    assert cold.status == hot.status
    assert cold.status == 200 or cold.code == hot.code
    return cold


async def assert_refused(platform: Platform, token: str, code: str = "invalid_api_key") -> None:
    answer = await shown(platform, token)
    assert (answer.status, answer.code) == (401, code), answer.body
    assert token.encode() not in answer.body
    assert answer.header("www-authenticate").startswith("Bearer")


async def test_an_algorithm_that_is_not_ours_is_refused(platform: Platform, tenant: Tenant) -> None:
    token = await honest(platform, tenant)
    header, claims = parts(token)
    signature = token.rpartition(".")[2]
    for alg in ("none", "None", "NONE", "nOnE", "", None, "RS384", "PS256", ["RS256"]):
        for end in ("", signature):
            await assert_refused(platform, f"{unsigned({**header, 'alg': alg}, claims)}.{end}")


async def test_our_public_key_is_no_hmac_secret(platform: Platform, tenant: Tenant) -> None:
    header, claims = parts(await honest(platform, tenant))
    (published,) = (await platform.signing.jwks())["keys"]
    public = jwk.RSAKey.import_key(published)
    secrets = [
        public.as_pem(private=False),
        public.as_pem(private=False).strip(),
        public.as_der(private=False),
        json.dumps(published).encode(),
        published["n"].encode(),
        b"",
    ]
    for secret in secrets:
        await assert_refused(platform, with_hmac(header, claims, secret))


async def test_a_key_id_is_looked_up_among_ours_and_nowhere_else(
    platform: Platform, tenant: Tenant
) -> None:
    header, claims = parts(await honest(platform, tenant))
    own = header["kid"]
    for kid in (
        "../../../../dev/null", "/dev/null", "' OR '1'='1", "x' UNION SELECT 'k", "", " ",
        "k" * 5_000, "k" * 100_000, None, 7, True, [own], {"kid": own}, own + " ", own.upper() + "x",
    ):  # fmt: skip
        forged = {**header, "kid": kid}
        await assert_refused(platform, with_hmac(forged, claims, b""))
        await assert_refused(platform, f"{unsigned(forged, claims)}.{b64(b'0' * 256)}")


async def test_a_key_that_a_token_brings_along_is_neither_used_nor_fetched(
    platform: Platform, tenant: Tenant
) -> None:
    header, claims = parts(await honest(platform, tenant))
    mine = jwk.RSAKey.generate_key(2048, parameters={"kid": header["kid"], "use": "sig"})
    asked: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope["path"])
        start = {"type": "http.response.start", "status": 200, "headers": []}
        await send(start)
        body = json.dumps({"keys": [mine.as_dict(private=False)]}).encode()
        await send({"type": "http.response.body", "body": body})

    async with serving(app) as port:
        url = f"http://127.0.0.1:{port}/keys"
        pem = mine.as_pem(private=True).decode()
        for extra in (
            {"jku": url},
            {"x5u": url},
            {"jwk": mine.as_dict(private=False)},
            {"x5c": [b64(mine.as_der(private=False))]},
            {"kid": url},
            {"jku": url, "kid": "unknown"},
        ):
            token = jwt.encode(claims, pem, "RS256", {**header, **extra})
            await assert_refused(platform, token)
        await asyncio.sleep(0)
    assert asked == []


async def test_a_header_that_must_be_understood_is_refused(
    platform: Platform, tenant: Tenant
) -> None:
    _, claims = parts(await honest(platform, tenant))
    signer = await platform.signer()
    for crit in (["exp"], ["b64"], [], "b64"):
        header = {"kid": signer.kid, "crit": crit, "b64": True}
        await assert_refused(platform, jwt.encode(claims, signer.key, "RS256", header))


async def test_changed_claims_break_the_signature(
    platform: Platform, tenant: Tenant, other: Tenant
) -> None:
    token = await honest(platform, tenant, Role.VIEWER)
    header, claims = parts(token)
    signature = token.rpartition(".")[2]
    for change in (
        {"scope": claims["scope"] + " user:create"},
        {"org": other.organization, "project": other.project},
        {"sub": tenant.people[Role.OWNER]},
        {"exp": claims["exp"] + 86_400},
    ):
        await assert_refused(platform, f"{unsigned(header, claims | change)}.{signature}")


async def signed(platform: Platform, claims: dict[str, Any], **settings: Any) -> str:
    """A token that our own key signed, with other claims or under other settings."""
    tokens = platform.settings.identity.tokens.model_copy(update=settings)
    now = settings.pop("now", platform.clock.now())
    return sign(await platform.signer(), claims, tokens, now)


async def test_a_token_for_another_audience_is_refused(platform: Platform, tenant: Tenant) -> None:
    _, claims = parts(await honest(platform, tenant))
    for audience in ("another", "", "helixflow2", "HELIXFLOW"):
        await assert_refused(platform, await signed(platform, claims, audience=audience))


async def test_a_token_from_another_issuer_under_our_key_is_refused(
    platform: Platform, tenant: Tenant
) -> None:
    _, claims = parts(await honest(platform, tenant))
    for issuer in ("https://evil.test", "", platform.settings.identity.tokens.issuer + "/"):
        await assert_refused(platform, await signed(platform, claims, issuer=issuer))


async def test_clocks_may_differ_by_the_leeway_and_no_more(
    platform: Platform, tenant: Tenant
) -> None:
    settings = TokenSettings()
    token = await honest(platform, tenant)
    platform.clock.advance(settings.access_s + settings.leeway_s - 1)
    assert (await shown(platform, token)).status == 200
    platform.clock.advance(2)
    await assert_refused(platform, token, "expired_api_key")


async def test_a_token_from_the_future_is_refused(platform: Platform, tenant: Tenant) -> None:
    _, claims = parts(await honest(platform, tenant))
    now, leeway_s = platform.clock.now(), TokenSettings().leeway_s
    signer, settings = await platform.signer(), TokenSettings()
    assert (await shown(platform, sign(signer, claims, settings, now + leeway_s - 1))).status == 200
    await assert_refused(platform, sign(signer, claims, settings, now + leeway_s + 2))


STRANGE: tuple[dict[str, Any], ...] = (
    {"exp": None}, {"exp": "never"}, {"exp": True}, {"exp": 1e300}, {"exp": -1},
    {"iat": "now"}, {"nbf": 4_000_000_000}, {"nbf": "x"},
    {"aud": []}, {"aud": {"helixflow": 1}}, {"iss": ["http://127.0.0.1:8000"]},
    {"scope": ["model:invoke"]}, {"scope": None}, {"sub": None}, {"sub": "a\nb"},
    {"org": 7}, {"org": "o" * 1000}, {"org": ""}, {"project": ""}, {"family": ""},
    {"key": "' OR 1=1 --"}, {"jti": "\x00"},
)  # fmt: skip


async def test_a_strange_claim_under_our_own_signature_is_refused(
    platform: Platform, tenant: Tenant
) -> None:
    _, claims = parts(await honest(platform, tenant))
    signer = await platform.signer()
    for change in STRANGE:
        data = json.dumps(claims | change).encode()
        token = jwt.PyJWS().encode(data, signer.key, "RS256", {"kid": signer.kid})
        answer = await shown(platform, token)
        assert answer.status == 401, (change, answer.body)


async def test_a_token_gives_nothing_in_another_tenant_whatever_it_names(
    platform: Platform, tenant: Tenant, other: Tenant
) -> None:
    """Even under our own signature, subject, organization, project and family must fit."""
    _, claims = parts(await honest(platform, tenant))
    for change in (
        {"org": other.organization},
        {"org": other.organization, "project": other.project},
        {"project": other.project},
        {"sub": other.people[Role.OWNER]},
    ):
        await assert_refused(platform, await signed(platform, claims | change))


async def test_what_is_no_token_at_all_is_refused(platform: Platform) -> None:
    for text in (
        "ey", "ey..", "eyJ.eyJ.", "ey.a.b", "eyJ9.e30.x", "ey" + "." * 50,
        "ey" + "A" * 20_000 + "..", "eyJhbGciOiJSUzI1NiJ9.W10.AAAA",  # pragma: allowlist secret
        "eyJhbGciOiJSUzI1NiJ9." + "W1tb" * 1500 + ".AAAA", "\xe9\xff", "hx-proj-", "Bearer x",
    ):  # fmt: skip
        answer = await shown(platform, text)
        assert (answer.status, answer.code) == (401, "invalid_api_key"), answer.body


async def test_a_revoked_signing_key_takes_its_tokens_along(
    platform: Platform, tenant: Tenant
) -> None:
    token = await honest(platform, tenant)
    actor = platform.owner(tenant)
    await platform.signing.revoke(actor, (await platform.signer()).kid)
    await assert_refused(platform, token)


async def test_all_refusals_of_forged_tokens_look_the_same(
    platform: Platform, tenant: Tenant
) -> None:
    header, claims = parts(await honest(platform, tenant))
    forged = [
        f"{unsigned({**header, 'alg': 'none'}, claims)}.",
        with_hmac(header, claims, b"x"),
        f"{unsigned({**header, 'kid': 'other'}, claims)}.{b64(b'0' * 256)}",
        await signed(platform, claims, audience="another"),
        await signed(platform, claims | {"sub": "user_nobody"}),
    ]
    bodies = {(await shown(platform, token)).body for token in forged}
    assert len(bodies) == 1
