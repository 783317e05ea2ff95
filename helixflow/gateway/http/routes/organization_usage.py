"""Usage and costs: OpenAI's pages of buckets, single requests, and all of it as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from fastapi import APIRouter, Depends, Query, Response

from helixflow.api.usage import CostPage, RequestPage, UsagePage
from helixflow.errors import Refusal
from helixflow.gateway.http.openapi import CLOSED, REQUEST_ID_HEADER, refusals
from helixflow.gateway.http.usage_csv import (
    COST_COLUMNS,
    MEDIA_TYPE,
    REQUEST_COLUMNS,
    USAGE_COLUMNS,
    as_csv,
)
from helixflow.gateway.http.visitor import Reading, Visitor, response_of
from helixflow.gateway.ports import Desk

_VALUES_MAX = 100
_NEXT_PAGE = "x-next-page"
_REFUSALS = (
    *CLOSED, Refusal.INVALID_VALUE, Refusal.OVERLOADED, Refusal.TELEMETRY_UNAVAILABLE,
    Refusal.DEADLINE_EXCEEDED,
)  # fmt: skip
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/csv": {"schema": {"type": "string"}}},
        "headers": {
            **REQUEST_ID_HEADER,
            _NEXT_PAGE: {
                "description": "With CSV: the `page` of the next part, where there is one.",
                "schema": {"type": "string"},
                "example": "page_1730419200",
            },
        },
    },
    **refusals(*_REFUSALS),
}

Word: TypeAlias = Annotated[str, Query(min_length=1, max_length=256)]
Start: TypeAlias = Annotated[
    int, Query(ge=0, le=100_000_000_000, description="From here on, epoch seconds.")
]
End: TypeAlias = Annotated[
    int | None,
    Query(ge=0, le=100_000_000_000, description="Up to here, epoch seconds; by default now."),
]
Page: TypeAlias = Annotated[
    str | None, Query(max_length=512, description="The `next_page` of the part before.")
]
Many: TypeAlias = Annotated[int | None, Query(ge=1, le=1440, description="How many buckets.")]
Format: TypeAlias = Literal["json", "csv"]
UsageField: TypeAlias = Literal[
    "project_id", "user_id", "api_key_id", "model", "batch", "service_tier", "region"
]
CostField: TypeAlias = Literal["project_id", "user_id", "api_key_id", "line_item"]


def _some(description: str) -> Any:
    return Query(max_length=_VALUES_MAX, description=description)


def _bracketed(name: str) -> Any:
    """OpenAI's client writes `models[]=a` for what its documentation calls `models`."""
    return Query(alias=f"{name}[]", max_length=_VALUES_MAX, include_in_schema=False)


class Filters:
    """Whose usage, of which models."""

    def __init__(
        self,
        project_ids: Annotated[list[Word] | None, _some("Of these projects alone.")] = None,
        user_ids: Annotated[list[Word] | None, _some("Of these users alone.")] = None,
        api_key_ids: Annotated[list[Word] | None, _some("Of these keys alone.")] = None,
        models: Annotated[list[Word] | None, _some("Of these models alone.")] = None,
        projects: Annotated[list[Word] | None, _bracketed("project_ids")] = None,
        users: Annotated[list[Word] | None, _bracketed("user_ids")] = None,
        keys: Annotated[list[Word] | None, _bracketed("api_key_ids")] = None,
        models_too: Annotated[list[Word] | None, _bracketed("models")] = None,
    ) -> None:
        self.given = {
            "project_ids": _both(project_ids, projects),
            "user_ids": _both(user_ids, users),
            "api_key_ids": _both(api_key_ids, keys),
            "models": _both(models, models_too),
        }


Filtered: TypeAlias = Annotated[Filters, Depends()]


def router(records: Desk) -> APIRouter:
    """`/v1/organization/usage/completions`, `/usage/requests` and `/v1/organization/costs`."""
    routes = APIRouter(tags=["usage"])
    _add_completions(routes, records)
    _add_costs(routes, records)
    _add_requests(routes, records)
    return routes


