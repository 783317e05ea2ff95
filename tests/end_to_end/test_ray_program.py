"""The platform from another Ray program."""

from __future__ import annotations

import pytest

from helixflow.errors import NotFound, Refusal, Unauthenticated

from .conftest import MODEL, Probe, Stack

pytestmark = pytest.mark.stack

CAPITAL = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
    "temperature": 0,
    "max_tokens": 16,
}


async def test_a_handle_chats_through_the_same_pipeline(stack: Stack, probe: Probe) -> None:
    answer = await probe.ask(do="chat", key=stack.api_key, body=CAPITAL)
    assert answer["choices"][0]["message"]["content"] == "The capital of France is Paris."


async def test_a_handle_streams(stack: Stack, probe: Probe) -> None:
    chunks = await probe.ask(do="stream", key=stack.api_key, body=CAPITAL)
    text = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks)
    assert text == "The capital of France is Paris."


async def test_a_handle_is_authenticated_as_http_is(probe: Probe) -> None:
    refused = await probe.refusal(do="chat", key="hx-proj-wrong", body=CAPITAL)
    assert isinstance(refused, Unauthenticated)
    assert refused.reason is Refusal.INVALID_API_KEY


async def test_a_handle_gets_the_same_facts_of_a_refusal(stack: Stack, probe: Probe) -> None:
    refused = await probe.refusal(do="chat", key=stack.api_key, body={**CAPITAL, "model": "x"})
    assert isinstance(refused, NotFound)
    assert (refused.reason, refused.param) == (Refusal.MODEL_NOT_FOUND, "model")


async def test_leaving_a_stream_early_ends_its_generation(stack: Stack, probe: Probe) -> None:
    body = {"model": "echo-slow", "messages": CAPITAL["messages"]}
    first = await probe.ask(do="stream_one", key=stack.api_key, body=body)
    assert first["object"] == "chat.completion.chunk"
    for _ in range(100):
        if await probe.ask(do="running", model="echo-slow") == 0:
            return
    pytest.fail("the generation goes on")


async def test_a_handle_lists_models(stack: Stack, probe: Probe) -> None:
    assert MODEL in await probe.ask(do="models", key=stack.api_key)
