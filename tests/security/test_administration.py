"""The administration under attack: more than one may, more than one says, and what is not one's."""

from __future__ import annotations

from typing import Any

from helixflow.crypto.secret import Secret
from helixflow.identity.permissions import Role
from helixflow.testing.platform import PASSWORD, Platform, Tenant

from .callers import Caller, admitted
from .rows import ROWS, objects
from .test_injection import SQL

ROOT = "/v1/organization"
STRANGE = (
    "",
    " ",
    "\x00",
    "a\r\nb",
    "\ud800",
    "n" * 257,
    "n" * 70_000,
    7,
    None,
    [],
    {},
    True,
    1e400,
)


async def test_fields_that_are_not_asked_for_are_refused_or_ignored(
    platform: Platform, tenant: Tenant, other: Tenant
) -> None:
    """Mass assignment: nothing but what a route offers can be set."""
    key, inside = tenant.admin_key, f"{ROOT}/projects/{tenant.project}"
    planted: dict[str, Any] = {
        "id": "planted", "organization": other.organization, "org": other.organization,
        "organization_id": other.organization, "project": other.project, "kind": "adm",
        "permissions": ["organization:update"], "created_at": 1, "revoked_at": None, "mac": "00",
        "value": "hx-adm-planted", "key": "hx-adm-planted", "archived_at": 1, "disabled_at": 1,
        "failures": -5, "password_hash": "x", "locked_until": 0, "owner": {"type": "user"},
        "status": "archived",
    }  # fmt: skip
    for path, body in (
        (f"{ROOT}/projects", {"name": "p"}),
        (f"{inside}/api_keys", {"name": "k"}),
        (f"{inside}/service_accounts", {"name": "s"}),
        (f"{ROOT}/admin_api_keys", {"name": "a"}),
        (f"{ROOT}/users", {"email": "mass@one.test", "role": "viewer"}),
        (f"{ROOT}/policies", {"name": "q", "source": "permit (principal, action, resource);"}),
        (f"{ROOT}/limits", {"entity": "organization", "name": "tokens_per_day", "amount": 9}),
        (ROOT, {"name": "o"}),
    ):
        for name, value in planted.items():
            answer = await platform.ask("POST", path, key, {**body, name: value})
            if answer.status == 200:
                made = answer.json
                assert made.get("id") != "planted"
                assert made.get(name) != value or name in ("revoked_at",), (path, name)
                assert other.organization not in answer.body.decode()
            else:
                assert answer.status in (400, 409), (path, name, answer.body)


async def test_nobody_makes_a_credential_that_may_more_than_its_maker(
    platform: Platform, tenant: Tenant
) -> None:
    """Neither by the scopes of a key, nor by a role, nor by an admin key."""
    inside = f"{ROOT}/projects/{tenant.project}"
    for role in (Role.ADMIN, Role.DEVELOPER, Role.VIEWER, Role.AUDITOR):
        token = await platform.token(tenant, role)
        for path, body in (
            (f"{ROOT}/admin_api_keys", {"name": "more"}),
            (f"{ROOT}/users", {"email": "more@one.test", "role": "owner"}),
            (f"{ROOT}/invites", {"email": "more2@one.test", "role": "owner"}),
            (f"{ROOT}/users/{tenant.people[role]}", {"role": "owner"}),
            (f"{ROOT}/users/{tenant.people[Role.OWNER]}", {"role": "viewer"}),
            (f"{ROOT}/users/{tenant.people[Role.OWNER]}", {"password": "a" * 20}),
        ):
            answer = await platform.ask("POST", path, token, body)
            assert (answer.status, answer.code) == (403, "permission_denied"), (role, path)
        answer = await platform.ask(
            "POST", f"{inside}/api_keys", token, {"name": "more", "scopes": ["user:create"]}
        )
        assert answer.status in (400, 403), (role, answer.body)
        path = f"{ROOT}/users/{tenant.people[Role.OWNER]}"
        assert (await platform.ask("DELETE", path, token)).status == 403, role


