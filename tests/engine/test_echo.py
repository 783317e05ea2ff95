from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from helixflow.engine.echo import EchoEngine
from helixflow.errors import Refusal, Refused
from helixflow.inference.frame import Frame
from helixflow.inference.model_spec import EchoPace, EngineKind, ModelSpec
from helixflow.inference.request import Operation
from helixflow.testing.clock import ManualClock
from helixflow.testing.engine import check_engine, check_stopped, engine_request, events

SPEC = ModelSpec("echo-1", EngineKind.ECHO, sequences_max=4)


def chat(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **more}


async def ask(engine: EchoEngine, body: dict[str, Any], **how: Any) -> list[Frame]:
    return [frame async for frame in engine.generate(engine_request(body, **how))]


async def test_it_keeps_the_contract_of_engines() -> None:
    spec = ModelSpec("echo-1", EngineKind.ECHO, echo=EchoPace(tokens_per_s=500))
    engine = EchoEngine(spec)
    await engine.start(lambda _what, _far: None)
    await check_engine(engine, "echo-1")
    await check_stopped(engine)


async def test_it_says_the_last_words_over_and_over() -> None:
    [frame] = await ask(EchoEngine(SPEC, clock=ManualClock()), chat("tick tock", max_tokens=5))
    body = json.loads(frame.data)
    assert body["choices"][0]["message"] == {
        "role": "assistant",
        "content": "tick tock tick tock tick",
        "refusal": None,
    }
    assert body["usage"] == {"prompt_tokens": 2, "completion_tokens": 5, "total_tokens": 7}
    assert (body["object"], body["created"]) == ("chat.completion", 1_700_000_000)
    assert body["choices"][0]["finish_reason"] == "length"


async def test_without_max_tokens_it_stops_at_its_own_length() -> None:
    spec = ModelSpec("echo-1", EngineKind.ECHO, echo=EchoPace(tokens=3))
    [frame] = await ask(EchoEngine(spec), chat("a"))
    choice = json.loads(frame.data)["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("a a a", "stop")


async def test_a_stream_says_the_same_as_a_whole_answer() -> None:
    engine, body = EchoEngine(SPEC), chat('wörd "quoted" \u2603', max_tokens=7, n=2)
    [whole] = await ask(engine, body)
    texts = {0: "", 1: ""}
    for event in events(await ask(engine, body, stream=True)):
        for choice in event["choices"]:
            texts[choice["index"]] += choice["delta"].get("content", "")
    wholes = [choice["message"]["content"] for choice in json.loads(whole.data)["choices"]]
    assert list(texts.values()) == wholes


async def test_chat_chunks_have_the_shapes_of_openai() -> None:
    options = {"include_usage": True}
    frames = await ask(
        EchoEngine(SPEC), chat("a b", max_tokens=2, stream_options=options), stream=True
    )
    role, first, second, finish, usage = events(frames)
    assert role["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert first["choices"][0]["delta"] == {"content": "a"}
    assert second["choices"][0]["delta"] == {"content": " b"}
    assert finish["choices"][0] == {
        "index": 0,
        "delta": {},
        "logprobs": None,
        "finish_reason": "length",
    }
    assert first["usage"] is None
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] == 4
    assert {event["object"] for event in (role, first, finish, usage)} == {"chat.completion.chunk"}


async def test_completions_answer_each_prompt() -> None:
    body = {"prompt": ["a b", "c"], "n": 2, "max_tokens": 2}
    [frame] = await ask(EchoEngine(SPEC), body, operation=Operation.COMPLETION)
    answer = json.loads(frame.data)
    assert answer["object"] == "text_completion"
    assert [choice["text"] for choice in answer["choices"]] == ["a b", "a b", "c c", "c c"]
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("prompt", "text"), [("a b", "a b"), ([5, 6], "5 6"), ([[7, 8]], "7 8"), ("", "echo echo")]
)
async def test_prompts_may_be_texts_or_token_ids(prompt: object, text: str) -> None:
    body = {"prompt": prompt, "max_tokens": 2}
    frames = await ask(EchoEngine(SPEC), body, stream=True, operation=Operation.COMPLETION)
    said = "".join(choice["text"] for event in events(frames) for choice in event["choices"])
    assert said == text


async def test_a_prompt_that_mixes_texts_and_ids_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        await ask(EchoEngine(SPEC), {"prompt": ["a", 1]}, operation=Operation.COMPLETION)
    assert caught.value.param == "prompt"


async def test_content_may_come_in_parts() -> None:
    parts = [{"type": "text", "text": "a b"}, {"type": "text", "text": "c"}]
    body = {"messages": [{"role": "user", "content": parts}], "max_tokens": 3}
    [frame] = await ask(EchoEngine(SPEC), body)
    assert json.loads(frame.data)["choices"][0]["message"]["content"] == "a b c"


async def test_the_context_bounds_prompt_and_answer_together() -> None:
    engine = EchoEngine(ModelSpec("echo-1", EngineKind.ECHO, context_tokens=4))
    await ask(engine, chat("a b c", max_tokens=1))
    with pytest.raises(Refused) as caught:
        await ask(engine, chat("a b c", max_tokens=2))
    assert (caught.value.reason, caught.value.param) == (
        Refusal.CONTEXT_LENGTH_EXCEEDED,
        "messages",
    )
    with pytest.raises(Refused) as caught:
        await ask(engine, chat("a", max_tokens=5))
    assert (caught.value.reason, caught.value.param) == (Refusal.INVALID_VALUE, "max_tokens")


async def test_tokens_come_at_the_given_pace() -> None:
    clock, waits = ManualClock(), []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock.advance(seconds + 0.01)

    spec = ModelSpec("echo-1", EngineKind.ECHO, echo=EchoPace(tokens=3, tokens_per_s=10))
    engine = EchoEngine(spec, clock=clock, sleep=sleep)
    await ask(engine, chat("a"), stream=True)
    assert waits == pytest.approx([0.1, 0.09, 0.09])
    waits.clear()
    await ask(engine, chat("a"))
    assert sum(waits) == pytest.approx(0.28)


async def test_its_load_counts_sequences_and_those_who_wait() -> None:
    engine = EchoEngine(SPEC)
    running = engine.generate(engine_request(chat("a", n=3), stream=True))
    await anext(running)
    waiting = engine.generate(engine_request(chat("a", n=2), stream=True))
    first = asyncio.create_task(anext(waiting))
    for _ in range(3):
        await asyncio.sleep(0)
    load = engine.load()
    assert (load.running, load.waiting, load.kv_used) == (3, 1, 0.75)
    await running.aclose()
    await first
    assert engine.load().running == 2
    await waiting.aclose()
    assert engine.load().running == 0


async def test_leaving_the_queue_of_the_engine_takes_nothing() -> None:
    engine = EchoEngine(SPEC)
    running = engine.generate(engine_request(chat("a", n=4), stream=True))
    await anext(running)
    waiting = asyncio.create_task(ask(engine, chat("b")))
    for _ in range(3):
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await running.aclose()
    assert (engine.load().running, engine.load().waiting) == (0, 0)
