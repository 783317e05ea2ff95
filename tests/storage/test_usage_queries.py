"""Questions about usage in a real database of each kind, beside the same sums made in Python."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from helixflow.ids import OrganizationId, ProjectId
from helixflow.inference.facts import Admitted
from helixflow.inference.usage import Usage
from helixflow.storage.database import Database
from helixflow.storage.usage import SqlUsage
from helixflow.storage.usage_queries import SqlUsageQueries
from helixflow.telemetry.desk import Scope
from helixflow.telemetry.rollups import DAY_S, HOUR_S, MINUTE_S, Sums, changes, start_of
from helixflow.telemetry.usage import UsageRow, merge, row_of
from helixflow.telemetry.usage_query import Cursor, Field, Only, RequestQuery, UsageQuery
from helixflow.testing.events import PRICE, SomeRequest

ORGANIZATION, PROJECT = OrganizationId("org_a"), ProjectId("proj_1")
ALL = Scope(ORGANIZATION, None)
ROWS = 150
END = 2 * DAY_S
OF: dict[Field, Callable[[Admitted], str]] = {
    Field.API_KEY_ID: lambda said: said.key,
    Field.BATCH: lambda said: str(said.service_class == "batch").lower(),
    Field.MODEL: lambda said: said.model,
    Field.PROJECT_ID: lambda said: said.project,
    Field.REGION: lambda said: said.region,
    Field.SERVICE_TIER: lambda said: said.service_class,
    Field.USER_ID: lambda said: said.subject,
}


def some_rows() -> list[UsageRow]:
    """Requests over two days, with few values each, so that they meet."""
    dice, rows = random.Random(11), []
    for _ in range(ROWS):
        admitted = Admitted(
            dice.choice(["org_a", "org_b"]),
            dice.choice(["proj_1", "proj_2"]),
            dice.choice(["key_1", "key_2", "key_3"]),
            dice.choice(["", "user_1"]),
            dice.choice(["m", "n"]),
            dice.choice(["", "eu"]),
            dice.choice(["chat.completions", "completions"]),
            dice.choice(["standard", "batch"]),
            price=PRICE,
        )
        usage = Usage(dice.randrange(1000), dice.randrange(1000))
        at = dice.choice(
            [float(dice.randrange(END)), dice.uniform(0, END), 60.0 * dice.randrange(9)]
        )
        request = SomeRequest(at, admitted=admitted, usage=usage)
        first, *others = [row for event in request.events if (row := row_of(event))]
        for row in others:
            first = merge(first, row)
        rows.append(first)
    return rows


HELD = some_rows()


@pytest.fixture
async def queries(telemetry: Database) -> SqlUsageQueries:
    await SqlUsage(telemetry).take("a", len(HELD), HELD, 1.0)
    return SqlUsageQueries(telemetry)


def fits(said: Admitted, query: UsageQuery) -> bool:
    batch = said.service_class == "batch"
    return (
        said.organization == query.scope.organization
        and query.scope.project in (None, said.project)
        and (not query.operations or said.operation in query.operations)
        and query.batch in (None, batch)
        and all(OF[field](said) in values for field, values in query.only)
    )


def expected(query: UsageQuery) -> dict[tuple[int, ...] | Any, Sums]:
    """By bucket and values: the sums of the rows that fit, one by one."""
    found: dict[Any, Sums] = {}
    for row in HELD:
        assert row.admitted is not None
        said, at = row.admitted.what, row.admitted.at
        if query.start <= at < query.end and fits(said, query):
            place = (
                start_of(at, query.width_s),
                *(OF[field](said) for field in query.group_by),
            )
            one = next(iter(changes([(None, row)]).values()))
            found[place] = found.get(place, Sums()).plus(one)
    return found


QUESTIONS: list[tuple[Scope, tuple[Field, ...], Only, bool | None, tuple[str, ...]]] = [
    (ALL, (), (), None, ()),
    (ALL, tuple(Field), (), None, ()),
    (ALL, (Field.MODEL,), ((Field.PROJECT_ID, ("proj_1",)),), None, ("completions",)),
    (ALL, (Field.BATCH, Field.USER_ID), (), None, ()),
    (ALL, (Field.SERVICE_TIER,), ((Field.API_KEY_ID, ("key_1", "key_3")),), True, ()),
    (ALL, (Field.REGION,), ((Field.USER_ID, ("",)), (Field.MODEL, ("m",))), False, ()),
    (ALL, (Field.API_KEY_ID,), ((Field.MODEL, ()),), None, ()),
    (Scope(ORGANIZATION, PROJECT), (Field.PROJECT_ID,), (), None, ()),
    (Scope(ORGANIZATION, PROJECT), (), ((Field.PROJECT_ID, ("proj_2",)),), None, ()),
    (Scope(OrganizationId("org_c"), None), (), (), None, ()),
]


@pytest.mark.parametrize("width_s", [MINUTE_S, HOUR_S, DAY_S])
async def test_sums_are_those_of_the_rows_that_fit(queries: SqlUsageQueries, width_s: int) -> None:
    for scope, fields, only, batch, operations in QUESTIONS:
        for start, end in ((0, END), (DAY_S, END), (0, HOUR_S * 24)):
            query = UsageQuery(scope, start, end, width_s, fields, only, batch, operations)
            groups = await queries.groups(query, 10_000)
            assert {
                (group.start, *(group.values[field] for field in fields)): group.sums
                for group in groups
            } == expected(query)
            assert [group.start for group in groups] == sorted(group.start for group in groups)


async def test_an_answer_is_cut_at_its_limit(queries: SqlUsageQueries) -> None:
    query = UsageQuery(ALL, 0, END, HOUR_S, (Field.MODEL,))
    whole = await queries.groups(query, 10_000)
    assert await queries.groups(query, 5) == whole[:5]


async def test_rows_come_in_the_order_of_admission_each_once(queries: SqlUsageQueries) -> None:
    only = ((Field.MODEL, ("m",)),)
    seen: list[UsageRow] = []
    after = None
    while rows := await queries.requests(RequestQuery(ALL, 100.0, float(DAY_S), only, after), 7):
        seen += rows
        assert rows[-1].admitted is not None
        after = Cursor(rows[-1].admitted.at, rows[-1].id)
    wanted = [
        row
        for row in HELD
        if row.admitted is not None
        and 100.0 <= row.admitted.at < DAY_S
        and (row.admitted.what.organization, row.admitted.what.model) == (ORGANIZATION, "m")
    ]
    assert seen == sorted(wanted, key=lambda row: (row.admitted and row.admitted.at, row.id))
