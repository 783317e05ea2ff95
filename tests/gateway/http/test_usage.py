"""Usage, costs and metrics before a fake records desk: what they ask it, and how they answer."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from helixflow.api.usage import CostPage, RequestPage, UsagePage
from helixflow.errors import Refusal, Unavailable
from helixflow.gateway.http.permissions import ROUTE_PERMISSIONS
from helixflow.identity.permissions import Permission
from helixflow.inference.desk import DeskAnswer
from helixflow.testing.desk import FakeDesk
from helixflow.testing.http import HttpAnswer, ask
from helixflow.testing.pipeline import KEY, FakePipeline

USAGE, COSTS = "/v1/organization/usage/completions", "/v1/organization/costs"
REQUESTS = "/v1/organization/usage/requests"


@pytest.fixture(autouse=True)
def reader(pipeline: FakePipeline) -> None:
    pipeline.permissions = frozenset({Permission.USAGE_READ, Permission.METRICS_READ})


async def get(face: Any, path: str, query: str = "") -> HttpAnswer:
    headers = [(b"authorization", b"Bearer " + KEY.encode())]
    return await ask(face, "GET", path, headers=headers, query_string=query.encode())


def asked(desk: FakeDesk) -> tuple[str, dict[str, Any]]:
    """The only call, without what was not given."""
    (call,) = desk.calls
    given = json.loads(call.arguments)
    return call.operation, {name: value for name, value in given.items() if value not in (None, [])}


async def test_a_question_travels_to_the_records_desk_and_its_answer_back(
    face: Any, desk: FakeDesk, records: FakeDesk
) -> None:
    records.answer = DeskAnswer(b'{"object":"page"}')
    answer = await get(
        face, USAGE,
        "start_time=5&end_time=9&bucket_width=1h&group_by=model&group_by=batch&batch=true"
        "&models=a&models=b&project_ids=p&limit=3&page=page_5",
    )  # fmt: skip
    assert (answer.status, answer.json) == (200, {"object": "page"})
    assert answer.header("cache-control") == "no-store"
    assert asked(records) == (
        "usage.completions",
        {
            "start_time": 5,
            "end_time": 9,
            "bucket_width": "1h",
            "group_by": ["model", "batch"],
            "batch": True,
            "models": ["a", "b"],
            "project_ids": ["p"],
            "limit": 3,
            "page": "page_5",
        },
    )
    assert desk.calls == []
    assert records.calls[0].request_id == answer.header("x-request-id")


async def test_lists_come_with_brackets_too_as_openais_client_writes_them(
    face: Any, records: FakeDesk
) -> None:
    query = "start_time=5&group_by[]=line_item&group_by[]=project_id&user_ids[]=u&api_key_ids[]=k"
    await get(face, COSTS, query)
    assert asked(records) == (
        "usage.costs",
        {
            "start_time": 5,
            "bucket_width": "1d",
            "group_by": ["line_item", "project_id"],
            "user_ids": ["u"],
            "api_key_ids": ["k"],
        },
    )


@pytest.mark.parametrize(
    ("path", "query", "param"),
    [
        (USAGE, "", "start_time"),
        (USAGE, "start_time=-1", "start_time"),
        (USAGE, "start_time=1&bucket_width=1w", "bucket_width"),
        (USAGE, "start_time=1&group_by=weather", "group_by.0"),
        (USAGE, "start_time=1&limit=0", "limit"),
        (USAGE, "start_time=1&format=xml", "format"),
        (USAGE, "start_time=1&models=" + "x" * 257, "models.0"),
        (USAGE, "start_time=1" + "&models=x" * 101, "models"),
        (COSTS, "start_time=1&bucket_width=1h", "bucket_width"),
        (COSTS, "start_time=1&group_by=model", "group_by.0"),
        (REQUESTS, "start_time=1&limit=1001", "limit"),
    ],
)
async def test_a_question_that_makes_no_sense_names_what_is_wrong(
    face: Any, records: FakeDesk, path: str, query: str, param: str
) -> None:
    answer = await get(face, path, query)
    assert (answer.status, answer.code) == (400, "invalid_value")
    assert answer.json["error"]["param"] == param
    assert records.calls == []


BUCKET = {"object": "bucket", "start_time": 1_730_419_200, "end_time": 1_730_505_600}
USED = {
    "object": "organization.usage.completions.result",
    "input_tokens": 10,
    "input_cached_tokens": 4,
    "input_uncached_tokens": 6,
    "output_tokens": 20,
    "num_model_requests": 2,
    "model": "=m,1",
    "batch": False,
    "project_id": "proj_1",
}
COST = {
    "object": "organization.costs.result",
    "amount": {"value": 1.5e-08, "currency": "usd"},
    "line_item": "m, input_tokens",
    "quantity": 7,
    "quantity_unit": "tokens",
}
REQUEST = {
    "object": "organization.usage.request",
    "id": "req_1",
    "created_at": 1_730_419_200.25,
    "project_id": "proj_1",
    "user_id": None,
    "api_key_id": "key_1",
    "model": "m",
    "region": None,
    "operation": "completions",
    "service_tier": "standard",
    "stream": True,
    "outcome": "ok",
    "estimated_tokens": 9,
    "input_tokens": 1,
    "input_cached_tokens": 0,
    "output_tokens": 2,
    "amount": {"value": 12.0, "currency": "usd"},
    "duration_s": 1.25,
    "first_token_s": None,
}


def page(*data: Any, next_page: str | None = None) -> dict[str, Any]:
    more = next_page is not None
    return {"object": "page", "data": data, "has_more": more, "next_page": next_page}


@pytest.mark.parametrize(
    ("path", "body", "row"),
    [
        (
            USAGE,
            page({**BUCKET, "results": [USED]}, {**BUCKET, "results": []}),
            {
                "start_time": "2024-11-01T00:00:00Z",
                "end_time": "2024-11-02T00:00:00Z",
                "model": "'=m,1",
                "batch": "false",
                "num_model_requests": "2",
                "output_tokens": "20",
                "user_id": "",
            },
        ),
        (
            COSTS,
            page({**BUCKET, "results": [COST]}),
            {"line_item": "m, input_tokens", "amount": "0.000000015", "currency": "usd"},
        ),
        (
            REQUESTS,
            page(REQUEST),
            {
                "id": "req_1",
                "created_at": "2024-11-01T00:00:00.250000Z",
                "stream": "true",
                "amount": "12.000000000",
                "first_token_s": "",
            },
        ),
    ],
)
async def test_every_answer_comes_as_csv_too(
    face: Any, records: FakeDesk, path: str, body: dict[str, Any], row: dict[str, str]
) -> None:
    records.answer = DeskAnswer(json.dumps(body).encode())
    answer = await get(face, path, "start_time=1&format=csv")
    assert answer.header("content-type") == "text/csv; charset=utf-8"
    assert "attachment" in answer.header("content-disposition")
    assert answer.all("x-next-page") == []
    (found,) = csv.DictReader(io.StringIO(answer.body.decode(), newline=""))
    assert {name: found[name] for name in row} == row


async def test_csv_says_where_the_next_part_begins(face: Any, records: FakeDesk) -> None:
    records.answer = DeskAnswer(json.dumps(page(next_page="page_9")).encode())
    answer = await get(face, COSTS, "start_time=1&format=csv")
    assert answer.header("x-next-page") == "page_9"
    assert answer.body.count(b"\r\n") == 1


async def test_metrics_come_as_prometheus_reads_them(face: Any, records: FakeDesk) -> None:
    records.answer = DeskAnswer(b"# HELP a b\n")
    answer = await get(face, "/metrics")
    assert answer.body == b"# HELP a b\n"
    assert answer.header("content-type") == "text/plain; version=0.0.4; charset=utf-8"
    assert asked(records) == ("metrics.read", {})


@pytest.mark.parametrize("path", [USAGE, COSTS, REQUESTS, "/metrics"])
async def test_nobody_reads_without_the_permission_or_while_telemetry_is_away(
    face: Any, pipeline: FakePipeline, records: FakeDesk, path: str
) -> None:
    records.refuse = Unavailable(Refusal.TELEMETRY_UNAVAILABLE, "away", retry_after_s=1.0)
    away = await get(face, path, "start_time=1")
    assert (away.status, away.code) == (503, "telemetry_unavailable")
    assert away.header("retry-after") == "1"
    pipeline.permissions = frozenset(Permission) - {ROUTE_PERMISSIONS["GET", path]}
    assert (await get(face, path, "start_time=1")).status == 403


def test_the_described_pages_are_those_that_are_answered() -> None:
    UsagePage.model_validate(page({**BUCKET, "results": [USED]}))
    CostPage.model_validate(page({**BUCKET, "results": [COST]}))
    RequestPage.model_validate(page(REQUEST))
