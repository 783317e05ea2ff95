"""Usage and costs on the wire, as OpenAI shapes them: a page of buckets of results."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from helixflow.api.wire import Wire


class UsageResult(Wire):
    """The use of a bucket's requests that have these values; what is not grouped by is null."""

    object: Literal["organization.usage.completions.result"] = (
        "organization.usage.completions.result"
    )
    input_tokens: int = Field(description="Cached ones included.")
    input_cached_tokens: int
    input_uncached_tokens: int
    output_tokens: int
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    num_model_requests: int
    project_id: str | None = None
    user_id: str | None = None
    api_key_id: str | None = None
    model: str | None = None
    batch: bool | None = None
    service_tier: str | None = None
    region: str | None = None


class UsageBucket(Wire):
    """A minute, an hour or a day."""

    object: Literal["bucket"] = "bucket"
    start_time: int = Field(description="Epoch seconds, included.")
    end_time: int = Field(description="Epoch seconds, not included.")
    results: list[UsageResult]


class UsagePage(Wire):
    """A part of the buckets of the time that was asked for."""

    object: Literal["page"] = "page"
    data: list[UsageBucket]
    has_more: bool
    next_page: str | None = Field(description="The `page` of the next part.")


class Amount(Wire):
    """Money."""

    value: float
    currency: Literal["usd"] = "usd"


class CostResult(Wire):
    """What a bucket's requests that have these values cost."""

    object: Literal["organization.costs.result"] = "organization.costs.result"
    amount: Amount
    line_item: str | None = Field(default=None, examples=["qwen, input_tokens"])
    quantity: float | None = None
    quantity_unit: Literal["tokens"] | None = None
    project_id: str | None = None
    user_id: str | None = None
    api_key_id: str | None = None


class CostBucket(Wire):
    """A day."""

    object: Literal["bucket"] = "bucket"
    start_time: int = Field(description="Epoch seconds, included.")
    end_time: int = Field(description="Epoch seconds, not included.")
    results: list[CostResult]


class CostPage(Wire):
    """A part of the days of the time that was asked for."""

    object: Literal["page"] = "page"
    data: list[CostBucket]
    has_more: bool
    next_page: str | None = Field(description="The `page` of the next part.")


class RequestUsage(Wire):
    """One request."""

    object: Literal["organization.usage.request"] = "organization.usage.request"
    id: str
    created_at: float = Field(description="When it was admitted, epoch seconds.")
    project_id: str
    user_id: str | None
    api_key_id: str
    model: str
    region: str | None
    operation: str
    service_tier: str
    stream: bool
    outcome: str = Field(
        description="`ok`, `canceled`, `running`, `lost`, or why it was refused.",
    )
    estimated_tokens: int
    input_tokens: int
    input_cached_tokens: int
    output_tokens: int
    amount: Amount
    duration_s: float | None
    first_token_s: float | None


class RequestPage(Wire):
    """A part of the requests of the time that was asked for, in the order of their admission."""

    object: Literal["page"] = "page"
    data: list[RequestUsage]
    has_more: bool
    next_page: str | None = Field(description="The `page` of the next part.")
