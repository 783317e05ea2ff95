"""Limits on the real stack: exact, in force within a second, and given back by hang-ups."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from helixflow.errors import QuotaExceeded

from .conftest import Probe, Stack, read_env

pytestmark = pytest.mark.stack

ASK: dict[str, Any] = {
    "model": "echo-1", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 2,
}  # fmt: skip
EFFECTIVE_S = 1.5
AT_ONCE = 6
GENERATED_TOKENS_MAX = 100
"""Of a stream that is hung up on at once, by a model that gives 50 tokens a second."""


@pytest.fixture
def admin(stack: Stack) -> Iterator[httpx.Client]:
    key = read_env(stack.home)["HELIXFLOW_ADMIN_KEY"]
    headers = {"authorization": f"Bearer {key}"}
    with httpx.Client(base_url=f"{stack.url}/v1/organization", headers=headers, timeout=30) as one:
        yield one


def key_of(admin: httpx.Client, name: str) -> tuple[str, str]:
    """A fresh project's id and a key of it."""
    project = admin.post("/projects", json={"name": name}).json()["id"]
    made = admin.post(f"/projects/{project}/api_keys", json={"name": name}).json()
    return project, made["value"]


def limit(admin: httpx.Client, project: str, name: str, amount: float) -> str:
    about = {"entity": "project", "entity_id": project, "per": ["project"]}
    made = admin.post("/limits", json={**about, "name": name, "amount": amount})
    assert made.status_code == 200, made.text
    return str(made.json()["id"])


def in_force(stack: Stack, key: str, name: str) -> dict[str, Any]:
    """The key's own view of a limit, as soon as there is one."""
    begun = time.monotonic()
    headers = {"authorization": f"Bearer {key}"}
    while True:
        told = httpx.get(f"{stack.url}/v1/limits", headers=headers, timeout=30).json()
        for one in told["data"]:
            if one["name"] == name:
                return dict(one)
        assert time.monotonic() - begun < EFFECTIVE_S, told
        time.sleep(0.05)


async def storm(stack: Stack, key: str, count: int, at_once: int) -> Counter[int]:
    """Statuses of so many requests."""
    headers = {"authorization": f"Bearer {key}"}
    statuses: Counter[int] = Counter()
    gate = asyncio.Semaphore(at_once)
    bounds = httpx.Limits(max_connections=at_once)
    async with httpx.AsyncClient(base_url=stack.url, headers=headers, limits=bounds) as client:

        async def one() -> None:
            async with gate:
                answer = await client.post("/v1/chat/completions", json=ASK, timeout=60)
                statuses[answer.status_code] += 1

        await asyncio.gather(*(one() for _ in range(count)))
    return statuses


async def test_exactly_the_limit_is_admitted_however_many_come_at_once(
    stack: Stack, admin: httpx.Client
) -> None:
    project, key = key_of(admin, "Storm")
    limit(admin, project, "requests_per_hour", 100)
    in_force(stack, key, "requests_per_hour")
    statuses = await storm(stack, key, 400, 50)
    assert statuses == {200: 100, 429: 300}


def test_a_refusal_says_which_limit_and_when_to_come_back(
    stack: Stack, admin: httpx.Client
) -> None:
    project, key = key_of(admin, "Refused")
    limit(admin, project, "requests_per_minute", 1)
    in_force(stack, key, "requests_per_minute")
    with openai.OpenAI(base_url=f"{stack.url}/v1", api_key=key, max_retries=0) as client:
        client.chat.completions.create(**ASK)
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(**ASK)
    answer = caught.value.response
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["x-ratelimit-limit-requests"] == "1"
    assert answer.headers["x-ratelimit-remaining-requests"] == "0"
    told = answer.json()["error"]
    assert told["code"] == "rate_limit_exceeded"
    assert told["limit"]["name"] == "requests_per_minute"
    assert told["limit"]["scope"] == f"project={project}"


