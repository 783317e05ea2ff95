"""The records desk's answers about usage, from a real database of each kind of question."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from helixflow.errors import Forbidden, InvalidRequest, Refusal, Unavailable
from helixflow.ids import OrganizationId, ProjectId
from helixflow.inference.desk import DeskCall
from helixflow.inference.facts import Admitted
from helixflow.inference.principal import Principal
from helixflow.inference.usage import Usage
from helixflow.settings import HubSettings, TelemetryStorageSettings, UsageSettings
from helixflow.storage.database import Database
from helixflow.storage.schema import TELEMETRY
from helixflow.storage.telemetry import TelemetryStores, prepare_telemetry
from helixflow.telemetry.desk import Desk
from helixflow.telemetry.rollups import DAY_S, HOUR_S
from helixflow.telemetry.usage_desk import UsageDesk
from helixflow.telemetry.usage_sink import UsageSink
from helixflow.testing.clock import ManualClock
from helixflow.testing.events import PRICE, SomeRequest
from helixflow.testing.identity import some_principal

Json = dict[str, Any]
DAY = 20_000 * DAY_S
NOW = float(DAY + DAY_S - 1)
READS = frozenset({"usage:read"})
MINE, OTHERS = OrganizationId("org_mine"), OrganizationId("org_others")
ADMIN = some_principal(MINE, ProjectId(""), READS)
ADMIN = replace(ADMIN, project=ProjectId(""))
MEMBER = some_principal(MINE, ProjectId("proj_1"), READS)


def asked_by(organization: str = MINE, project: str = "proj_1", **more: Any) -> Admitted:
    said = {"key": "key_1", "model": "m", "price": PRICE, **more}
    return Admitted(organization, project, **said)


class Books:
    """A desk over a database with a few requests in it."""

    def __init__(self, stores: TelemetryStores, settings: UsageSettings) -> None:
        clock = ManualClock(NOW)
        self._sink = UsageSink(stores.usage, settings, clock)
        operations = UsageDesk(stores.usage_queries, settings, clock).operations()
        self._desk = Desk(operations, HubSettings())

    async def add(self, *requests: SomeRequest) -> None:
        for request in requests:
            await self._sink.write(request.id, 3, request.events)

    async def ask(self, operation: str, who: Principal = ADMIN, **arguments: Any) -> Json:
        call = DeskCall(f"usage.{operation}", who, msgspec.json.encode(arguments))
        answer: Json = msgspec.json.decode((await self._desk.answer(call)).body)
        assert answer["object"] == "page"
        return answer

    async def results(self, operation: str, who: Principal = ADMIN, **arguments: Any) -> list[Json]:
        """The results of all buckets of the first page."""
        page = await self.ask(operation, who, **{"start_time": DAY, **arguments})
        return [result for bucket in page["data"] for result in bucket["results"]]

    async def sums(
        self, *fields: str, who: Principal = ADMIN, **arguments: Any
    ) -> set[tuple[Any, ...]]:
        """What results are grouped by, and their requests."""
        found = await self.results("completions", who, group_by=fields, **arguments)
        return {(*(one[field] for field in fields), one["num_model_requests"]) for one in found}


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("books")

    async def migrate() -> None:
        stores = await prepare_telemetry(TelemetryStorageSettings(), home)
        await stores.database.close()

    asyncio.run(migrate())
    return home / "telemetry.db"


@pytest.fixture
async def stores(migrated: Path, tmp_path: Path) -> AsyncIterator[TelemetryStores]:
    shutil.copyfile(migrated, tmp_path / "telemetry.db")
    opened = TelemetryStores(Database.open(TelemetryStorageSettings(), tmp_path, TELEMETRY))
    yield opened
    await opened.database.close()


@pytest.fixture
async def books(stores: TelemetryStores) -> Books:
    made = Books(stores, UsageSettings())
    await made.add(
        SomeRequest(DAY + 1.0, admitted=asked_by(subject="user_1")),
        SomeRequest(DAY + 61.0, admitted=asked_by(key="key_2", model="n", service_class="batch")),
        SomeRequest(DAY + HOUR_S + 1.0, admitted=asked_by(project="proj_2", region="eu")),
        SomeRequest(DAY + 2.0, admitted=asked_by(OTHERS)),
        SomeRequest(DAY - 1.0, admitted=asked_by()),
    )
    return made


async def test_a_page_has_openais_shape(books: Books) -> None:
    page = await books.ask("completions", start_time=DAY)
    assert page == {
        "object": "page",
        "data": [
            {
                "object": "bucket",
                "start_time": DAY,
                "end_time": DAY + DAY_S,
                "results": [
                    {
                        "object": "organization.usage.completions.result",
                        "input_tokens": 30,
                        "input_cached_tokens": 12,
                        "input_uncached_tokens": 18,
                        "output_tokens": 60,
                        "input_audio_tokens": 0,
                        "output_audio_tokens": 0,
                        "num_model_requests": 3,
                        "project_id": None,
                        "user_id": None,
                        "api_key_id": None,
                        "model": None,
                        "batch": None,
                        "service_tier": None,
                        "region": None,
                    }
                ],
            }
        ],
        "has_more": False,
        "next_page": None,
    }


async def test_buckets_cover_the_time_without_gaps(books: Books) -> None:
    page = await books.ask("completions", start_time=DAY + 5, bucket_width="1h", limit=3)
    assert [(one["start_time"] - DAY, len(one["results"])) for one in page["data"]] == [
        (0, 1),
        (HOUR_S, 1),
        (2 * HOUR_S, 0),
    ]
    assert page["has_more"]
    rest = await books.ask(
        "completions", start_time=DAY + 5, bucket_width="1h", page=page["next_page"], limit=168
    )
    assert [one["start_time"] for one in rest["data"]] == [
        DAY + hour * HOUR_S for hour in range(3, 24)
    ]
    assert (rest["has_more"], rest["next_page"]) == (False, None)


async def test_minutes_are_counted_from_the_rows(books: Books) -> None:
    page = await books.ask(
        "completions", start_time=DAY, end_time=DAY + 120, bucket_width="1m", group_by=["model"]
    )
    assert [
        (
            one["start_time"] - DAY,
            [(each["model"], each["output_tokens"]) for each in one["results"]],
        )
        for one in page["data"]
    ] == [(0, [("m", 20)]), (60, [("n", 20)])]


@pytest.mark.parametrize("width", ["1m", "1h", "1d"])
async def test_results_are_told_apart_by_what_is_asked(books: Books, width: str) -> None:
    def asked(*fields: str) -> Any:
        return books.sums(*fields, bucket_width=width, end_time=DAY + 2 * HOUR_S, **more)

    more: Json = {"limit": 121 if width == "1m" else 3}
    assert await asked("project_id", "model") == {
        ("proj_1", "m", 1),
        ("proj_1", "n", 1),
        ("proj_2", "m", 1),
    }
    assert await asked("user_id", "batch") == {
        ("user_1", False, 1),
        (None, True, 1),
        (None, False, 1),
    }
    assert (None, "standard", 1) in await asked("region", "service_tier")
    assert await asked("api_key_id", "api_key_id") >= {("key_2", "key_2", 1)}
    more["batch"] = True
    assert await asked("model") == {("n", 1)}
    more["batch"] = False
    assert {model for model, _ in await asked("model")} == {"m"}
    del more["batch"]
    for name, values, found in (
        ("project_ids", ["proj_2", "proj_9"], {("proj_2", 1)}),
        ("models", ["n"], {("proj_1", 1)}),
        ("user_ids", ["user_1"], {("proj_1", 1)}),
        ("api_key_ids", ["key_2", "a\0"], {("proj_1", 1)}),
        ("models", ["\0"], set()),
    ):
        assert (
            await books.sums(
                "project_id",
                bucket_width=width,
                end_time=DAY + 2 * HOUR_S,
                **more,
                **{name: values},
            )
            == found
        )


async def test_nobody_sees_more_than_its_own(books: Books) -> None:
    assert await books.sums("project_id", who=MEMBER) == {("proj_1", 2)}
    assert await books.sums("project_id", who=MEMBER, project_ids=["proj_2"]) == set()
    stranger = replace(MEMBER, organization=OrganizationId("org_3"))
    assert await books.sums(who=stranger, project_ids=["proj_1"]) == set()
    others = replace(ADMIN, organization=OTHERS)
    assert await books.sums("project_id", who=others) == {("proj_1", 1)}
    for operation in ("costs", "requests"):
        page = await books.ask(
            operation, MEMBER, start_time=0, end_time=DAY + DAY_S, project_ids=["proj_2"]
        )
        assert all(not one.get("results") for one in page["data"])
    with pytest.raises(Forbidden):
        await books.ask("completions", some_principal(), start_time=DAY)


async def test_costs_are_exact_and_add_up_by_line(books: Books) -> None:
    (whole,) = await books.results("costs")
    assert whole["amount"] == {"value": 3 * (600 + 80 + 6000) / 1e9, "currency": "usd"}
    assert whole["line_item"] is None
    lines = await books.results("costs", group_by=["line_item"])
    assert {one["line_item"]: (one["quantity"], one["amount"]["value"]) for one in lines} == {
        "m, input_tokens": (12, 1200e-9),
        "m, cached_input_tokens": (8, 160e-9),
        "m, output_tokens": (40, 12_000e-9),
        "n, input_tokens": (6, 600e-9),
        "n, cached_input_tokens": (4, 80e-9),
        "n, output_tokens": (20, 6000e-9),
    }
    by_key = await books.results("costs", group_by=["api_key_id", "project_id", "user_id"])
    assert {(one["api_key_id"], one["project_id"], one["user_id"]) for one in by_key} == {
        ("key_1", "proj_1", "user_1"),
        ("key_1", "proj_2", None),
        ("key_2", "proj_1", None),
    }


async def test_single_requests_come_in_the_order_of_their_admission_page_by_page(
    books: Books,
) -> None:
    first = await books.ask("requests", start_time=DAY, limit=2)
    assert [one["created_at"] for one in first["data"]] == [DAY + 1.0, DAY + 61.0]
    last = await books.ask("requests", start_time=DAY, limit=2, page=first["next_page"])
    assert [one["project_id"] for one in last["data"]] == ["proj_2"]
    assert (first["has_more"], last["has_more"], last["next_page"]) == (True, False, None)
    assert last["data"][0] | {"id": ""} == {
        "object": "organization.usage.request",
        "id": "",
        "created_at": DAY + HOUR_S + 1.0,
        "project_id": "proj_2",
        "user_id": None,
        "api_key_id": "key_1",
        "model": "m",
        "region": "eu",
        "operation": "chat.completions",
        "service_tier": "standard",
        "stream": False,
        "outcome": "ok",
        "estimated_tokens": 0,
        "input_tokens": 10,
        "input_cached_tokens": 4,
        "output_tokens": 20,
        "amount": {"value": 6680e-9, "currency": "usd"},
        "duration_s": 2.0,
        "first_token_s": 0.5,
    }


async def test_requests_of_one_moment_are_told_apart(stores: TelemetryStores) -> None:
    books = Books(stores, UsageSettings())
    await books.add(*(SomeRequest(float(DAY), admitted=asked_by()) for _ in range(7)))
    seen, page = [], None
    while True:
        part = await books.ask("requests", start_time=DAY, limit=3, page=page)
        seen += [one["id"] for one in part["data"]]
        page = part["next_page"]
        if page is None:
            break
    assert len(seen) == len(set(seen)) == 7


async def test_what_runs_counts_without_tokens_and_has_no_times(stores: TelemetryStores) -> None:
    books = Books(stores, UsageSettings())
    running = SomeRequest(float(DAY), admitted=asked_by())
    await books._sink.write("a", 1, [running.admission])
    (one,) = (await books.ask("requests", start_time=DAY))["data"]
    assert (one["outcome"], one["output_tokens"], one["duration_s"]) == ("running", 0, None)
    assert await books.sums() == {(1,)}


async def test_a_page_with_too_many_results_has_fewer_buckets(stores: TelemetryStores) -> None:
    books = Books(stores, UsageSettings(results_max=4))
    for hour in range(3):
        await books.add(
            *(
                SomeRequest(DAY + hour * HOUR_S, admitted=asked_by(key=f"key_{number}"))
                for number in range(2)
            )
        )
    asked: Json = {"start_time": DAY, "bucket_width": "1h", "group_by": ["api_key_id"]}
    page = await books.ask("completions", **asked)
    assert [len(one["results"]) for one in page["data"]] == [2, 2]
    rest = await books.ask("completions", **asked, page=page["next_page"], limit=1)
    assert [len(one["results"]) for one in rest["data"]] == [2]
    await books.add(
        *(SomeRequest(float(DAY), admitted=asked_by(key=f"more_{number}")) for number in range(4))
    )
    with pytest.raises(InvalidRequest, match="too many"):
        await books.ask("completions", **asked)


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"limit": 32}, "limit"),
        ({"limit": 0}, "limit"),
        ({"page": "page_7"}, "page"),
        ({"page": f"page_{DAY - DAY_S}"}, "page"),
        ({"page": "next"}, "page"),
        ({"page": "page_" + "9" * 400}, "page"),
        ({"end_time": DAY}, "end_time"),
        ({"bucket_width": "2d"}, None),
        ({"group_by": ["weather"]}, None),
        ({"start_time": -1}, None),
        ({"models": ["m"] * 101}, None),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(
    books: Books, wrong: Json, param: str | None
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await books.ask("completions", **{"start_time": DAY, **wrong})
    assert (refused.value.reason, refused.value.param) == (Refusal.INVALID_VALUE, param)


@pytest.mark.parametrize("page", ["page_!", "page_" + "AAAA", "page_WzEsIlx1MDAwMCJd", "x"])
async def test_a_place_among_requests_that_nobody_told_is_refused(books: Books, page: str) -> None:
    with pytest.raises(InvalidRequest, match="no page"):
        await books.ask("requests", start_time=DAY, page=page)
    with pytest.raises(InvalidRequest, match="limit"):
        await books.ask("requests", start_time=DAY, limit=1001)


async def test_a_time_that_has_not_come_has_no_buckets(books: Books) -> None:
    page = await books.ask("completions", start_time=DAY + 9 * DAY_S)
    assert (page["data"], page["has_more"]) == ([], False)


async def test_without_its_database_the_desk_says_so(tmp_path: Path) -> None:
    settings = TelemetryStorageSettings(call_s=0.2)
    stores = await prepare_telemetry(settings, tmp_path)
    books = Books(stores, UsageSettings())
    await stores.database.close()
    for file in tmp_path.glob("telemetry.db*"):
        file.unlink()
    (tmp_path / "telemetry.db").mkdir()
    with pytest.raises(Unavailable) as away:
        await books.ask("completions", start_time=DAY)
    assert away.value.reason is Refusal.TELEMETRY_UNAVAILABLE


async def test_tokens_stay_exact_far_beyond_a_float(stores: TelemetryStores) -> None:
    books = Books(stores, UsageSettings())
    many = 2**53 + 1
    await books.add(SomeRequest(float(DAY), admitted=asked_by(price=PRICE), usage=Usage(many)))
    (result,) = await books.results("completions")
    assert result["input_tokens"] == many
