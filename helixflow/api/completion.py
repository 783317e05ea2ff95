"""Text completions on the wire."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from helixflow.api.sampling import Sampling
from helixflow.api.wire import Usage, Wire


class CompletionRequest(Sampling):
    """The body of `POST /v1/completions`."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"model": "smollm2", "prompt": "Once upon a time", "max_tokens": 32}
        }
    )

    prompt: str | list[str] | list[int] | list[list[int]] = Field(
        description="A text, token ids, or several of either.", examples=["Once upon a time"]
    )
    echo: bool | None = None
    logprobs: int | None = Field(default=None, ge=0)


class CompletionLogprobs(Wire):
    """Log probabilities of an answer's tokens."""

    text_offset: list[int] = Field(default_factory=list)
    token_logprobs: list[float | None] = Field(default_factory=list)
    tokens: list[str] = Field(default_factory=list)
    top_logprobs: list[dict[str, float] | None] = Field(default_factory=list)


class CompletionChoice(Wire):
    """One answer, or its part of a chunk."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None = None
    finish_reason: Literal["stop", "length"] | None = None


class Completion(Wire):
    """A whole answer."""

    id: str = Field(examples=["cmpl-6b1f"])
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Usage


class CompletionChunk(Wire):
    """The data of one event of a stream. The last one has `usage`, if that was asked for."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Usage | None = None
