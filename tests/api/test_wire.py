"""The wire models describe what OpenAI's client sends and reads."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types import Completion as OpenAICompletion
from openai.types.chat import ChatCompletion as OpenAIChat
from openai.types.chat import ChatCompletionChunk as OpenAIChunk
from pydantic import BaseModel

from helixflow.api.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionRequest
from helixflow.api.completion import Completion, CompletionRequest

USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
HEAD = {"id": "1", "created": 1, "model": "m", "usage": USAGE}
LOGPROBS = {"content": [{"token": "a", "logprob": -1.0, "bytes": [97], "top_logprobs": []}]}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("ours", "theirs", "tree"),
    [
        (
            ChatCompletion,
            OpenAIChat,
            {
                **HEAD,
                "object": "chat.completion",
                "choices": [
                    {
                        "index": 0,
                        "message": {"role": "assistant", "content": None, "tool_calls": [CALL]},
                        "logprobs": LOGPROBS,
                        "finish_reason": "tool_calls",
                    }
                ],
            },
        ),
        (
            ChatCompletionChunk,
            OpenAIChunk,
            {
                **HEAD,
                "object": "chat.completion.chunk",
                "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}],
            },
        ),
        (
            Completion,
            OpenAICompletion,
            {
                **HEAD,
                "object": "text_completion",
                "choices": [{"index": 0, "text": "a", "logprobs": None, "finish_reason": "stop"}],
            },
        ),
    ],
)
def test_an_answer_is_valid_to_us_and_to_openai(
    ours: type[BaseModel], theirs: type[BaseModel], tree: dict[str, Any]
) -> None:
    ours.model_validate(tree)
    theirs.model_validate(tree)


def test_a_request_may_hold_more_than_is_described() -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]
    schema = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}
    chat = ChatCompletionRequest.model_validate(
        {"model": "m", "messages": messages, "response_format": schema, "top_k": 3}
    )
    assert chat.model_extra == {"top_k": 3}
    assert CompletionRequest.model_validate({"model": "m", "prompt": [1, 2]}).prompt == [1, 2]
