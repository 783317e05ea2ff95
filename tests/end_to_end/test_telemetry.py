"""The flow of events on the real stack: nothing is lost when its processes are killed."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from .conftest import Stack, read_env

pytestmark = pytest.mark.stack

ARRIVES_S = 30.0


@pytest.fixture
def admin(stack: Stack) -> Iterator[httpx.Client]:
    key = read_env(stack.home)["HELIXFLOW_ADMIN_KEY"]
    headers = {"authorization": f"Bearer {key}"}
    with httpx.Client(base_url=f"{stack.url}/v1/organization", headers=headers, timeout=30) as one:
        yield one


def create(admin: httpx.Client, name: str) -> str:
    """Make a project; tried again while Auth is being replaced."""
    deadline = time.monotonic() + ARRIVES_S
    while (answer := admin.post("/projects", json={"name": name})).status_code == 503:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.2)
    assert answer.status_code in (200, 201), answer.text
    project: str = answer.json()["id"]
    return project


def created(stack: Stack) -> Counter[tuple[str, str]]:
    """`(project, event)` of every creation that the files hold."""
    lines = [
        json.loads(line)
        for path in (stack.home / "events").glob("*.jsonl")
        for line in path.read_text().splitlines()
    ]
    return Counter(
        (line["facts"]["target"], line["id"])
        for line in lines
        if line["facts"].get("name") == "project:create"
    )


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + ARRIVES_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def kill(stack: Stack, word: str) -> None:
    (process,) = stack.processes(word)
    os.kill(process.pid, signal.SIGKILL)


def test_changes_are_in_the_files_once_though_telemetry_is_killed(
    stack: Stack, admin: httpx.Client
) -> None:
    projects = []
    for turn in range(3):
        projects += [create(admin, f"before {turn}"), create(admin, f"between {turn}")]
        until(lambda: len(stack.processes("ray::Telemetry")) == 1)
        kill(stack, "ray::Telemetry")
        projects.append(create(admin, f"after {turn}"))
    until(lambda: set(projects) <= {target for target, _ in created(stack)})
    counts = {target: count for (target, _), count in created(stack).items()}
    assert {counts[project] for project in projects} == {1}


def test_changes_are_in_the_files_though_auth_is_killed(stack: Stack, admin: httpx.Client) -> None:
    projects = [create(admin, "first")]
    kill(stack, "ServeReplica:helixflow:Auth")
    projects.append(create(admin, "second"))
    until(lambda: set(projects) <= {target for target, _ in created(stack)})
    events: Counter[str] = Counter(target for target, _ in created(stack))
    assert {events[project] for project in projects} == {1}  # a repeat keeps its event's id


def test_a_killed_ingress_leaves_no_journal_behind(stack: Stack, admin: httpx.Client) -> None:
    def ingresses() -> set[str]:
        return {path.name for path in (stack.home / "journals").glob("ingress-*")}

    before = ingresses()
    assert before
    kill(stack, "ServeReplica:helixflow:Ingress")
    until(lambda: bool(ingresses()) and not ingresses() & before)


def test_a_dead_letter_is_replayed_once(stack: Stack) -> None:
    letter = {
        "sink": "jsonl", "source": "ingress-of-old", "sequence": 7, "reason": "by hand",
        "event": {"kind": "request.ended", "at": 1.0, "id": "req_dead_letter", "facts": {}},
    }  # fmt: skip
    path = stack.home / "dead-letters" / "jsonl-ingress-of-old-7.json"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_text(json.dumps(letter))
    path.chmod(0o600)
    os.utime(path, (time.time() - 2 * 86_400,) * 2)  # its source is forgotten
    for words in (["list"], ["replay", "--sink", "jsonl"], ["replay", "--sink", "jsonl"]):
        done = stack.cli("telemetry", "dead-letters", *words)
        assert done.returncode == 0, done.stdout + done.stderr
    files = (stack.home / "events").glob("*.jsonl")
    assert sum(path.read_text().count('"req_dead_letter"') for path in files) == 1


def owner_only(stack: Stack) -> list[Any]:
    folders = [stack.home / "journals", stack.home / "events", stack.home / "dead-letters"]
    return [path for folder in folders for path in folder.rglob("*") if path.stat().st_mode & 0o077]


def test_nobody_else_can_read_journals_and_events(stack: Stack) -> None:
    assert owner_only(stack) == []


def test_content_is_kept_when_a_project_wants_it_sealed_and_until_it_is_erased(
    stack: Stack, admin: httpx.Client
) -> None:
    project = create(admin, "kept")
    key = admin.post(f"/projects/{project}/api_keys", json={"name": "k"}).json()["value"]
    client, place = stack.client().with_options(api_key=key), f"/projects/{project}/content"

    def say(word: str) -> None:
        asked: Any = [{"role": "user", "content": word}]
        client.chat.completions.create(model="echo-1", messages=asked, max_tokens=2)

    def kept() -> list[dict[str, Any]]:
        answer = admin.get(place)
        assert answer.status_code == 200, answer.text
        data: list[dict[str, Any]] = answer.json()["data"]
        return data

    say("unkeptword")
    admin.post(f"/projects/{project}", json={"content_retention_days": 1})
    time.sleep(1.0)  # what the change may take to reach every Ingress
    say("keptword")
    until(lambda: bool(kept()))
    (note,) = kept()
    content = admin.get(f"{place}/{note['id']}").json()
    assert "keptword" in content["request"]["text"]
    assert json.loads(content["answer"]["text"])["object"] == "chat.completion"
    files = [path for path in stack.home.rglob("*") if path.is_file()]
    assert [path for path in files if b"keptword" in path.read_bytes()] == []
    assert admin.delete(place).json()["deleted"]
    until(lambda: kept() == [])
