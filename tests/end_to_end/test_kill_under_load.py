"""`kill -9` of every process of the platform while a client asks: the books stay exact.

What is promised, and checked here:

- whoever has a whole answer is in the books once, with its tokens, as `ok`;
- a request that was cut off is in the books once where it had been admitted, else not at all;
- nothing else is in the books, and their sums are the sums of their rows;
- the audit log verifies, and has every change once;
- everything comes back by itself.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from .conftest import Stack, read_env
from .steady import Steady, steady
from .test_limits import key_of, verified

pytestmark = pytest.mark.stack

MODEL = "echo-1"
VICTIMS = (
    "ServeReplica:helixflow:Ingress",
    "ServeReplica:helixflow:Auth",
    "ServeReplica:helixflow:RateLimiter",
    "ServeReplica:helixflow:Router",
    f"ServeReplica:model-{MODEL}:Model",
    "ray::Telemetry",
)
BACK_S = 60.0
BOOKED_S = 60.0


@pytest.fixture
def admin(stack: Stack) -> Iterator[httpx.Client]:
    key = read_env(stack.home)["HELIXFLOW_ADMIN_KEY"]
    headers = {"authorization": f"Bearer {key}"}
    with httpx.Client(base_url=f"{stack.url}/v1/organization", headers=headers, timeout=30) as one:
        yield one


def pids(stack: Stack, word: str) -> set[int]:
    return {process.pid for process in stack.processes(word) if process.status() != "zombie"}


async def kill(stack: Stack, word: str) -> set[int]:
    """End what is called so; the process ids that it had."""
    found = await asyncio.to_thread(pids, stack, word)
    assert found, word
    for pid in found:
        os.kill(pid, signal.SIGKILL)
    return found


async def replaced(stack: Stack, word: str, before: set[int]) -> None:
    """Wait until others are there in the place of these."""
    async with asyncio.timeout(BACK_S):
        while not (after := await asyncio.to_thread(pids, stack, word)) or after & before:
            await asyncio.sleep(0.1)


def rows(admin: httpx.Client, project: str) -> list[dict[str, Any]]:
    """The project's requests, as the books have them."""
    asked: dict[str, Any] = {"project_ids": project, "start_time": int(time.time()) - 7200}
    found: list[dict[str, Any]] = []
    while True:
        page = ask(admin, "/usage/requests", {**asked, "limit": 1000})
        found += page["data"]
        if not page["has_more"]:
            return found
        asked["page"] = page["next_page"]


def ask(admin: httpx.Client, where: str, query: dict[str, Any]) -> dict[str, Any]:
    """An answer of the administration, which may be away for a moment."""
    deadline = time.monotonic() + BACK_S
    while (answer := admin.get(where, params=query)).status_code != 200:
        assert answer.status_code in (503, 504), answer.text
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.2)
    return dict(answer.json())


def sums(admin: httpx.Client, project: str) -> tuple[int, int, int]:
    """Requests and tokens, as the books sum them."""
    asked = {"project_ids": project, "start_time": int(time.time()) - 7200, "limit": 31}
    page = ask(admin, "/usage/completions", asked)
    results = [result for bucket in page["data"] for result in bucket["results"]]
    names = ("num_model_requests", "input_tokens", "output_tokens")
    requests, read, written = (sum(one[name] for one in results) for name in names)
    return requests, read, written


def check_books(admin: httpx.Client, project: str, client: Steady) -> None:
    """The books say what the client was told, as soon as everything has arrived."""
    answered, deadline = client.answered, time.monotonic() + BOOKED_S
    while True:
        booked = {row["id"]: row for row in rows(admin, project)}
        missing = [one for one in answered if booked.get(one, {}).get("outcome") != "ok"]
        if not missing:
            break
        assert time.monotonic() < deadline, [booked.get(one, one) for one in missing]
        time.sleep(0.2)
    everything = rows(admin, project)
    assert len(everything) == len({row["id"] for row in everything})
    told = {one: (booked[one]["input_tokens"], booked[one]["output_tokens"]) for one in answered}
    assert told == answered
    # Of the others the client knows some by name; of the rest, only how many there were.
    others = {row["id"] for row in everything} - set(answered)
    broken = [one for one in client.told if one.tokens is None]
    named = {one.id for one in broken}
    assert len(others - named) <= sum(not one.id for one in broken)
    read, written = (sum(row[name] for row in everything) for name in TOKENS)
    assert sums(admin, project) == (len(everything), read, written)


TOKENS = ("input_tokens", "output_tokens")


def check_audit(stack: Stack, admin: httpx.Client, projects: list[str], file: Path) -> None:
    """The log verifies, and has the creation of each project once."""
    deadline = time.monotonic() + BOOKED_S
    while True:
        page = ask(admin, "/audit_logs", {"event_types": "project.created", "limit": 100})
        seen = Counter(one["project"]["id"] for one in page["data"] if one.get("project"))
        if all(seen[one] for one in projects):
            break
        assert time.monotonic() < deadline, (seen, projects)
        time.sleep(0.2)
    assert {seen[one] for one in projects} == {1}
    done = stack.cli("audit", "export", "--output", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    assert verified(file) == 0


def create(admin: httpx.Client, name: str) -> str:
    """Make a project, tried again while Auth is away: with the same key, it is made once."""
    key = {"idempotency-key": f"{name}-{time.monotonic_ns()}"}
    deadline = time.monotonic() + BACK_S
    while True:
        try:
            answer = admin.post("/projects", json={"name": name}, headers=key)
        except httpx.TransportError:
            answer = httpx.Response(503)
        if answer.status_code == 200:
            return str(answer.json()["id"])
        assert answer.status_code in (409, 503, 504), answer.text
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.2)


async def run(
    stack: Stack, admin: httpx.Client, victims: list[str], file: Path, pause_s: float
) -> Counter[object]:
    """Kill one after the other, each as soon as the one before it is not felt any more."""
    project, key = await asyncio.to_thread(key_of, admin, "Killed under load")
    projects, killed = [project], list[tuple[str, set[int]]]()
    async with steady(stack.url, key, MODEL, pause_s) as client:
        for word in victims:
            for other, before in killed:
                if other == word:
                    await replaced(stack, word, before)
            await client.more_answers(8, BACK_S)
            killed.append((word, await kill(stack, word)))
            await client.more_answers(8, BACK_S)
            projects.append(await asyncio.to_thread(create, admin, f"after {word[-16:]}"))
        for word, before in killed:
            await replaced(stack, word, before)
        await client.more_answers(8, BACK_S)
    await asyncio.to_thread(check_books, admin, project, client)
    await asyncio.to_thread(check_audit, stack, admin, projects, file)
    return Counter(one.status if one.tokens is None else "answered" for one in client.told)


async def test_the_books_are_exact_whichever_process_is_killed(
    stack: Stack, admin: httpx.Client, tmp_path: Path
) -> None:
    told = await run(stack, admin, list(VICTIMS), tmp_path / "audit.jsonl", 0.05)
    assert told["answered"] > 100, told


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
async def test_the_books_are_exact_after_many_kills(
    stack: Stack, admin: httpx.Client, tmp_path: Path, seed: int
) -> None:
    victims = random.Random(seed).sample(VICTIMS * 4, k=4 * len(VICTIMS))
    told = await run(stack, admin, victims, tmp_path / "audit.jsonl", 0.01)
    assert told["answered"] > 1000, told
