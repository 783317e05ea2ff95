"""Chat completions on the wire."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from helixflow.api.sampling import Sampling
from helixflow.api.wire import Usage, Wire

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class FunctionCall(Wire):
    """A function that the model called; `arguments` is JSON as text."""

    name: str
    arguments: str


class ToolCall(Wire):
    """A call of a tool."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class ImageUrl(Wire):
    """An image in the body itself: nothing is fetched from other servers."""

    url: str = Field(pattern="^data:", examples=["data:image/png;base64,..."])


class ContentPart(Wire):
    """A part of a message."""

    type: str = Field(examples=["text"])
    text: str | None = None
    image_url: ImageUrl | None = None


class ChatMessage(Wire):
    """One turn of the conversation."""

    role: Literal["developer", "system", "user", "assistant", "tool", "function"]
    content: str | list[ContentPart] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None


class ToolFunction(Wire):
    """A function that the model may call."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = Field(default=None, description="A JSON schema.")


class Tool(Wire):
    """A tool that the model may call."""

    type: Literal["function"] = "function"
    function: ToolFunction


class ChatCompletionRequest(Sampling):
    """The body of `POST /v1/chat/completions`."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "model": "smollm2",
                "messages": [{"role": "user", "content": "Say hello."}],
                "max_tokens": 32,
            }
        }
    )

    messages: list[ChatMessage] = Field(
        min_length=1, examples=[[{"role": "user", "content": "Say hello."}]]
    )
    max_completion_tokens: int | None = Field(default=None, ge=1)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0)
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None


class TokenLogprob(Wire):
    """A token's log probability."""

    token: str
    logprob: float
    bytes: list[int] | None = None


class TokenLogprobs(TokenLogprob):
    """A token's log probability and the likeliest ones in its place."""

    top_logprobs: list[TokenLogprob] = Field(default_factory=list)


class ChatLogprobs(Wire):
    """Log probabilities of an answer's tokens."""

    content: list[TokenLogprobs] | None = None


class ChatAnswer(Wire):
    """What the model says."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    tool_calls: list[ToolCall] | None = None


class ChatChoice(Wire):
    """One answer."""

    index: int
    message: ChatAnswer
    logprobs: ChatLogprobs | None = None
    finish_reason: FinishReason


class ChatCompletion(Wire):
    """A whole answer."""

    id: str = Field(examples=["chatcmpl-6b1f"])
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage


class ChatDelta(Wire):
    """What a chunk adds to an answer."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class ChatChunkChoice(Wire):
    """One answer's part of a chunk."""

    index: int
    delta: ChatDelta
    logprobs: ChatLogprobs | None = None
    finish_reason: FinishReason | None = None


class ChatCompletionChunk(Wire):
    """The data of one event of a stream. The last one has `usage`, if that was asked for."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChatChunkChoice]
    usage: Usage | None = None
