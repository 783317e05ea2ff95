"""The real engine: vLLM and SmolLM2-135M-Instruct on the CPU, one for all tests of this file."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from helixflow.clock import SystemClock
from helixflow.engine.build import build_engine
from helixflow.engine.ports import Engine
from helixflow.engine.replica import ModelReplica
from helixflow.errors import InvalidRequest, ModelLoadError, Refusal, Refused, TooLarge, Unavailable
from helixflow.inference.frame import Frame
from helixflow.inference.model_spec import FairShares
from helixflow.inference.request import EngineRequest, Operation
from helixflow.inference.usage import Usage
from helixflow.settings import EngineSettings
from helixflow.testing.contention import Contention
from helixflow.testing.engine import check_engine, engine_request, events

from .conftest import SMOL

pytestmark = [
    pytest.mark.engine,
    pytest.mark.asyncio(loop_scope="module"),
    # vLLM reads its own deprecated fields (`max_tokens`) and torch's deprecated names.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

FRANCE = [{"role": "user", "content": "What is the capital of France?"}]
STORY = [{"role": "user", "content": "Tell me a long story about the sea."}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"enum": ["Paris", "Rome"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


def chat(body: dict[str, Any], **how: Any) -> EngineRequest:
    return engine_request({"temperature": 0, **body}, model="smollm2", **how)


def completion(body: dict[str, Any], **how: Any) -> EngineRequest:
    return chat(body, operation=Operation.COMPLETION, **how)


async def frames_of(engine: Engine, request: EngineRequest) -> list[Frame]:
    return [frame async for frame in engine.generate(request)]


async def answer(engine: Engine, request: EngineRequest) -> dict[str, Any]:
    [frame] = await frames_of(engine, request)
    body: dict[str, Any] = json.loads(frame.data)
    return body


async def content(engine: Engine, body: dict[str, Any], **how: Any) -> str:
    return str((await answer(engine, chat(body, **how)))["choices"][0]["message"]["content"])


async def test_it_answers(smol: Engine) -> None:
    assert await content(smol, {"messages": FRANCE}) == "The capital of France is Paris."


async def test_it_keeps_the_contract_of_engines(smol: Engine) -> None:
    await check_engine(smol, "smollm2")


async def test_a_stream_says_the_same_and_counts_the_same(smol: Engine) -> None:
    body = {"messages": FRANCE, "stream_options": {"include_usage": True}}
    frames = await frames_of(smol, chat(body, stream=True))
    *chunks, last = events(frames)
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
    assert text == "The capital of France is Paris."
    side = frames[-1].sidecar
    assert side is not None
    assert side.finish_reason == "stop"
    assert last["usage"]["completion_tokens"] == side.usage.completion_tokens == 8
    assert {chunk["model"] for chunk in chunks} == {"smollm2"}


async def test_a_tool_is_called_with_arguments_of_its_schema(smol: Engine) -> None:
    body = {"messages": FRANCE, "tools": [WEATHER], "tool_choice": "required", "max_tokens": 64}
    frames = await frames_of(smol, chat(body, stream=True))
    side = frames[-1].sidecar
    assert side is not None
    assert side.finish_reason == "tool_calls"
    choices = [choice for event in events(frames) for choice in event["choices"]]
    calls = [
        call["function"] for choice in choices for call in choice["delta"].get("tool_calls", ())
    ]
    assert calls[0]["name"] == "get_weather"
    arguments = json.loads("".join(call.get("arguments") or "" for call in calls))
    assert arguments["city"] in {"Paris", "Rome"}


async def test_an_answer_keeps_to_a_json_schema(smol: Engine) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 12}, "sure": {"type": "boolean"}},
        "required": ["city", "sure"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "capital", "schema": schema}}
    body = {"messages": FRANCE, "response_format": form, "max_tokens": 64}
    said = json.loads(await content(smol, body))
    assert set(said) == {"city", "sure"}


async def test_log_probabilities_come_as_asked(smol: Engine) -> None:
    body = {"messages": FRANCE, "logprobs": True, "top_logprobs": 2, "max_tokens": 3}
    tokens = (await answer(smol, chat(body)))["choices"][0]["logprobs"]["content"]
    assert len(tokens) == 3
    assert [len(token["top_logprobs"]) for token in tokens] == [2, 2, 2]


async def test_a_seed_repeats(smol: Engine) -> None:
    # One sequence at a time: how many are computed together changes the last bits of bfloat16.
    body = {"messages": STORY, "temperature": 1, "max_tokens": 8}
    first, second, *others = [
        await content(smol, {**body, "seed": seed}) for seed in (1, 1, 2, 3, 4)
    ]
    assert first == second
    assert len({first, *others}) > 1


async def test_choices_differ(smol: Engine) -> None:
    body = {"messages": STORY, "temperature": 1, "max_tokens": 8, "n": 2, "seed": 1}
    choices = (await answer(smol, chat(body)))["choices"]
    assert len({choice["message"]["content"] for choice in choices}) == 2


async def test_a_stop_sequence_stops(smol: Engine) -> None:
    body = {"messages": FRANCE, "stop": [" is"]}
    assert await content(smol, body) == "The capital of France"


async def test_completions_answer_several_prompts(smol: Engine) -> None:
    request = completion({"prompt": ["The capital of France is", "One, two,"], "max_tokens": 4})
    [frame] = await frames_of(smol, request)
    assert len(json.loads(frame.data)["choices"]) == 2
    assert frame.sidecar is not None
    assert frame.sidecar.usage == Usage(9, 8, 0)


async def test_a_streamed_completion_of_several_prompts_may_be_hung_up(smol: Engine) -> None:
    body = {"prompt": ["One,", "Two,"], "max_tokens": 300, "ignore_eos": True}
    request = completion(body, stream=True)
    frames = smol.generate(request)
    await anext(frames)
    await frames.aclose()
    assert smol.load().running == 0
    assert 0 < smol.usage(request.request_id).completion_tokens < 600


async def test_a_prompt_seen_before_is_cached_for_its_tenant_alone(smol: Engine) -> None:
    messages = [{"role": "user", "content": "The sea was calm. " * 60 + "What was the sea?"}]
    used = []
    for tenant in ("a", "a", "b"):
        request = chat({"messages": messages, "max_tokens": 1}, tenant=tenant)
        [frame] = await frames_of(smol, request)
        assert frame.sidecar is not None
        used.append(frame.sidecar.usage.cached_tokens)
        told = json.loads(frame.data)["usage"]["prompt_tokens_details"]["cached_tokens"]
        assert told == used[-1]
    assert used[0] == used[2] == 0
    assert used[1] >= 128


async def test_what_a_client_must_not_steer_has_no_effect(smol: Engine) -> None:
    steering = {
        "model": "other",
        "request_id": "mine",
        "priority": 5,
        "cache_salt": "x",
        "kv_transfer_params": {"do_remote_prefill": True},
        "vllm_xargs": {"a": 1},
        "stream_interval": 100,
        "session_id": "s",
        "service_tier": "flex",
    }
    request = chat({"messages": FRANCE, "max_tokens": 3, **steering})
    body = await answer(smol, request)
    assert (body["id"], body["model"]) == (f"chatcmpl-{request.request_id}", "smollm2")


REFUSED: list[tuple[dict[str, Any], Refusal, str | None]] = [
    ({"tools": [{"type": "x"}]}, Refusal.INVALID_VALUE, "tools[0].type"),
    ({"tools": []}, Refusal.INVALID_VALUE, "tools"),
    ({"tools": [{"type": "function"}]}, Refusal.MISSING_PARAMETER, "tools[0].function"),
    ({"logit_bias": {"a": "b"}}, Refusal.INVALID_TYPE, "logit_bias.a"),
    ({"top_logprobs": 3}, Refusal.INVALID_VALUE, "top_logprobs"),
    ({"logprobs": True, "top_logprobs": 50}, Refusal.INVALID_VALUE, "logprobs"),
    ({"max_tokens": 5000}, Refusal.INVALID_VALUE, "max_tokens"),
    ({"use_beam_search": True}, Refusal.UNSUPPORTED_PARAMETER, "use_beam_search"),
    ({"structured_outputs": {"regex": "("}}, Refusal.INVALID_VALUE, None),
    ({"chat_template": "x"}, Refusal.INVALID_VALUE, None),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("fault", "reason", "param"), REFUSED)
async def test_what_vllm_refuses_is_a_refusal_with_its_place(
    smol: Engine, fault: dict[str, Any], reason: Refusal, param: str | None, stream: bool
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await frames_of(smol, chat({"messages": FRANCE, **fault}, stream=stream))
    assert (caught.value.reason, caught.value.param) == (reason, param)
    assert smol.load().running == 0


@pytest.mark.parametrize("stream", [False, True])
async def test_a_prompt_longer_than_the_context_is_too_large(smol: Engine, stream: bool) -> None:
    text = "sea " * 2000
    asked = [
        (chat({"messages": [{"role": "user", "content": text}]}, stream=stream), "messages"),
        (completion({"prompt": text}, stream=stream), "prompt"),
    ]
    for request, param in asked:
        with pytest.raises(TooLarge) as caught:
            await frames_of(smol, request)
        assert caught.value.reason is Refusal.CONTEXT_LENGTH_EXCEEDED
        assert caught.value.param == param


async def test_under_load_chunks_are_merged_and_no_token_is_lost_or_repeated(smol: Engine) -> None:
    tokens_told = {"logprobs": True, "skip_special_tokens": False}

    async def one(number: int) -> tuple[int, str, str]:
        messages = [{"role": "user", "content": f"Count from {number} to a thousand."}]
        asked = {"messages": messages, "max_tokens": 16 + number, "ignore_eos": True}
        frames = await frames_of(smol, chat({**asked, **tokens_told}, stream=True))
        choices = [choice for event in events(frames) for choice in event["choices"]]
        tokens = [
            token
            for choice in choices
            for token in (choice["logprobs"] or {"content": []})["content"]
        ]
        assert len(tokens) == 16 + number
        text = "".join(choice["delta"].get("content") or "" for choice in choices)
        return len(frames), text, "".join(token["token"] for token in tokens)

    streams = await asyncio.gather(*(one(number) for number in range(12)))
    assert sum(count for count, _, _ in streams) < 0.75 * sum(range(16, 28))
    for _, text, tokens in streams:
        assert text == tokens


async def test_a_sequence_that_waits_inside_vllm_may_leave(smol: Engine) -> None:
    body = {"messages": STORY, "max_tokens": 200, "ignore_eos": True, "temperature": 1}
    wide = smol.generate(chat({**body, "n": 16}, stream=True))
    await anext(wide)
    waiting = asyncio.create_task(frames_of(smol, chat(body)))
    async with asyncio.timeout(5):
        while not smol.load().waiting:
            await asyncio.sleep(0.005)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (smol.load().running, smol.load().waiting) == (16, 0)
    assert 0 < smol.load().kv_used < 1
    await wide.aclose()
    assert smol.load().running == 0


async def test_choices_that_ended_before_a_hang_up_are_counted(smol: Engine) -> None:
    body = {"messages": STORY, "temperature": 1.5, "n": 4, "max_tokens": 300, "stop": ["a", "e"]}
    request = chat({**body, "min_tokens": 1, "seed": 3})
    task = asyncio.create_task(frames_of(smol, request))
    while not smol.usage(request.request_id).completion_tokens and not task.done():
        await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert smol.usage(request.request_id).prompt_tokens > 0


async def test_a_deadline_aborts_the_generation_and_counts_it(smol: Engine) -> None:
    replica = ModelReplica(SMOL, smol)
    body = {"messages": STORY, "max_tokens": 800, "ignore_eos": True}
    frame = Frame.from_wire(await replica.unary(chat(body, timeout_s=2.5).to_wire()))
    assert frame.sidecar is not None
    assert frame.sidecar.refused is not None
    assert frame.sidecar.refused.reason is Refusal.DEADLINE_EXCEEDED
    assert 0 < frame.sidecar.usage.completion_tokens < 800
    assert smol.load().running == 0


async def contend(engine: Engine, *, fair: bool) -> Contention:
    """Two tenants flood eight slots, one after the other, and a third one sends a trickle."""
    spec = replace(SMOL, sequences_max=8, fair_queue=FairShares(enabled=fair))
    contention = Contention(spec, engine, SystemClock())
    how: dict[str, Any] = {"operation": Operation.COMPLETION}
    for tenant, count in (("first", 40), ("second", 16)):
        for number in range(count):
            body = {"prompt": "One, two,", "max_tokens": 6 + number % 8, "ignore_eos": True}
            # Half of them tell nothing before their end, and are charged all the same.
            contention.ask(tenant, body, stream=number % 2 == 0, **how)
    for _ in range(3):
        await contention.ask("trickle", {"prompt": "One, two,", "max_tokens": 6}, **how)
    await contention.over()
    assert contention.service("first") > 40 * (3 + 2 * 6)
    return contention


async def test_tenants_share_the_engine_fairly_and_without_the_fair_queue_they_do_not(
    smol: Engine,
) -> None:
    fair, unfair = await contend(smol, fair=True), await contend(smol, fair=False)
    bound = 2 * 2.0 * 8 * (5 + 13)  # the paper's 2 w_q M; prompts have 5 tokens, answers 13
    assert fair.gap_tokens < bound < unfair.gap_tokens
    assert max(fair.waits_s("trickle")) < max(fair.service_s)
    trickle = [
        [entry.overtaken for entry in run.entries if entry.tenant == "trickle"]
        for run in (fair, unfair)
    ]
    assert max(trickle[0]) <= 10  # who was on the way when it was asked, and one of each tenant
    assert trickle[1][0] == 40 + 16


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"no_such_option": 1}, "refuses engine_args: unrecognized arguments: --no-such-option"),
        ({"max_num_seqs": "many"}, "refuses engine_args"),
        ({"max_model_len": 10**8}, "refuses the model"),
        ({"tokenizer": "/absent"}, "did not start"),
    ],
)
async def test_what_vllm_does_not_take_fails_to_load_with_the_reason(
    smol: Engine, models_dir: Path, tmp_path: Path, args: dict[str, Any], said: str
) -> None:
    spec = replace(SMOL, engine_args=args)
    engine = build_engine(spec, EngineSettings(), models_dir, tmp_path)
    with pytest.raises(ModelLoadError, match=said):
        await engine.start(lambda _what, _far: None)
    assert not list(tmp_path.glob("*/*"))
    with pytest.raises(Unavailable):
        await engine.health()


async def test_when_the_engines_process_is_killed_every_request_is_told(smol: Engine) -> None:
    """The last test of this file: it leaves the engine dead."""
    [process] = [
        child
        for child in psutil.Process().children(recursive=True)
        if "EngineCore" in child.name() or "EngineCore" in " ".join(child.cmdline())
    ]
    body = {"messages": STORY, "max_tokens": 800, "ignore_eos": True}
    whole = asyncio.create_task(frames_of(smol, chat(body)))
    stream = smol.generate(chat(body, stream=True))
    await anext(stream)
    os.kill(process.pid, signal.SIGKILL)
    async with asyncio.timeout(5):
        for ending in (whole, anext_until_refused(stream)):
            with pytest.raises(Unavailable) as caught:
                await ending
            assert caught.value.reason is Refusal.ENGINE_DIED
            assert caught.value.retry_after_s
    with pytest.raises(Unavailable):
        await smol.health()
    with pytest.raises(Refused):
        await frames_of(smol, chat(body))


async def anext_until_refused(frames: Any) -> None:
    async for _ in frames:
        continue
