"""The command line against a running stack, as its user types it."""

from __future__ import annotations

import json
import stat
import time
from typing import Any

import pytest

from .conftest import CONFIG, MODEL, Stack

pytestmark = pytest.mark.stack


def test_up_again_is_harmless_and_restarts_nothing(stack: Stack) -> None:
    before = _replicas(stack)
    assert before
    done = stack.cli("up", "--config", str(CONFIG), "--port", str(stack.port))
    assert done.returncode == 0, done.stdout + done.stderr
    assert _replicas(stack) == before


def _replicas(stack: Stack) -> set[int]:
    """Those that run; the model that cannot be loaded is tried again now and then."""
    broken = {process.pid for process in stack.processes("model-broken")}
    return {process.pid for process in stack.processes("ServeReplica")} - broken


def test_the_key_is_readable_by_its_owner_alone(stack: Stack) -> None:
    assert stat.S_IMODE((stack.home / "env").stat().st_mode) == 0o600
    assert stat.S_IMODE(stack.home.stat().st_mode) == 0o700


def test_status_shows_deployments_models_and_addresses(stack: Stack) -> None:
    done = stack.cli("status")
    assert done.returncode == 0, done.stderr
    for word in ("Ingress", "Auth", "Router", MODEL, "ready", "failed", stack.url):
        assert word in done.stdout, done.stdout


def test_chat_streams_an_answer_and_its_pace(stack: Stack) -> None:
    done = stack.cli("chat", "What is the capital of France?", "--model", MODEL)
    assert done.returncode == 0, done.stderr
    assert "Paris" in done.stdout
    assert "tokens/s" in done.stdout + done.stderr


def test_models_lists_every_state(stack: Stack) -> None:
    rows = json.loads(stack.cli("models", "--json").stdout)
    states = {row["id"]: row["state"] for row in rows}
    assert states["echo-1"] == "ready"
    assert states["broken"] == "failed"


def test_logs_hold_lines_of_the_parts_and_no_key(stack: Stack) -> None:
    done = stack.cli("logs", "--lines", "200")
    assert done.returncode == 0, done.stderr
    assert "Router" in done.stdout
    assert stack.api_key not in done.stdout


def test_no_process_and_no_log_shows_the_key(stack: Stack) -> None:
    for process in stack.processes(""):
        assert stack.api_key not in " ".join(process.cmdline())
    for file in stack.home.rglob("*.log"):
        assert stack.api_key.encode() not in file.read_bytes()


def test_top_counts_what_was_asked(stack: Stack) -> None:
    def echo() -> dict[str, Any]:
        done = stack.cli("top", "--once", "--json", "--interval", "1")
        assert done.returncode == 0, done.stdout + done.stderr
        told = json.loads(done.stdout)
        assert told["away"] is None
        return next((one for one in told["models"] if one["model"] == "echo-1"), {})

    before = echo().get("requests", 0)
    asked = [{"role": "user", "content": "count me"}]
    with stack.client() as client:
        for _ in range(3):
            client.chat.completions.create(model="echo-1", messages=asked, max_tokens=2)
    begun = time.monotonic()
    while (now := echo())["requests"] < before + 3:
        assert time.monotonic() - begun < 20, now
    assert now["tokens"] >= 3 * (2 + 2)


def test_status_says_how_each_part_is(stack: Stack) -> None:
    text = " ".join(stack.cli("status").stdout.split())
    assert "Health" in text
    for part in ("Auth and database", "limits' store", "Telemetry"):
        assert part in text
