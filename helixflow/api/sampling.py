"""What chat and text completions take alike."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from helixflow.api.wire import Wire


class StreamOptions(Wire):
    """How a stream is sent."""

    include_usage: bool = Field(
        default=False, description="End the stream with a chunk that has `usage` and no choices."
    )


class JsonSchemaFormat(Wire):
    """A named JSON schema."""

    name: str
    description: str | None = None
    json_schema: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: bool | None = None


class ResponseFormat(Wire):
    """What the answer must look like."""

    type: Literal["text", "json_object", "json_schema", "structural_tag"]
    json_schema: JsonSchemaFormat | None = None


class Sampling(Wire):
    """Common to both operations. Other parameters that vLLM knows (`top_k`, `min_p`,
    `repetition_penalty`, `ignore_eos`, ...) pass through; `priority`, `request_id`, `cache_salt`,
    `kv_transfer_params`, `vllm_xargs`, `stream_interval` and their like are refused."""

    model: str = Field(description="A name or alias from `GET /v1/models`.", examples=["smollm2"])
    stream: bool | None = Field(default=False, description="Answer with server-sent events.")
    stream_options: StreamOptions | None = None
    n: int | None = Field(default=1, ge=1, description="Choices; bounded by the model.")
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    logit_bias: dict[str, float] | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    response_format: ResponseFormat | None = None
    user: str | None = None
