"""Identity on the real stack: over HTTP, by the command line, and effective within a second."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from .conftest import Stack, read_env

pytestmark = pytest.mark.stack

ASK: dict[str, Any] = {"model": "echo-1", "messages": [{"role": "user", "content": "hi"}]}
EFFECTIVE_S = 1.0


@pytest.fixture
def admin(stack: Stack) -> Iterator[httpx.Client]:
    key = read_env(stack.home)["HELIXFLOW_ADMIN_KEY"]
    headers = {"authorization": f"Bearer {key}"}
    with httpx.Client(base_url=f"{stack.url}/v1/organization", headers=headers, timeout=30) as one:
        yield one


def made(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code in (200, 201), answer.text
    body: dict[str, Any] = answer.json()
    return body


def chat(stack: Stack, credential: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {credential}"}
    return httpx.post(f"{stack.url}/v1/chat/completions", json=ASK, headers=headers, timeout=30)


def until(stack: Stack, credential: str, status: int) -> float:
    """Seconds until the credential is answered that way; fails when that takes too long."""
    begun = time.monotonic()
    while (answer := chat(stack, credential)).status_code != status:
        waited = time.monotonic() - begun
        assert waited < EFFECTIVE_S, f"still {answer.status_code} after {waited:.2f} s"
    return time.monotonic() - begun


def test_a_service_accounts_key_works_until_it_is_revoked(
    stack: Stack, admin: httpx.Client
) -> None:
    project = made(admin.post("/projects", json={"name": "Search"}))["id"]
    account = made(admin.post(f"/projects/{project}/service_accounts", json={"name": "nightly"}))
    secret, key = account["api_key"]["value"], account["api_key"]["id"]
    assert chat(stack, secret).status_code == 200
    listed = made(admin.get(f"/projects/{project}/api_keys"))
    assert key in [one["id"] for one in listed["data"]]
    assert secret not in json.dumps(listed)
    assert admin.delete(f"/projects/{project}/api_keys/{key}").status_code == 200
    until(stack, secret, 401)


def test_an_admin_key_cannot_infer_and_an_inference_key_cannot_administer(stack: Stack) -> None:
    admin_key = read_env(stack.home)["HELIXFLOW_ADMIN_KEY"]
    assert chat(stack, admin_key).status_code == 403
    headers = {"authorization": f"Bearer {stack.api_key}"}
    refused = httpx.get(f"{stack.url}/v1/organization/projects", headers=headers)
    assert refused.status_code == 403


def test_an_access_token_infers_with_the_openai_client(stack: Stack, admin: httpx.Client) -> None:
    project = made(admin.post("/projects", json={"name": "Tokens"}))["id"]
    account = made(admin.post(f"/projects/{project}/service_accounts", json={"name": "app"}))
    form = {
        "grant_type": "client_credentials",
        "client_id": account["id"],
        "client_secret": account["api_key"]["value"],
    }
    granted = made(httpx.post(f"{stack.url}/v1/auth/token", data=form, timeout=30))
    with openai.OpenAI(base_url=f"{stack.url}/v1", api_key=granted["access_token"]) as client:
        answer = client.chat.completions.create(**ASK, max_tokens=2)
    assert answer.choices[0].message.content
    kids = [key["kid"] for key in httpx.get(f"{stack.url}/.well-known/jwks.json").json()["keys"]]
    assert kids


def test_a_fresh_signing_key_is_published_within_a_second(
    stack: Stack, admin: httpx.Client
) -> None:
    fresh = made(admin.post("/signing_keys/rotate"))["id"]
    begun = time.monotonic()
    while fresh not in httpx.get(f"{stack.url}/.well-known/jwks.json", timeout=30).text:
        assert time.monotonic() - begun < EFFECTIVE_S


def test_a_policy_is_in_force_within_a_second_and_gone_as_fast(
    stack: Stack, admin: httpx.Client
) -> None:
    assert chat(stack, stack.api_key).status_code == 200
    source = 'forbid (principal, action == Action::"model:invoke", resource == Model::"echo-1");'
    policy = made(admin.post("/policies", json={"name": "no echo", "source": source}))
    until(stack, stack.api_key, 403)
    assert admin.delete(f"/policies/{policy['id']}").status_code == 200
    until(stack, stack.api_key, 200)


def test_another_organizations_project_looks_like_a_missing_one(admin: httpx.Client) -> None:
    refused = admin.get("/projects/proj_aaaaaaaaaaaaaaaaaaaaaaaaaa")
    assert refused.status_code == 404
    assert refused.json()["error"]["code"] == "resource_not_found"


def test_the_command_line_administers(stack: Stack) -> None:
    done = stack.cli("project", "create", "From the shell", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["name"] == "From the shell"
    listed = stack.cli("project", "list")
    assert "From the shell" in listed.stdout


def test_the_database_is_at_the_newest_revision(stack: Stack) -> None:
    done = stack.cli("db", "current")
    assert done.returncode == 0, done.stdout + done.stderr
