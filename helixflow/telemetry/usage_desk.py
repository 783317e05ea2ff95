"""What the records desk answers about usage and costs: OpenAI's pages of buckets, single requests.

An admin key asks about its organization, everybody else about the project that its credential is
for; a filter that names another project finds nothing there.

Failure behavior: `Unavailable` (`telemetry_unavailable`) where the database is away. A page has at
most `results_max` results: it ends with fewer buckets where there would be more, and where a single
bucket has more, the question is refused (`invalid_value`).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from helixflow.clock import Clock
from helixflow.errors import InvalidRequest, Refusal
from helixflow.inference.request import Operation as Generation
from helixflow.settings import UsageSettings
from helixflow.telemetry.costs import CURRENCY, line_items, usd
from helixflow.telemetry.desk import Arguments, Operation, Visit
from helixflow.telemetry.rollups import DAY_S
from helixflow.telemetry.usage import UsageRow
from helixflow.telemetry.usage_ports import UsageReader
from helixflow.telemetry.usage_query import (
    WIDTHS,
    Cursor,
    Field,
    Group,
    Only,
    Range,
    RequestQuery,
    UsageQuery,
    Width,
    page_token,
)

Json: TypeAlias = dict[str, Any]
Words: TypeAlias = Annotated[
    tuple[Annotated[str, msgspec.Meta(max_length=256)], ...], msgspec.Meta(max_length=100)
]
Time: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1e11)]

_PERMISSION = "usage:read"
_COMPLETIONS = (Generation.CHAT.value, Generation.COMPLETION.value)
_COST_WIDTH = Width(DAY_S, 7, 180)
_REQUESTS_MAX = 1000
_PAGE = "page_"
_LINE_ITEM = "line_item"
_Place: TypeAlias = tuple[Time, Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,128}$")]]


class Asked(Arguments, frozen=True, kw_only=True):
    """What all questions about usage have: a time, whose, and which part of the answer."""

    start_time: Time
    end_time: Time | None = None
    project_ids: Words = ()
    user_ids: Words = ()
    api_key_ids: Words = ()
    models: Words = ()
    limit: int | None = None
    page: Annotated[str, msgspec.Meta(max_length=512)] | None = None

    @property
    def only(self) -> Only:
        """The filters that were given."""
        given = (
            (Field.PROJECT_ID, self.project_ids),
            (Field.USER_ID, self.user_ids),
            (Field.API_KEY_ID, self.api_key_ids),
            (Field.MODEL, self.models),
        )
        # PostgreSQL takes no text with a null character; nothing is called so.
        return tuple(
            (field, tuple(value for value in values if "\0" not in value))
            for field, values in given
            if values
        )


class CompletionsAsked(Asked, frozen=True, kw_only=True):
    """`usage.completions`."""

    bucket_width: Literal["1m", "1h", "1d"] = "1d"
    group_by: Annotated[tuple[Field, ...], msgspec.Meta(max_length=16)] = ()
    batch: bool | None = None


class CostsAsked(Asked, frozen=True, kw_only=True):
    """`usage.costs`."""

    bucket_width: Literal["1d"] = "1d"
    group_by: Annotated[
        tuple[Literal["api_key_id", "line_item", "project_id", "user_id"], ...],
        msgspec.Meta(max_length=16),
    ] = ()


class RequestsAsked(Asked, frozen=True, kw_only=True):
    """`usage.requests`."""


class UsageDesk:
    """The operations. For one event loop."""

    def __init__(self, reader: UsageReader, settings: UsageSettings, clock: Clock) -> None:
        self._reader = reader
        self._results_max = settings.results_max
        self._clock = clock

    def operations(self) -> tuple[Operation, ...]:
        """To be given to the records desk."""
        return (
            Operation("usage.completions", _PERMISSION, CompletionsAsked, self._completions),
            Operation("usage.costs", _PERMISSION, CostsAsked, self._costs),
            Operation("usage.requests", _PERMISSION, RequestsAsked, self._requests),
        )

    async def _completions(self, visit: Visit, asked: CompletionsAsked) -> Json:
        fields = tuple(dict.fromkeys(asked.group_by))
        return await self._buckets(
            visit, asked, WIDTHS[asked.bucket_width], fields, _COMPLETIONS, asked.batch,
            lambda groups: [_usage_result(group) for group in groups],
        )  # fmt: skip

    async def _costs(self, visit: Visit, asked: CostsAsked) -> Json:
        by_line = _LINE_ITEM in asked.group_by
        named = tuple(dict.fromkeys(Field(name) for name in asked.group_by if name != _LINE_ITEM))
        fields = (*named, Field.MODEL) if by_line else named
        return await self._buckets(
            visit, asked, _COST_WIDTH, fields, (), None,
            lambda groups: [
                result for group in groups for result in _cost_results(group, by_line=by_line)
            ],
        )  # fmt: skip

    async def _requests(self, visit: Visit, asked: RequestsAsked) -> Json:
        limit = 100 if asked.limit is None else asked.limit
        if not 1 <= limit <= _REQUESTS_MAX:
            raise _invalid(f"limit is from 1 to {_REQUESTS_MAX}.", "limit")
        end = self._clock.now() if asked.end_time is None else asked.end_time
        after = None if asked.page is None else _cursor(asked.page)
        query = RequestQuery(visit.scope, asked.start_time, end, asked.only, after)
        rows = await self._reader.requests(query, limit + 1)
        more = len(rows) > limit
        rows = rows[:limit]
        return {
            "object": "page",
            "data": [_request(row) for row in rows],
            "has_more": more,
            "next_page": _row_token(rows[-1]) if more else None,
        }

    async def _buckets(
        self,
        visit: Visit,
        asked: CompletionsAsked | CostsAsked,
        width: Width,
        fields: tuple[Field, ...],
        operations: tuple[str, ...],
        batch: bool | None,
        results_of: Callable[[Iterable[Group]], list[Json]],
    ) -> Json:
        whole = Range.of(width, asked.start_time, asked.end_time, self._clock.now())
        part = whole.page(asked.page, asked.limit)
        query = UsageQuery(
            visit.scope, part.start, part.end, width.seconds, fields, asked.only, batch, operations
        )
        groups = await self._reader.groups(query, self._results_max + 1)
        end = part.end if len(groups) <= self._results_max else groups[-1].start
        if end == part.start < part.end:
            raise _invalid("There are too many results: group by less, or filter.", "group_by")
        by_start: dict[int, list[Group]] = {}
        for group in groups:
            by_start.setdefault(group.start, []).append(group)
        more = end < whole.end
        return {
            "object": "page",
            "data": [
                {
                    "object": "bucket",
                    "start_time": start,
                    "end_time": start + width.seconds,
                    "results": results_of(by_start.get(start, ())),
                }
                for start in range(part.start, end, width.seconds)
            ],
            "has_more": more,
            "next_page": page_token(end) if more else None,
        }


def _usage_result(group: Group) -> Json:
    sums, values = group.sums, group.values
    batch = values.get(Field.BATCH)
    return {
        "object": "organization.usage.completions.result",
        "input_tokens": sums.input_tokens,
        "input_cached_tokens": sums.cached_tokens,
        "input_uncached_tokens": sums.input_tokens - sums.cached_tokens,
        "output_tokens": sums.output_tokens,
        "input_audio_tokens": 0,
        "output_audio_tokens": 0,
        "num_model_requests": sums.requests,
        "project_id": values.get(Field.PROJECT_ID),
        "user_id": values.get(Field.USER_ID) or None,
        "api_key_id": values.get(Field.API_KEY_ID),
        "model": values.get(Field.MODEL),
        "batch": None if batch is None else batch == "true",
        "service_tier": values.get(Field.SERVICE_TIER),
        "region": values.get(Field.REGION) or None,
    }


def _cost_results(group: Group, *, by_line: bool) -> list[Json]:
    if not by_line:
        return [_cost_result(group, group.sums.cost.total, None, None)]
    return [
        _cost_result(group, line.nano_usd, line.name, line.tokens)
        for line in line_items(group.values[Field.MODEL], group.sums)
    ]


def _cost_result(group: Group, nano_usd: int, line: str | None, tokens: int | None) -> Json:
    values = group.values
    return {
        "object": "organization.costs.result",
        "amount": {"value": usd(nano_usd), "currency": CURRENCY},
        "line_item": line,
        "quantity": tokens,
        "quantity_unit": None if tokens is None else "tokens",
        "project_id": values.get(Field.PROJECT_ID),
        "user_id": values.get(Field.USER_ID) or None,
        "api_key_id": values.get(Field.API_KEY_ID),
    }


def _request(row: UsageRow) -> Json:
    """A row of a request that was admitted."""
    if row.admitted is None:
        raise ValueError("a request that nobody admitted is nobody's")
    admitted, usage = row.admitted.what, row.usage
    ended = None if row.ended is None else row.ended.what
    return {
        "object": "organization.usage.request",
        "id": row.id,
        "created_at": row.admitted.at,
        "project_id": admitted.project,
        "user_id": admitted.subject or None,
        "api_key_id": admitted.key,
        "model": admitted.model,
        "region": admitted.region or None,
        "operation": admitted.operation,
        "service_tier": admitted.service_class,
        "stream": admitted.stream,
        "outcome": row.outcome,
        "estimated_tokens": admitted.estimated_tokens,
        "input_tokens": usage.prompt_tokens,
        "input_cached_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
        "amount": {"value": usd(row.cost.total), "currency": CURRENCY},
        "duration_s": None if ended is None else ended.duration_s,
        "first_token_s": None if ended is None else ended.first_token_s,
    }


def _row_token(row: UsageRow) -> str:
    at = row.first_at if row.admitted is None else row.admitted.at
    place = msgspec.json.encode((at, row.id))
    return _PAGE + base64.urlsafe_b64encode(place).decode().rstrip("=")


def _cursor(page: str) -> Cursor:
    """The place that `_row_token` told. Raises `InvalidRequest`."""
    try:
        text = page.removeprefix(_PAGE)
        place = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return Cursor(*msgspec.json.decode(place, type=_Place))
    except (binascii.Error, ValueError):
        raise _invalid("page is no page of this question.", "page") from None


def _invalid(message: str, param: str) -> InvalidRequest:
    return InvalidRequest(Refusal.INVALID_VALUE, message, param=param)