async def test_a_ray_program_gets_the_same_facts_of_a_refusal(
    stack: Stack, admin: httpx.Client, probe: Probe
) -> None:
    project, key = key_of(admin, "Ray program")
    limit(admin, project, "requests_per_hour", 1)
    in_force(stack, key, "requests_per_hour")
    answer = await probe.ask(do="chat", key=key, body=ASK)
    assert answer["usage"]["completion_tokens"] == 2
    refused = await probe.refusal(do="chat", key=key, body=ASK)
    assert isinstance(refused, QuotaExceeded)
    headers = {"authorization": f"Bearer {key}"}
    told = httpx.post(f"{stack.url}/v1/chat/completions", headers=headers, json=ASK, timeout=30)
    error, breach = told.json()["error"], refused.breach
    assert breach is not None
    assert (breach.name, breach.scope) == ("requests_per_hour", f"project={project}")
    assert (breach.name, breach.scope, breach.limit, breach.current) == tuple(
        error["limit"][name] for name in ("name", "scope", "limit", "current")
    )
    assert breach.reset_s == pytest.approx(error["limit"]["reset_seconds"], abs=120)
    assert refused.retry_after_s is not None
    assert refused.retry_after_s > 0
    assert int(told.headers["retry-after-ms"]) > 0
    assert refused.reason.value == error["code"]


async def test_hang_ups_give_their_slots_and_tokens_back(stack: Stack, admin: httpx.Client) -> None:
    project, key = key_of(admin, "Hang-ups")
    limit(admin, project, "concurrent_requests", 4)
    in_force(stack, key, "concurrent_requests")
    headers = {"authorization": f"Bearer {key}"}
    body = {**ASK, "model": "echo-slow", "max_tokens": 2000, "stream": True}
    async with httpx.AsyncClient(base_url=stack.url, headers=headers, timeout=60) as client:
        for _ in range(5):
            for _ in range(4):
                async with client.stream("POST", "/v1/chat/completions", json=body) as answer:
                    assert answer.status_code == 200, await answer.aread()
                    await anext(answer.aiter_bytes())
    begun = time.monotonic()
    while in_force(stack, key, "concurrent_requests")["remaining"] != 4:
        assert time.monotonic() - begun < 10
        await asyncio.sleep(0.1)


@pytest.mark.slow
async def test_a_thousand_hang_ups_give_every_slot_back_and_take_what_they_generated(
    stack: Stack, admin: httpx.Client
) -> None:
    project, key = key_of(admin, "Thousand hang-ups")
    limit(admin, project, "concurrent_requests", AT_ONCE)
    limit(admin, project, "tokens_per_day", 10_000_000)
    in_force(stack, key, "concurrent_requests")
    before = in_force(stack, key, "tokens_per_day")["remaining"]
    headers = {"authorization": f"Bearer {key}"}
    body = {**ASK, "model": "echo-slow", "max_tokens": 2_000, "stream": True}
    gate = asyncio.Semaphore(AT_ONCE)
    seen: Counter[int] = Counter()
    async with httpx.AsyncClient(base_url=stack.url, headers=headers, timeout=60) as client:

        async def hang_up() -> None:
            async with gate:
                while not await begin(client, body, seen):
                    await asyncio.sleep(0.02)  # what was hung up just now still holds its slot

        await asyncio.gather(*(hang_up() for _ in range(1_000)))
    assert seen[200] == 1_000
    assert set(seen) <= {200, 429}
    begun = time.monotonic()
    while in_force(stack, key, "concurrent_requests")["remaining"] != AT_ONCE:
        assert time.monotonic() - begun < 10
        await asyncio.sleep(0.1)
    # The replica says what was generated for who hung up, not the 281 tokens of the estimate. No
    # lease is left over beside it, nor anything of those that were refused.
    taken = before - in_force(stack, key, "tokens_per_day")["remaining"]
    assert 1_000 <= taken <= 1_000 * GENERATED_TOKENS_MAX
    assert await storm(stack, key, AT_ONCE, AT_ONCE) == {200: AT_ONCE}


async def begin(client: httpx.AsyncClient, body: dict[str, Any], seen: Counter[int]) -> bool:
    """Begin a stream and hang up after its first bytes; False where it was refused."""
    async with client.stream("POST", "/v1/chat/completions", json=body) as answer:
        seen[answer.status_code] += 1
        if answer.status_code != 200:
            await answer.aread()
            return False
        await anext(answer.aiter_bytes())
        return True