async def test_a_role_in_one_project_gives_nothing_elsewhere(
    platform: Platform, tenant: Tenant
) -> None:
    """Somebody who owns one project owns neither the organization nor its other projects."""
    actor = platform.owner(tenant)
    mine = await platform.projects.create(actor, "mine")
    hashed = await platform.passwords.hash(Secret(PASSWORD))
    user = await platform.users.create(actor, "lead@one.test", "Lead", Role.VIEWER, hashed)
    await platform.users.set_role(actor, user.id, mine.id, Role.OWNER)
    token = await platform.token_of(tenant, "lead@one.test", mine.id)
    ids = await objects(platform, tenant)
    inside = f"{ROOT}/projects/{mine.id}"
    made = await platform.ask("POST", f"{inside}/api_keys", token, {"name": "k"})
    assert made.status == 200, made.body
    other_project = f"{ROOT}/projects/{ids['project_id']}"
    limit = {"entity": "project", "entity_id": mine.id, "name": "tokens_per_day", "amount": 10**9}
    for method, path, body in (
        ("POST", f"{ROOT}/projects", {"name": "more"}),
        ("POST", f"{ROOT}/users", {"email": "new@one.test", "role": "viewer"}),
        ("POST", f"{ROOT}/users/{user.id}", {"role": "owner"}),
        ("POST", f"{ROOT}/admin_api_keys", {"name": "more"}),
        ("DELETE", f"{ROOT}/admin_api_keys/{ids['admin_key_id']}", None),
        (
            "POST",
            f"{ROOT}/policies",
            {"name": "p", "source": "permit (principal, action, resource);"},
        ),
        ("DELETE", f"{ROOT}/policies/{ids['policy_id']}", None),
        ("POST", f"{ROOT}/signing_keys/rotate", None),
        ("POST", ROOT, {"name": "mine"}),
        ("POST", f"{ROOT}/limits", limit),
        ("POST", f"{ROOT}/limits/{ids['limit_id']}", {"amount": 10**9}),
        ("DELETE", f"{ROOT}/limits/{ids['limit_id']}", None),
        ("POST", f"{inside}/rate_limits/rl_echo-1", {"max_requests_per_1_minute": 10**9}),
        ("POST", f"{other_project}/api_keys", {"name": "k"}),
        ("DELETE", f"{other_project}/api_keys/{ids['key_id']}", None),
        ("POST", f"{other_project}/api_keys/{ids['key_id']}/rotate", {}),
        ("POST", f"{other_project}/users", {"user_id": user.id, "role": "owner"}),
        ("POST", f"{other_project}/archive", None),
    ):
        answer = await platform.ask(method, path, token, body)
        assert answer.status in (403, 404), (method, path, answer.body)


async def test_sql_and_strange_values_in_every_field_are_text_or_refused(
    platform: Platform, tenant: Tenant
) -> None:
    """Every route that takes a body, every field of it, every evil value: no fault, no damage."""
    ids = await objects(platform, tenant)
    counted = await platform.ask("GET", f"{ROOT}/projects", tenant.admin_key)
    assert counted.status == 200
    for (method, path), row in ROWS.items():
        good = (row.form or row.body or (lambda _: None))(ids)
        if not good or not path.startswith(("/v1/organization", "/v1/auth")):
            continue
        target = path
        for name, kind in {**{one: one for one in ids}, **row.ids}.items():
            target = target.replace("{" + name + "}", ids[kind])
        for field in good:
            for value in (*SQL, *STRANGE):
                answer = await platform.ask(
                    method, target, tenant.admin_key, {**good, field: value}
                )
                assert answer.status < 500, (path, field, value, answer.body)
                assert len(answer.body) < 100_000
    assert (await platform.ask("GET", f"{ROOT}/projects", tenant.admin_key)).status == 200


async def test_sql_and_oversized_ids_in_paths_and_queries_are_missing(
    platform: Platform, tenant: Tenant
) -> None:
    ids = await objects(platform, tenant)
    for (method, path), row in ROWS.items():
        if "{" not in path or row.everybodys:
            continue
        for value in (
            "x%27%20OR%20%271%27=%271",
            "%00",
            "%0D%0A",
            "i" * 300,
            "i" * 20_000,
            "..%2F",
        ):
            target = path
            for name in ids:
                target = target.replace("{" + name + "}", value)
            body = row.body(ids) if row.body else None
            answer = await platform.ask(method, target, tenant.admin_key, body)
            assert answer.status in (404, 405), (method, path, value, answer.body)
            assert len(answer.body) < 2_048
    for value in ("x%27%20OR%20%271%27=%271", "%00", "i" * 20_000, "%ff"):
        answer = await platform.ask("GET", f"{ROOT}/projects?after={value}", tenant.admin_key)
        assert answer.status in (400, 404), answer.body
    for value in ("0", "-1", "101", "x", "1e9", "9" * 5_000, ""):
        answer = await platform.ask("GET", f"{ROOT}/projects?limit={value}", tenant.admin_key)
        assert answer.status == 400, (value, answer.body)


