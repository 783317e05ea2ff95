"""A client that hangs up, or stops reading, frees the engine at once."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from .conftest import MODEL, Probe, Stack

pytestmark = pytest.mark.stack

LONG = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "Tell me a long story."}],
    "max_tokens": 900,
    "ignore_eos": True,
}


async def start(
    stack: Stack, **changes: object
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    body = json.dumps({**LONG, **changes}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.port)
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
        + f"authorization: Bearer {stack.api_key}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        + body
    )
    return reader, writer


async def until_running(probe: Probe, wanted: int, *, within_s: float) -> float:
    """Seconds until the engine runs that many sequences; fails when that takes longer."""
    begun = time.monotonic()
    while (running := await probe.ask(do="running", model=MODEL)) != wanted:
        waited = time.monotonic() - begun
        assert waited < within_s, f"{running} sequences still run after {waited:.1f} s"
        await asyncio.sleep(0.02)
    return time.monotonic() - begun


@pytest.mark.parametrize("stream", [True, False])
async def test_a_hang_up_aborts_the_generation_within_a_second(
    stack: Stack, probe: Probe, stream: bool
) -> None:
    await until_running(probe, 0, within_s=10)
    reader, writer = await start(stack, stream=stream)
    await until_running(probe, 1, within_s=10)
    if stream:
        await reader.readuntil(b"data: ")
    writer.transport.abort()
    await until_running(probe, 0, within_s=1)


async def test_many_hang_ups_leave_nothing_running(stack: Stack, probe: Probe) -> None:
    calls = [await start(stack, stream=index % 2 == 0) for index in range(12)]
    await until_running(probe, 12, within_s=20)
    for _, writer in calls:
        writer.transport.abort()
    await until_running(probe, 0, within_s=2)
    client = stack.client()
    assert client.chat.completions.create(model=MODEL, messages=LONG["messages"], max_tokens=2)
    client.close()


async def test_a_client_that_stops_reading_is_dropped(stack: Stack, probe: Probe) -> None:
    words = {"model": "echo-1", "messages": LONG["messages"], "max_tokens": 400_000}
    body = json.dumps({**words, "stream": True}).encode()
    # A small window at this end, so that what is in flight is bounded by the proxy's buffers.
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.port, limit=4096)
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
        + f"authorization: Bearer {stack.api_key}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        + body
    )
    await reader.readuntil(b"data: ")
    # stack.yaml gives a reader 2 s; whoever takes nothing for longer holds nothing any more.
    for _ in range(400):
        if await probe.ask(do="running", model="echo-1") == 0:
            break
        await asyncio.sleep(0.05)
    assert await probe.ask(do="running", model="echo-1") == 0
    tail = b""
    while piece := await reader.read(1 << 20):
        tail = (tail + piece)[-64:]
    assert b"[DONE]" not in tail
    writer.close()
