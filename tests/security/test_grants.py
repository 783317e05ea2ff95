"""The token endpoint under attack: replays, guesses, other people's secrets."""

from __future__ import annotations

from typing import Any

from helixflow.identity.login import FREE_FAILURES
from helixflow.identity.permissions import Role
from helixflow.testing.http import HttpAnswer
from helixflow.testing.platform import PASSWORD, Platform, Tenant

TOKEN, REVOKE = "/v1/auth/token", "/v1/auth/revoke"


async def asked(platform: Platform, **form: str) -> HttpAnswer:
    return await platform.ask("POST", TOKEN, form=form)


async def signed_in(platform: Platform, tenant: Tenant, role: Role, **more: str) -> HttpAnswer:
    said = {
        "grant_type": "password", "username": tenant.email(role), "password": PASSWORD,
        "organization": tenant.organization, "project": tenant.project,
    }  # fmt: skip
    return await asked(platform, **{**said, **more})


async def granted(platform: Platform, tenant: Tenant, role: Role = Role.DEVELOPER) -> Any:
    answer = await signed_in(platform, tenant, role)
    assert answer.status == 200, answer.body
    assert answer.header("cache-control") == "no-store"
    return answer.json


async def test_a_refresh_token_that_comes_twice_ends_its_family(
    platform: Platform, tenant: Tenant
) -> None:
    first = await granted(platform, tenant)
    second = await asked(platform, grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert second.status == 200
    assert (await platform.ask("GET", "/v1/models", second.json["access_token"])).status == 200
    replayed = await asked(
        platform, grant_type="refresh_token", refresh_token=first["refresh_token"]
    )
    assert replayed.status in (400, 401)
    after = await asked(
        platform, grant_type="refresh_token", refresh_token=second.json["refresh_token"]
    )
    assert after.status in (400, 401)
    for token in (first["access_token"], second.json["access_token"]):
        assert (await platform.ask("GET", "/v1/models", token)).status == 401


async def test_a_refresh_token_is_no_access_token_and_the_other_way_round(
    platform: Platform, tenant: Tenant
) -> None:
    pair = await granted(platform, tenant)
    assert (await platform.ask("GET", "/v1/models", pair["refresh_token"])).status == 401
    for wrong in (pair["access_token"], tenant.project_key, "", "hx-rt-", "hx-rt-" + "A" * 43):
        answer = await asked(platform, grant_type="refresh_token", refresh_token=wrong)
        assert answer.status in (400, 401), answer.body


async def test_a_revoked_family_gives_nothing_more(platform: Platform, tenant: Tenant) -> None:
    pair = await granted(platform, tenant)
    ended = await platform.ask("POST", REVOKE, form={"token": pair["refresh_token"]})
    assert ended.status == 200
    answer = await asked(platform, grant_type="refresh_token", refresh_token=pair["refresh_token"])
    assert answer.status in (400, 401)
    assert (await platform.ask("GET", "/v1/models", pair["access_token"])).status == 401


async def test_revoking_says_nothing_about_what_it_was_given(platform: Platform) -> None:
    seen = set()
    for token in ("unknown", "hx-rt-unknown", "ey.a.b", "hx-proj-x", "' OR '1'='1"):
        answer = await platform.ask("POST", REVOKE, form={"token": token})
        seen.add((answer.status, answer.body))
    assert len(seen) == 1
    assert seen.pop()[0] == 200


async def test_guessing_passwords_locks_longer_and_longer(
    platform: Platform, tenant: Tenant
) -> None:
    role = Role.VIEWER
    for _ in range(FREE_FAILURES):
        wrong = await signed_in(platform, tenant, role, password="a guess, a wrong one")
        assert wrong.status in (400, 401)
    locked = await signed_in(platform, tenant, role)
    assert (locked.status, locked.body) == (wrong.status, wrong.body)
    platform.clock.advance(1.1)
    again = await signed_in(platform, tenant, role, password="another wrong guess")
    assert (again.status, again.body) == (wrong.status, wrong.body)
    platform.clock.advance(1.1)  # the second lock is twice as long
    assert (await signed_in(platform, tenant, role)).status == wrong.status
    platform.clock.advance(1.0)
    assert (await signed_in(platform, tenant, role)).status == 200
    assert (await signed_in(platform, tenant, Role.OWNER)).status == 200


async def test_all_refusals_of_a_sign_in_are_one(
    platform: Platform, tenant: Tenant, other: Tenant
) -> None:
    seen = set()
    for more in (
        {"password": "wrong, and long enough"},
        {"username": "nobody@one.test"},
        {"username": "' OR '1'='1"},
        {"username": other.email(Role.OWNER)},
        {"organization": other.organization, "project": other.project},
        {"organization": "org_nothing"},
    ):
        answer = await signed_in(platform, tenant, Role.OWNER, **more)
        seen.add((answer.status, answer.body))
    assert len(seen) == 1, seen


async def test_a_client_s_secret_is_its_own(
    platform: Platform, tenant: Tenant, other: Tenant
) -> None:
    right = await asked(
        platform, grant_type="client_credentials", client_id=tenant.account,
        client_secret=tenant.service_key,
    )  # fmt: skip
    assert right.status == 200, right.body
    assert (await platform.ask("GET", "/v1/models", right.json["access_token"])).status == 200
    for client, secret in (
        (tenant.account, other.service_key), (other.account, tenant.service_key),
        (tenant.account, tenant.project_key), (tenant.account, tenant.admin_key),
        (tenant.account, ""), ("", tenant.service_key), ("*", tenant.service_key),
        (tenant.account, "' OR '1'='1"), (tenant.account, tenant.service_key + " "),
    ):  # fmt: skip
        answer = await asked(
            platform, grant_type="client_credentials", client_id=client, client_secret=secret
        )
        assert answer.status in (400, 401), (client, answer.body)


async def test_a_scope_gives_no_more_than_there_is(platform: Platform, tenant: Tenant) -> None:
    for scope in ("user:create", "model:invoke user:create", "*", "model:*", "a" * 9_000):
        answer = await asked(
            platform, grant_type="client_credentials", client_id=tenant.account,
            client_secret=tenant.service_key, scope=scope,
        )  # fmt: skip
        assert answer.status == 400, (scope, answer.body)
    narrow = await asked(
        platform, grant_type="client_credentials", client_id=tenant.account,
        client_secret=tenant.service_key, scope="model:list",
    )  # fmt: skip
    token = narrow.json["access_token"]
    assert (await platform.ask("GET", "/v1/models", token)).status == 200
    body = {"model": "echo-1", "messages": [{"role": "user", "content": "a"}]}
    assert (await platform.ask("POST", "/v1/chat/completions", token, body)).status == 403


async def test_a_revoked_key_takes_its_tokens_along(platform: Platform, tenant: Tenant) -> None:
    answer = await asked(
        platform, grant_type="client_credentials", client_id=tenant.account,
        client_secret=tenant.service_key,
    )  # fmt: skip
    token = answer.json["access_token"]
    assert (await platform.ask("GET", "/v1/models", token)).status == 200
    await platform.accounts.disable(platform.owner(tenant), tenant.project, tenant.account)
    assert (await platform.ask("GET", "/v1/models", token)).status == 401


async def test_no_private_part_of_a_signing_key_is_published(
    platform: Platform, tenant: Tenant
) -> None:
    keys = (await platform.ask("GET", "/.well-known/jwks.json")).json["keys"]
    assert keys
    for key in keys:
        assert set(key) == {"alg", "e", "kid", "kty", "n", "use"}
    shown = await platform.ask("GET", "/v1/organization/signing_keys", tenant.admin_key)
    assert shown.status == 200
    assert "PRIVATE" not in shown.body.decode()
