"""Kept content from the switch to the erasure, over the whole platform in one process."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from helixflow.identity.api_keys import KeyWish
from helixflow.identity.permissions import Permission, Role
from helixflow.signals import Metric
from helixflow.testing.http import HttpAnswer
from helixflow.testing.platform import MODEL, Platform, Tenant

ASKED = "the-word-that-was-asked"
DAY_S = 86_400.0


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    async with Platform.open(tmp_path) as opened:
        yield opened


async def say(platform: Platform, tenant: Tenant, *, stream: bool = False) -> HttpAnswer:
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": ASKED}],
        "max_tokens": 4,
        "stream": stream,
    }
    answer = await platform.ask("POST", "/v1/chat/completions", tenant.project_key, body)
    assert answer.status == 200
    return answer


def place(tenant: Tenant, *more: str) -> str:
    return "/".join(("/v1/organization/projects", tenant.project, "content", *more))


async def switch(platform: Platform, tenant: Tenant, days: int | None) -> HttpAnswer:
    where = f"/v1/organization/projects/{tenant.project}"
    return await platform.ask("POST", where, tenant.admin_key, {"content_retention_days": days})


async def kept(platform: Platform, tenant: Tenant) -> list[dict[str, Any]]:
    answer = await platform.ask("GET", place(tenant), tenant.admin_key)
    assert answer.status == 200, answer.body
    data: list[dict[str, Any]] = answer.json["data"]
    return data


async def actions(platform: Platform, tenant: Tenant) -> list[dict[str, Any]]:
    await platform.ship_changes()
    answer = await platform.ask("GET", "/v1/organization/audit_logs", tenant.admin_key)
    data: list[dict[str, Any]] = answer.json["data"]
    return data


async def test_nothing_is_kept_by_default_nor_after_it_was_switched_off(
    platform: Platform,
) -> None:
    tenant = await platform.tenant("one")
    await say(platform, tenant)
    assert platform.keeper.held == 0
    assert (await switch(platform, tenant, 7)).json["content_retention_days"] == 7
    assert (await switch(platform, tenant, None)).json["content_retention_days"] is None
    await say(platform, tenant)
    assert platform.keeper.held == 0
    assert await kept(platform, tenant) == []
    assert platform.signals.counts[Metric.CONTENTS, (("outcome", "kept"),)] == 0


@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_kept_is_what_was_asked_and_what_was_sent(
    platform: Platform, stream: bool
) -> None:
    tenant, other = await platform.tenant("one"), await platform.tenant("two")
    await switch(platform, tenant, 7)
    answer = await say(platform, tenant, stream=stream)
    await say(platform, other)
    assert await platform.keeper.step()
    assert platform.keeper.held == 0
    (note,) = await kept(platform, tenant)
    assert note["id"] == answer.header("x-request-id")
    assert note["expires_at"] - note["created_at"] == 7 * DAY_S
    assert (note["model"], note["outcome"], note["truncated"]) == (MODEL, "ok", False)
    assert ASKED not in json.dumps(note)
    read = await platform.ask("GET", place(tenant, note["id"]), tenant.admin_key)
    assert read.header("cache-control") == "no-store"
    assert json.loads(read.json["request"]["text"])["messages"][0]["content"] == ASKED
    assert read.json["answer"] == {
        "text": answer.body.decode(), "bytes": len(answer.body), "truncated": False
    }  # fmt: skip
    for where in (place(other, note["id"]), place(tenant, note["id"])):
        assert (await platform.ask("GET", where, other.admin_key)).status == 404
    assert await kept(platform, other) == []


async def test_nothing_of_it_lies_in_clear_on_the_disk(platform: Platform, tmp_path: Path) -> None:
    tenant = await platform.tenant("one")
    await switch(platform, tenant, 7)
    await say(platform, tenant)
    await platform.keeper.step()
    await platform.ship_changes()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "telemetry-content.db" for path in files)
    assert [path for path in files if ASKED.encode() in path.read_bytes()] == []


async def test_every_change_and_every_reading_is_in_the_audit_log(platform: Platform) -> None:
    tenant = await platform.tenant("one")
    await switch(platform, tenant, 7)
    await say(platform, tenant)
    await platform.keeper.step()
    (note,) = await kept(platform, tenant)
    where = place(tenant, note["id"])
    assert (await platform.ask("GET", where, tenant.admin_key)).status == 200
    assert (await platform.ask("DELETE", where, tenant.admin_key)).status == 200
    assert (await platform.ask("GET", where, tenant.admin_key)).status == 404
    await platform.ask("DELETE", place(tenant), tenant.admin_key)
    told = {one["action"]: one for one in await actions(platform, tenant)}
    update = told["project:project:update"]["project.updated"]
    assert update["changes_requested"] == {"content_days": "7", "content_period": "1"}
    assert "changes_from" not in update
    for action in ("project:content:read", "project:content:delete"):
        assert told[action]["project"]["id"] == tenant.project
        assert note["id"] in json.dumps(told[action])
    assert "project:content:erase" in told


async def test_erasing_takes_all_until_then_and_nothing_after(platform: Platform) -> None:
    tenant = await platform.tenant("one")
    await switch(platform, tenant, 7)
    await say(platform, tenant)
    await platform.keeper.step()
    await say(platform, tenant)  # gathered before the erasure, handed over after it
    assert (await platform.ask("DELETE", place(tenant), tenant.admin_key)).json["deleted"]
    await platform.ship_changes()
    await platform.keeper.step()
    assert await kept(platform, tenant) == []
    assert platform.signals.counts[Metric.CONTENTS, (("outcome", "erased"),)] == 1
    answer = await say(platform, tenant)
    await platform.keeper.step()
    assert [note["id"] for note in await kept(platform, tenant)] == [answer.header("x-request-id")]


async def test_shorter_retention_holds_for_what_is_there_already(platform: Platform) -> None:
    tenant = await platform.tenant("one")
    await switch(platform, tenant, 30)
    await say(platform, tenant)
    await platform.keeper.step()
    platform.clock.advance(2 * DAY_S)
    assert await platform.content.vault.sweep() == 0
    await switch(platform, tenant, 1)
    await platform.ship_changes()
    assert await platform.content.vault.sweep() == 1
    assert await kept(platform, tenant) == []


async def test_only_a_permission_of_its_own_lets_somebody_read(platform: Platform) -> None:
    tenant = await platform.tenant("one")
    await switch(platform, tenant, 7)
    answer = await say(platform, tenant)
    await platform.keeper.step()
    where = place(tenant, str(answer.header("x-request-id")))
    for role in Role:
        token = await platform.token(tenant, role)
        status = 200 if role is Role.OWNER else 403
        assert (await platform.ask("GET", where, token)).status == status
    scopes = [name for name in Permission if name.startswith("project:")]
    weak = await platform.keys.create(platform.owner(tenant), None, KeyWish("weak", scopes))
    for method in ("GET", "DELETE"):
        assert (await platform.ask(method, where, weak.secret.reveal())).status == 403
    assert (await platform.ask("GET", where, tenant.project_key)).status == 403


async def test_what_a_person_asks_with_a_token_is_kept_too(platform: Platform) -> None:
    tenant = await platform.tenant("one")
    await switch(platform, tenant, 7)
    tenant.project_key = await platform.token(tenant, Role.DEVELOPER)
    await say(platform, tenant)
    await platform.keeper.step()
    assert len(await kept(platform, tenant)) == 1


async def test_days_are_bounded_and_wrong_changes_change_nothing(platform: Platform) -> None:
    tenant = await platform.tenant("one")
    where = f"/v1/organization/projects/{tenant.project}"
    most = platform.settings.telemetry.content.days_max
    for body in ({"content_retention_days": most + 1}, {"content_retention_days": 0}, {}):
        answer = await platform.ask("POST", where, tenant.admin_key, body)
        assert answer.status == 400
    seen = await platform.ask("GET", where, tenant.admin_key)
    tag = {"if-match": str(seen.header("etag"))}
    body = {"content_retention_days": most}
    assert (await platform.ask("POST", where, tenant.admin_key, body, headers=tag)).status == 200
    stale = await platform.ask("POST", where, tenant.admin_key, body, headers=tag)
    assert stale.status == 412
    renamed = await platform.ask("POST", where, tenant.admin_key, {"name": "another"})
    assert renamed.json["content_retention_days"] == most
