"""Every noun against the real administration: the routes, the desk and the store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from click.testing import Result
from typer.testing import CliRunner

from helixflow.cli.main import app
from helixflow.testing.http import serving
from helixflow.testing.platform import Platform

Does = Callable[..., Awaitable[Any]]

PASSWORD = "correct horse battery staple"


async def administering(home: Path, work: Callable[[Does, Does], Awaitable[None]]) -> None:
    """Run `work` with two ways to type a command: one gives its JSON, one its text."""
    runner = CliRunner()
    async with Platform.open(home) as platform, serving(platform.app) as port:
        key = platform.prepared.admin_key
        assert key is not None
        environ = {"HELIXFLOW_ADMIN_KEY": key.reveal(), "HELIXFLOW__HOME": str(home)}

        async def typed(*words: str, **options: Any) -> Result:
            full = [*words, "--base-url", f"http://127.0.0.1:{port}"]
            return await asyncio.to_thread(runner.invoke, app, full, env=environ, **options)

        async def done(*words: str, **options: Any) -> Any:
            result = await typed(*words, "--json", **options)
            assert result.exit_code == 0, (words, result.output)
            return json.loads(result.stdout)

        await work(done, typed)


async def test_projects_keys_and_service_accounts_go_their_way(tmp_path: Path) -> None:
    async def work(done: Does, typed: Does) -> None:
        project = (await done("project", "create", "Research"))["id"]
        assert (await done("project", "rename", project, "Lab"))["name"] == "Lab"
        assert "--project" in (await typed("key", "list")).stderr
        place = ("-p", project)
        made = await done("key", "create", "ci", *place, "--cidr", "10.0.0.0/8", "--expires", "9d")
        assert made["value"].startswith("hx-proj-")
        changed = await done("key", "update", made["id"], *place, "--all-networks")
        assert changed["allowed_cidrs"] is None
        fresh = await done("key", "rotate", made["id"], *place, "--overlap", "1h")
        assert (await done("key", "show", fresh["id"], *place))["name"] == "ci"
        assert (await done("key", "revoke", made["id"], *place))["deleted"]
        listed = (await typed("key", "list", *place)).stdout
        assert "revoked" in listed
        assert "active" in listed
        account = await done("project", "service-account", "create", project, "robot")
        assert account["api_key"]["value"].startswith("hx-svc-")
        owner = ("--service-account", account["id"])
        assert (await done("key", "create", "more", *place, *owner))["kind"] == "service_account"
        assert await done("project", "service-account", "disable", project, account["id"])
        assert (await done("key", "create", "root", "--admin"))["value"].startswith("hx-adm-")
        names = {key["name"] for key in (await done("key", "list", "--admin"))["data"]}
        assert names == {"bootstrap", "root"}
        assert (await done("project", "archive", project, "-y"))["status"] == "archived"
        refused = await typed("key", "create", "late", *place)
        assert "archived" in refused.stderr

    await administering(tmp_path, work)


async def test_people_tokens_and_signing_keys_go_their_way(tmp_path: Path) -> None:
    async def work(done: Does, typed: Does) -> None:
        project = (await done("project", "list"))["data"][0]["id"]
        invited = await done("user", "invite", "create", "ada@b.example", "--role", "developer")
        assert (await done("user", "invite", "list"))["data"]
        await done("user", "invite", "accept", input=f"{invited['value']}\n{PASSWORD}\n")
        user = invited["user_id"]
        assert (await done("user", "update", user, "--name", "Ada"))["name"] == "Ada"
        member = ("project", "member")
        assert await done(*member, "add", project, user, "--role", "viewer")
        assert (await done(*member, "update", project, user, "--role", "admin"))["role"] == "admin"
        assert (await done(*member, "list", project))["data"][0]["name"] == "Ada"
        granted = await done("token", "grant", "--email", "ada@b.example", input=PASSWORD)
        again = await done("token", "grant", "--refresh", input=granted["refresh_token"])
        assert (await typed("token", "revoke", input=again["access_token"])).exit_code == 0
        wrong = await typed("token", "grant", "--email", "ada@b.example", input="wrong")
        assert "invalid_grant" in wrong.stderr
        assert await done(*member, "remove", project, user)
        assert (await done("user", "disable", user))["deleted"]
        assert len((await done("org", "roles"))["data"]) == 5
        fresh = (await done("org", "signing-key", "rotate"))["id"]
        assert len((await done("token", "keys"))["keys"]) == 2
        assert (await done("org", "signing-key", "revoke", fresh, "-y"))["state"] == "revoked"
        assert "signing" in (await typed("org", "signing-key", "list")).stdout

    await administering(tmp_path, work)


async def test_policies_go_their_way(tmp_path: Path) -> None:
    file = tmp_path / "big.cedar"
    file.write_text("forbid (principal, action, resource) when { resource has name };")

    async def work(done: Does, typed: Does) -> None:
        policy = (await done("policy", "create", "big", str(file)))["id"]
        question = ("policy", "explain", "model:invoke", "--model", "any")
        told = await done(*question, "--attribute", "region=eu", "--at", "2027-01-15T08:00")
        assert (told["allowed"], told["because"]) == (False, [policy])
        assert not (await done("policy", "update", policy, "--disable"))["enabled"]
        assert (await done(*question))["allowed"]
        assert "no" in (await typed("policy", "list")).stdout
        assert (await done("policy", "delete", policy, "-y"))["deleted"]
        assert "404" in (await typed("policy", "show", policy)).stderr

    await administering(tmp_path, work)


async def test_limits_and_the_organization_go_their_way(tmp_path: Path) -> None:
    async def work(done: Does, typed: Does) -> None:
        project = (await done("project", "list"))["data"][0]["id"]
        about = ("--per", "key", "--project", project)
        made = await done("limits", "set", "requests_per_minute", "100", *about)
        assert (made["entity_id"], made["per"], made["amount"]) == (project, ["key"], 100)
        again = await done("limits", "set", "requests_per_minute", "50", *about)
        assert (again["id"], again["amount"]) == (made["id"], 50)
        await done("limits", "set", "spend_per_month", "12.5", "--hard")
        await done("limits", "set", "tokens_per_day", "1000", "--model", "echo-1", *about)
        listed = (await typed("limits", "list")).stdout
        assert "12.5 USD" in listed
        assert f"project {project}, model echo-1" in listed
        mine = (await done("limits", "list", "-p", project))["data"]
        assert {limit["name"] for limit in mine} == {"requests_per_minute", "tokens_per_day"}
        assert (await done("limits", "delete", made["id"], "-y"))["deleted"]
        wrong = await typed("limits", "set", "requests_per_minute", "5", "-k", "key_missing")
        assert "There is no such API key" in wrong.stderr
        assert (await done("org", "update", "--name", "Acme", "--weight", "2"))["weight"] == 2
        assert (await done("org", "show"))["name"] == "Acme"
        assert (await done("org", "update", "--default-share"))["weight"] == 1

    await administering(tmp_path, work)