async def test_a_killed_ingress_gives_its_slots_back(stack: Stack, admin: httpx.Client) -> None:
    """RateLimiter asks the Model replicas what still runs, and frees what does not."""
    project, key = key_of(admin, "Killed")
    limit(admin, project, "concurrent_requests", 2)
    in_force(stack, key, "concurrent_requests")
    headers = {"authorization": f"Bearer {key}"}
    body = {**ASK, "model": "echo-slow", "max_tokens": 2000, "stream": True}
    async with (
        httpx.AsyncClient(base_url=stack.url, headers=headers, timeout=60) as client,
        client.stream("POST", "/v1/chat/completions", json=body) as answer,
    ):
        await anext(answer.aiter_bytes())
        (ingress,) = stack.processes("ServeReplica:helixflow:Ingress")
        os.kill(ingress.pid, signal.SIGKILL)
    begun = time.monotonic()
    while True:
        assert time.monotonic() - begun < 60
        await asyncio.sleep(0.2)
        try:
            told = httpx.get(f"{stack.url}/v1/limits", headers=headers, timeout=5)
        except httpx.HTTPError:
            continue  # the replacement is on its way
        if told.status_code == 200 and [one["remaining"] for one in told.json()["data"]] == [2]:
            break
    assert await storm(stack, key, 20, 2) == {200: 20}


def test_the_command_line_sets_limits_and_shows_what_is_left(
    stack: Stack, admin: httpx.Client
) -> None:
    project, _ = key_of(admin, "Shell")
    done = stack.cli("limits", "set", "requests_per_day", "7", "--project", project, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    made = json.loads(done.stdout)
    assert (made["name"], made["amount"]) == ("requests_per_day", 7)
    assert made["id"] in stack.cli("limits", "list", "--project", project, "--json").stdout
    assert stack.cli("limits", "show").returncode == 0
    assert stack.cli("org", "show").returncode == 0
    assert stack.cli("usage", "--group-by", "model").returncode == 0
    assert stack.cli("audit", "query", "--limit", "1").returncode == 0
    assert stack.cli("limits", "delete", made["id"], "--yes").returncode == 0


def test_what_was_used_is_in_the_books(stack: Stack, admin: httpx.Client) -> None:
    project, key = key_of(admin, "Books")
    with openai.OpenAI(base_url=f"{stack.url}/v1", api_key=key) as client:
        used = [client.chat.completions.create(**ASK).usage for _ in range(3)]
    wanted = (
        sum(one.prompt_tokens for one in used if one),
        sum(one.completion_tokens for one in used if one),
        3,
    )
    since = int(time.time()) - 3600
    begun = time.monotonic()
    query = {"start_time": since, "bucket_width": "1d", "project_ids": project}
    while True:
        page = admin.get("/usage/completions", params=query).json()
        results = [result for bucket in page["data"] for result in bucket["results"]]
        seen = tuple(
            sum(result[name] for result in results)
            for name in ("input_tokens", "output_tokens", "num_model_requests")
        )
        if seen == wanted:
            return
        assert time.monotonic() - begun < 15, (seen, wanted)
        time.sleep(0.2)


def test_metrics_are_scraped_with_an_admin_key(stack: Stack) -> None:
    key = read_env(stack.home)["HELIXFLOW_ADMIN_KEY"]
    headers = {"authorization": f"Bearer {key}"}
    page = httpx.get(f"{stack.url}/metrics", headers=headers, timeout=30)
    assert page.status_code == 200, page.text
    assert 'helixflow_requests_total{model="echo-1",outcome="ok"' in page.text
    refused = httpx.get(f"{stack.url}/metrics", timeout=30)
    assert refused.status_code == 401


def verified(file: Path) -> int:
    """The exit status of an offline check, which knows no platform."""
    program = Path(sys.executable).with_name("helixflow")
    done = subprocess.run(
        [str(program), "audit", "verify", str(file)], capture_output=True, timeout=60, check=False
    )
    return done.returncode


def test_the_audit_log_is_exported_and_verified_offline(
    stack: Stack, admin: httpx.Client, tmp_path: Any
) -> None:
    name = f"Audited {time.monotonic_ns()}"
    assert admin.post("/projects", json={"name": name}).status_code == 200
    begun = time.monotonic()
    while not any(
        one["type"] == "project.created" for one in admin.get("/audit_logs").json()["data"]
    ):
        assert time.monotonic() - begun < 15
        time.sleep(0.2)
    file = tmp_path / "audit.jsonl"
    done = stack.cli("audit", "export", "--output", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    assert verified(file) == 0
    lines = file.read_bytes().splitlines()
    records = [line for line in lines if line.startswith(b'{"hash"')]
    lines.remove(records[len(records) // 2])
    file.write_bytes(b"\n".join(lines) + b"\n")
    assert verified(file) == 1
