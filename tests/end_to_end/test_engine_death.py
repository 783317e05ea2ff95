"""`kill -9` of the processes that generate, on a model of its own engine. Runs late: it disturbs."""

from __future__ import annotations

import asyncio
import json
import signal
import time

import httpx
import psutil
import pytest

from .conftest import MODEL, Probe, Stack

pytestmark = pytest.mark.stack

ASK = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
    "temperature": 0,
    "max_tokens": 16,
}


def replica(stack: Stack) -> psutil.Process:
    found = stack.processes(f"ServeReplica:model-{MODEL}:Model")
    assert len(found) == 1, found
    return found[0]


def engines(stack: Stack) -> list[psutil.Process]:
    """The engine's own processes. Their titles are vLLM's; only this stack's are looked at."""
    return [process for process in stack.processes("VLLM::") if process.is_running()]


async def until_gone(processes: list[psutil.Process], *, within_s: float) -> None:
    begun = time.monotonic()
    while alive := [p for p in processes if p.is_running() and p.status() != "zombie"]:
        assert time.monotonic() - begun < within_s, alive
        await asyncio.sleep(0.05)


async def test_a_killed_replica_takes_its_engine_along_and_is_replaced(
    stack: Stack, probe: Probe
) -> None:
    before, old = engines(stack), replica(stack)
    assert before, "the engine's processes were not found"
    async with httpx.AsyncClient(timeout=120) as client:
        headers = {"authorization": f"Bearer {stack.api_key}"}
        url = f"{stack.url}/v1/chat/completions"
        stream = {**ASK, "stream": True, "max_tokens": 900, "ignore_eos": True}
        async with client.stream("POST", url, json=stream, headers=headers) as response:
            lines = response.aiter_lines()
            assert (await anext(lines)).startswith("data: ")
            old.send_signal(signal.SIGKILL)
            await until_gone([old, *before], within_s=5)
            gone_at = time.time()
            rest = [line async for line in lines if line]
        # After the first byte the status is fixed: the stream says what happened and ends.
        assert json.loads(rest[-1].removeprefix("data: "))["error"]["code"] == "engine_died"
        # A request that has had no token yet gets a slower answer, and no error.
        answer = await client.post(url, json=ASK, headers=headers)
    assert answer.status_code == 200
    content = answer.json()["choices"][0]["message"]["content"]
    assert content == "The capital of France is Paris."
    begun = min(process.create_time() for process in engines(stack))
    assert begun > gone_at - 0.1, "the replacement's engine began beside the old one"
    assert replica(stack).pid != old.pid


async def test_a_dead_engine_is_told_as_503_until_its_replica_is_replaced(stack: Stack) -> None:
    old = replica(stack)
    for process in engines(stack):
        process.send_signal(signal.SIGKILL)
    headers = {"authorization": f"Bearer {stack.api_key}"}
    url = f"{stack.url}/v1/chat/completions"
    refused = []
    async with httpx.AsyncClient(timeout=120) as client:
        begun = time.monotonic()
        while (answer := await client.post(url, json=ASK, headers=headers)).status_code != 200:
            refused.append(answer)
            assert time.monotonic() - begun < 120, answer.text
            await asyncio.sleep(0.2)
    # Whoever asked before the replacement was told so, or waited for it; nothing else.
    assert {one.status_code for one in refused} <= {503}
    assert {one.json()["error"]["code"] for one in refused} <= {"engine_died", "model_loading"}
    assert all(int(one.headers["retry-after"]) > 0 for one in refused)
    assert replica(stack).pid != old.pid
