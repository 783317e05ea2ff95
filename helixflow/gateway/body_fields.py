"""The fields of a body that the gateway reads, as typed structs. All others are skipped.

A field stands here for one of three reasons: the pipeline needs it, a wrong type of it would be
found only deep in the engine, or a client must not set it. The names and types are those of vLLM
0.32 (`ChatCompletionRequest`, `CompletionRequest`); what OpenAI and vLLM disagree about is read as
vLLM reads it, because the bytes go there as they are.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Raw, Struct

NULL = Raw(b"null")
PATTERN_TOKENS_MAX = 64
"""Longest pattern that repetition detection may look for: it is searched for at every token."""

Role: TypeAlias = Literal["assistant", "developer", "function", "system", "tool", "user"]
Tier: TypeAlias = Literal["auto", "default", "flex", "priority", "scale"]
Prompt: TypeAlias = str | list[str | int | list[int]]


class Steering(Struct, kw_only=True):
    """What only the platform decides. Anything but null is refused, except what `HARMLESS` says."""

    cache_salt: Any = None
    chat_template: Any = None
    ec_transfer_params: Any = None
    guided_choice: Any = None
    guided_decoding_backend: Any = None
    guided_grammar: Any = None
    guided_json: Any = None
    guided_regex: Any = None
    guided_whitespace_pattern: Any = None
    kv_transfer_params: Any = None
    media_io_kwargs: Any = None
    mm_processor_kwargs: Any = None
    priority: Any = None
    prompt_embeds: Any = None
    request_id: Any = None
    session_id: Any = None
    stream_interval: Any = None
    use_beam_search: Any = None
    vllm_xargs: Any = None
    watermarking: Any = None


STEERING = Steering.__struct_fields__
steering_values = attrgetter(*STEERING)
HARMLESS: dict[str, object] = {"priority": 0, "use_beam_search": False, "watermarking": True}
"""Values that ask for what happens anyway; client libraries send them as defaults."""

TEMPLATE_RESERVED = frozenset(
    {
        "chat_template", "conversation", "max_length", "padding", "return_assistant_tokens_mask",
        "return_dict", "return_tensors", "tokenize", "tokenizer_kwargs", "truncation",
    }
)  # fmt: skip
"""Arguments of the tokenizer's `apply_chat_template` that are not variables of a template."""


class StreamOptions(Struct):
    """How a stream is to be sent."""

    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None


class Repetition(Struct):
    """When to stop a generation that repeats itself."""

    max_pattern_size: Annotated[int, Meta(le=PATTERN_TOKENS_MAX)] = 0


class Body(Steering, kw_only=True):
    """What both operations take."""

    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None
    best_of: int | None = None
    max_tokens: int | None = None
    echo: bool | None = None
    prompt_logprobs: int | None = None
    logprob_token_ids: list[int] | None = None
    response_format: Raw = NULL
    structured_outputs: Raw = NULL
    repetition_detection: Repetition | None = None
    # A number that overflows to infinity is refused here and not in the middle of a batch.
    frequency_penalty: float | None = None
    length_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    user: str | None = None
    # vLLM passes it over; the platform reads a service class out of it.
    service_tier: Tier | None = None


class Link(Struct):
    """Where a medium is."""

    url: str


class Part(Struct):
    """A part of a message's content."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: Link | None = None
    audio_url: Link | None = None
    video_url: Link | None = None
    uuid: Any = None


class Function(Struct):
    """A function that a model called."""

    name: str
    arguments: str | None = None


class ToolCall(Struct):
    """A call of a tool in an earlier turn."""

    function: Function
    id: str | None = None
    type: Literal["function"] = "function"


class Message(Struct):
    """One turn of a conversation."""

    role: Role
    content: str | list[Part] | None = None
    name: str | None = None
    tool_call_id: str | None = None
    tool_calls: list[ToolCall] | None = None


class ChatBody(Body, kw_only=True):
    """`POST /v1/chat/completions`."""

    messages: list[Message] | None = None
    max_completion_tokens: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: Raw = NULL
    chat_template_kwargs: dict[str, Any] | None = None


class CompletionBody(Body, kw_only=True):
    """`POST /v1/completions`."""

    prompt: Prompt | None = None
    logprobs: int | None = None


class ToolFunction(Struct):
    """A function that a model may call."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class Tool(Struct):
    """A tool that a model may call."""

    function: ToolFunction
    type: Literal["function"] = "function"


class JsonSchema(Struct):
    """A schema that the answer must follow."""

    name: str
    schema: dict[str, Any] | None = None


class ResponseFormat(Struct):
    """What the answer must look like."""

    type: Literal["json_object", "json_schema", "structural_tag", "text"]
    json_schema: JsonSchema | None = None