async def test_an_idempotency_key_is_its_caller_s_own(
    platform: Platform, tenant: Tenant, other: Tenant
) -> None:
    """The same key by another caller neither repeats nor shows the first one's answer."""
    headers = {"idempotency-key": "the same"}
    path, body = f"{ROOT}/admin_api_keys", {"name": "once"}
    first = await platform.ask("POST", path, tenant.admin_key, body, headers=headers)
    again = await platform.ask("POST", path, tenant.admin_key, body, headers=headers)
    assert first.json["id"] == again.json["id"]
    foreign = await platform.ask("POST", path, other.admin_key, body, headers=headers)
    assert foreign.json["id"] != first.json["id"]
    owner = await platform.token(tenant, Role.OWNER)
    colleague = await platform.ask("POST", path, owner, body, headers=headers)
    assert colleague.json["id"] != first.json["id"]
    changed = await platform.ask("POST", path, tenant.admin_key, {"name": "x"}, headers=headers)
    assert changed.status in (400, 409)
    for evil in ("", "k" * 256, "k" * 60_000, "\xe9\x00"):
        answer = await platform.ask(
            "POST", path, tenant.admin_key, body, headers={"idempotency-key": evil}
        )
        assert answer.status in (200, 400), answer.body


async def test_a_key_s_text_is_shown_once_and_its_mac_never(
    platform: Platform, tenant: Tenant
) -> None:
    path = f"{ROOT}/projects/{tenant.project}/api_keys"
    made = (await platform.ask("POST", path, tenant.admin_key, {"name": "k"})).json
    text = made["value"]
    assert (await platform.ask("GET", "/v1/models", text)).status == 200
    for method, target, body in (
        ("GET", path, None),
        ("GET", f"{path}/{made['id']}", None),
        ("POST", f"{path}/{made['id']}", {"name": "renamed"}),
        ("DELETE", f"{path}/{made['id']}", None),
    ):
        answer = await platform.ask(method, target, tenant.admin_key, body)
        assert answer.status == 200, answer.body
        assert text not in answer.body.decode()
        assert text[8:30] not in answer.body.decode()
        assert "mac" not in answer.body.decode().replace("machine", "")
    assert (await platform.ask("GET", "/v1/models", text)).status == 401


async def test_what_is_revoked_is_refused_at_once_by_an_ingress_that_knew_it(
    platform: Platform, tenant: Tenant
) -> None:
    path = f"{ROOT}/projects/{tenant.project}/api_keys"
    made = (await platform.ask("POST", path, tenant.admin_key, {"name": "k"})).json
    owner = await platform.token(tenant, Role.OWNER)
    for credential, method, target in (
        (made["value"], "DELETE", f"{path}/{made['id']}"),
        (owner, "DELETE", f"{ROOT}/users/{tenant.people[Role.OWNER]}"),
    ):
        assert (await platform.ask("GET", "/v1/models", credential)).status == 200
        if target.startswith(f"{ROOT}/users"):
            continue  # the last owner stays
        assert (await platform.ask(method, target, tenant.admin_key)).status == 200
        assert (await platform.ask("GET", "/v1/models", credential)).status == 401
    developer = await platform.token(tenant, Role.DEVELOPER)
    assert (await platform.ask("GET", "/v1/models", developer)).status == 200
    target = f"{ROOT}/users/{tenant.people[Role.DEVELOPER]}"
    assert (await platform.ask("POST", target, owner, {"role": "auditor"})).status == 200
    body = {"model": "echo-1", "messages": [{"role": "user", "content": "a"}]}
    assert (await platform.ask("POST", "/v1/chat/completions", developer, body)).status == 403
    assert (await platform.ask("DELETE", target, owner)).status == 200
    assert (await platform.ask("GET", "/v1/models", developer)).status == 401


async def test_every_kind_of_caller_sees_its_own_organization_alone(
    platform: Platform, tenant: Tenant, other: Tenant
) -> None:
    await objects(platform, other)

    def _may(caller: Caller) -> bool:
        return "user:read" in caller.permissions

    for caller in filter(_may, await admitted(platform, tenant)):
        people = (await platform.ask("GET", f"{ROOT}/users?limit=100", caller.credential)).json
        emails = {person["email"] for person in people["data"]}
        assert emails == {tenant.email(role) for role in Role}
