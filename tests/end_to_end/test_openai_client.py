"""The official OpenAI client against a real model."""

from __future__ import annotations

import json

import openai
import pytest

from .conftest import MODEL, Stack

pytestmark = pytest.mark.stack

CAPITAL = [{"role": "user", "content": "What is the capital of France?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "strict": True,
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 20}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


def test_a_real_model_answers(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL, messages=CAPITAL, temperature=0, max_tokens=16
    )
    assert answer.choices[0].message.content == "The capital of France is Paris."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.model == MODEL


def test_a_stream_says_the_same_and_counts_its_tokens(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="smollm2",
            messages=CAPITAL,
            temperature=0,
            max_tokens=16,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == "The capital of France is Paris."
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 8


async def test_the_async_client_streams(stack: Stack) -> None:
    async with openai.AsyncOpenAI(base_url=f"{stack.url}/v1", api_key=stack.api_key) as client:
        stream = await client.chat.completions.create(
            model=MODEL, messages=CAPITAL, temperature=0, max_tokens=16, stream=True
        )
        text = "".join([c.choices[0].delta.content or "" async for c in stream])
    assert text == "The capital of France is Paris."


def test_several_choices_logprobs_seed_and_stop_pass_through(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL,
        messages=CAPITAL,
        n=2,
        seed=7,
        max_tokens=12,
        logprobs=True,
        top_logprobs=2,
        stop=["Paris"],
        temperature=0.01,  # vLLM refuses several choices of greedy sampling
    )
    assert [choice.index for choice in answer.choices] == [0, 1]
    for choice in answer.choices:
        assert choice.message.content == "The capital of France is "
        assert choice.logprobs is not None
        assert choice.logprobs.content is not None
        assert len(choice.logprobs.content[0].top_logprobs) == 2


def test_a_json_schema_constrains_the_answer(client: openai.OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 12}, "capital": {"type": "boolean"}},
        "required": ["city", "capital"],
        "additionalProperties": False,
    }
    answer = client.chat.completions.create(
        model=MODEL,
        messages=CAPITAL,
        temperature=0,
        max_tokens=64,
        response_format={"type": "json_schema", "json_schema": {"name": "city", "schema": schema}},
    )
    parsed = json.loads(answer.choices[0].message.content or "")
    assert set(parsed) == {"city", "capital"}
    assert isinstance(parsed["capital"], bool)


def test_a_tool_is_called(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "What is the weather in Paris?"}],
        tools=[WEATHER],
        tool_choice={"type": "function", "function": {"name": "get_weather"}},
        temperature=0,
        max_tokens=64,
    )
    calls = answer.choices[0].message.tool_calls
    assert calls is not None
    assert calls[0].function.name == "get_weather"
    assert isinstance(json.loads(calls[0].function.arguments)["city"], str)


def test_a_text_completion_streams_and_does_not(client: openai.OpenAI) -> None:
    whole = client.completions.create(
        model=MODEL, prompt="The capital of France is", max_tokens=4, temperature=0
    )
    parts = client.completions.create(
        model=MODEL, prompt="The capital of France is", max_tokens=4, temperature=0, stream=True
    )
    assert "Paris" in whole.choices[0].text
    assert "".join(part.choices[0].text for part in parts) == whole.choices[0].text


def test_models_are_listed_and_found_by_name_and_alias(client: openai.OpenAI) -> None:
    assert MODEL in [model.id for model in client.models.list()]
    assert client.models.retrieve(MODEL).owned_by == "helixflow"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4")


def test_two_models_are_served_at_the_same_time(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="echo-1", messages=CAPITAL, max_tokens=3)
    assert answer.model == "echo-1"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 3


def test_a_prompt_longer_than_the_context_is_refused(client: openai.OpenAI) -> None:
    long = [{"role": "user", "content": "word " * 3000}]
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=MODEL, messages=long)
    assert refused.value.code == "context_length_exceeded"
    assert refused.value.param == "messages"


def test_a_model_that_failed_to_load_says_why(stack: Stack) -> None:
    with stack.client(max_retries=0) as client, pytest.raises(openai.APIStatusError) as refused:
        client.chat.completions.create(model="broken", messages=CAPITAL)
    assert refused.value.status_code == 503
    assert refused.value.code == "model_failed"
    assert "/nonexistent/model" in refused.value.message