def _add_completions(add: APIRouter, records: Desk) -> None:
    @add.get("/v1/organization/usage/completions", response_model=UsagePage, responses=_ANSWERS)
    async def read_usage(
        visitor: Reading,
        start_time: Start,
        filters: Filtered,
        end_time: End = None,
        bucket_width: Literal["1m", "1h", "1d"] = "1d",
        group_by: Annotated[list[UsageField] | None, _some("Told apart by these.")] = None,
        grouped: Annotated[list[UsageField] | None, _bracketed("group_by")] = None,
        batch: Annotated[bool | None, Query(description="Batch requests or all others.")] = None,
        limit: Many = None,
        page: Page = None,
        format: Format = "json",  # noqa: A002 (the parameter's name on the wire)
    ) -> Response:
        """Tokens and requests in buckets of time (UTC)."""
        asked = {
            "start_time": start_time,
            "end_time": end_time,
            "bucket_width": bucket_width,
            "group_by": _both(group_by, grouped),
            "batch": batch,
            "limit": limit,
            "page": page,
            **filters.given,
        }
        return await _answer(visitor, records, "usage.completions", asked, format, USAGE_COLUMNS)


def _add_costs(add: APIRouter, records: Desk) -> None:
    @add.get("/v1/organization/costs", response_model=CostPage, responses=_ANSWERS)
    async def read_costs(
        visitor: Reading,
        start_time: Start,
        filters: Filtered,
        end_time: End = None,
        bucket_width: Literal["1d"] = "1d",
        group_by: Annotated[list[CostField] | None, _some("Told apart by these.")] = None,
        grouped: Annotated[list[CostField] | None, _bracketed("group_by")] = None,
        limit: Many = None,
        page: Page = None,
        format: Format = "json",  # noqa: A002 (the parameter's name on the wire)
    ) -> Response:
        """What requests cost at the price of their admission, in days (UTC)."""
        asked = {
            "start_time": start_time,
            "end_time": end_time,
            "bucket_width": bucket_width,
            "group_by": _both(group_by, grouped),
            "limit": limit,
            "page": page,
            **filters.given,
        }
        return await _answer(visitor, records, "usage.costs", asked, format, COST_COLUMNS)


def _add_requests(add: APIRouter, records: Desk) -> None:
    @add.get("/v1/organization/usage/requests", response_model=RequestPage, responses=_ANSWERS)
    async def list_requests(
        visitor: Reading,
        start_time: Start,
        filters: Filtered,
        end_time: End = None,
        limit: Annotated[int, Query(ge=1, le=1000, description="How many requests.")] = 100,
        page: Page = None,
        format: Format = "json",  # noqa: A002 (the parameter's name on the wire)
    ) -> Response:
        """Single requests in the order of their admission, as long as their rows are kept."""
        asked = {
            "start_time": start_time,
            "end_time": end_time,
            "limit": limit,
            "page": page,
            **filters.given,
        }
        return await _answer(visitor, records, "usage.requests", asked, format, REQUEST_COLUMNS)


async def _answer(
    visitor: Visitor,
    records: Desk,
    operation: str,
    asked: dict[str, Any],
    format_: Format,
    columns: Sequence[str],
) -> Response:
    answer = await visitor.call(records, operation, asked)
    if format_ == "json":
        return response_of(answer)
    page = msgspec.json.decode(answer.body)
    headers = {
        "cache-control": "no-store",
        "content-disposition": f'attachment; filename="{operation.replace(".", "-")}.csv"',
    }
    if page["next_page"] is not None:
        headers[_NEXT_PAGE] = page["next_page"]
    return Response(as_csv(page, columns), media_type=MEDIA_TYPE, headers=headers)


def _both(one: Sequence[str] | None, other: Sequence[str] | None) -> list[str]:
    return [*(one or ()), *(other or ())]
