"""Limits under attack: what is another tenant's, what is not one's to give, and what is strange."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from helixflow.identity.permissions import Role
from helixflow.testing.platform import Platform, Tenant

from .rows import objects
from .test_administration import STRANGE
from .test_injection import SQL

ROOT = "/v1/organization"
TIER = {
    "limits": [
        {"name": "requests_per_minute", "amount": 50},
        {"name": "requests_per_minute", "per": ["key"], "amount": 20},
    ]
}
TREE: dict[str, Any] = {"tiers": {"tin": TIER, "gold": {"weight": 9}}, "default_tier": "tin"}


async def test_a_limit_of_anothers_entity_looks_as_one_of_none(
    platform: Platform, tenant: Tenant, other: Tenant
) -> None:
    theirs = await objects(platform, other)
    before = await platform.revision()
    for entity, name, missing in (
        ("organization", "organization", "org_missing"),
        ("project", "project_id", "missing"),
        ("key", "key_id", "missing"),
        ("user", "user_id", "missing"),
        ("user", "service_account_id", "svc_acct_missing"),
    ):
        foreign = {**theirs, "organization": other.organization}[name]
        seen = []
        for entity_id in (foreign, missing):
            body = {"entity": entity, "entity_id": entity_id, "name": "tokens_per_day", "amount": 9}
            answer = await platform.ask("POST", f"{ROOT}/limits", tenant.admin_key, body)
            seen.append((answer.status, answer.body))
        assert seen[0] == seen[1]
        assert seen[0][0] == 404
        query = f"entity={entity}&entity_id={foreign}"
        listed = await platform.ask("GET", f"{ROOT}/limits?{query}", tenant.admin_key)
        assert listed.json["data"] == []
    assert await platform.revision() == before


async def test_a_tenant_gives_itself_nothing_that_is_the_platforms(home: Path) -> None:
    async with Platform.open(home / "given", limits=TREE) as platform:
        tenant = await platform.tenant("one")
        owner = await platform.token(tenant, Role.OWNER)
        limit = {"entity": "organization", "name": "requests_per_minute"}
        for credential in (owner, tenant.admin_key):
            for path, body in (
                (ROOT, {"tier": "gold"}),
                (ROOT, {"weight": 1000}),
                (ROOT, {"service_class": "critical"}),
                (f"{ROOT}/limits", {**limit, "amount": 51}),
            ):
                answer = await platform.ask("POST", path, credential, body)
                assert (answer.status, answer.code) == (403, "permission_denied"), body
        less = await platform.ask("POST", f"{ROOT}/limits", owner, {**limit, "amount": 5})
        assert less.status == 200
        path = f"{ROOT}/limits/{less.json['id']}"
        assert (await platform.ask("POST", path, owner, {"amount": 51})).status == 403
        first = platform.prepared.admin_key
        assert first is not None
        given = await platform.ask("POST", ROOT, first.reveal(), {"tier": "gold", "weight": 3})
        assert (given.json["tier"], given.json["weight"]) == ("gold", 3)


async def test_a_change_is_in_force_for_every_kind_of_caller(home: Path) -> None:
    async with Platform.open(home / "forced", limits=TREE) as platform:
        tenant = await platform.tenant("one")
        credentials = [
            tenant.project_key, tenant.service_key, await platform.token(tenant, Role.DEVELOPER),
        ]  # fmt: skip

        async def held() -> list[list[int]]:
            await platform.authenticator.poll_revision()
            callers = [await platform.authenticator.authenticate(one) for one in credentials]
            return [[quota.amount for quota in who.quotas] for who in callers]

        assert await held() == [[20, 50]] * 3
        project = {"entity": "project", "entity_id": tenant.project}
        body = {**project, "name": "requests_per_minute", "per": ["key"], "amount": 7}
        made = (await platform.ask("POST", f"{ROOT}/limits", tenant.admin_key, body)).json
        assert await held() == [[7, 50]] * 3
        path = f"{ROOT}/limits/{made['id']}"
        await platform.ask("POST", path, tenant.admin_key, {"amount": 8})
        person = {"entity": "user", "entity_id": tenant.people[Role.DEVELOPER], "per": ["key"]}
        body = {**person, "name": "requests_per_minute", "amount": 9}
        await platform.ask("POST", f"{ROOT}/limits", tenant.admin_key, body)
        assert await held() == [[8, 50], [8, 50], [9, 50]]
        await platform.ask("DELETE", path, tenant.admin_key)
        assert await held() == [[20, 50], [20, 50], [9, 50]]


@pytest.mark.parametrize("field", ["entity", "entity_id", "name", "per", "amount", "hard", "model"])
async def test_strange_values_of_a_limit_are_refused(
    platform: Platform, tenant: Tenant, field: str
) -> None:
    body = {"entity": "project", "entity_id": tenant.project, "name": "tokens_per_day"}
    body |= {"amount": 9, "per": ["key"], "hard": False}  # type: ignore[dict-item]
    harmless = {"amount": (7, True), "hard": (True,), "model": (None,), "per": (None,)}
    for value in (*STRANGE, *SQL):
        answer = await platform.ask(
            "POST", f"{ROOT}/limits", tenant.admin_key, {**body, field: value}
        )
        if any(value is one for one in harmless.get(field, ())):
            assert answer.status in (200, 400, 409)
        else:
            assert answer.status in (400, 404), (field, value, answer.body)
