from __future__ import annotations

import pytest

from helixflow.errors import Refusal, Unavailable
from helixflow.inference.price import Cost
from helixflow.settings import UsageSettings
from helixflow.telemetry.past_use import SETTLED_S, PastUse, Question
from helixflow.telemetry.rollups import DAY_S, HOUR_S, MINUTE_S, Sums
from helixflow.telemetry.usage import UsageRow
from helixflow.telemetry.usage_query import Field, Group, RequestQuery, UsageQuery
from helixflow.testing.clock import ManualClock

NOW = 40 * DAY_S + 30.0
SUMS = Sums(3, 100, 10, 20, Cost(5, 1, 7))


class Reader:
    """`UsageReader` that has one result in the bucket of `at`, and keeps what it was asked."""

    def __init__(self, at: float = NOW) -> None:
        self.at = at
        self.asked: list[UsageQuery] = []
        self.away = False

    async def groups(self, query: UsageQuery, limit: int) -> list[Group]:
        if self.away:
            raise Unavailable(Refusal.TELEMETRY_UNAVAILABLE, "away")
        self.asked.append(query)
        assert len(query.starts) <= limit
        return [
            Group(start, {}, SUMS)
            for start in query.starts
            if start <= self.at < start + query.width_s
        ]

    async def requests(self, query: RequestQuery, limit: int) -> list[UsageRow]:
        raise AssertionError("nobody asks for rows")


def past(reader: Reader, clock: ManualClock, **settings: int) -> PastUse:
    made = PastUse(reader, UsageSettings(**settings), clock)
    clock.advance(SETTLED_S)
    return made


def question(unit: str = "requests", within_s: float = HOUR_S, **scope: str) -> Question:
    return Question("org_1", unit, tuple(scope.items()), within_s)


@pytest.mark.parametrize(("unit", "amount"), [("requests", 3), ("tokens", 120), ("spend", 13)])
async def test_each_unit_is_told_of_the_scope_that_is_asked_for(unit: str, amount: int) -> None:
    clock = ManualClock(NOW - SETTLED_S)
    reader = Reader()
    told = question(unit, key="key_1", model="m", project="p", user="u")
    assert Question.from_wire(told.to_wire()) == told
    assert await past(reader, clock).amounts(told) == ((0.0, amount),)
    (asked,) = reader.asked
    assert (asked.scope.organization, asked.scope.project) == ("org_1", None)
    assert dict(asked.only) == {
        Field.API_KEY_ID: ("key_1",), Field.MODEL: ("m",), Field.PROJECT_ID: ("p",),
        Field.USER_ID: ("u",),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("within_s", "width_s"),
    [
        (HOUR_S, MINUTE_S), (DAY_S, HOUR_S), (30 * DAY_S, HOUR_S),
        (30.5 * DAY_S, HOUR_S), (90 * DAY_S, DAY_S),
    ],
)  # fmt: skip
async def test_all_of_a_window_is_asked_for_and_no_use_seems_older_than_it_is(
    within_s: float, width_s: int
) -> None:
    clock = ManualClock(NOW - SETTLED_S)
    for age_s in (0.0, 1.0, within_s / 2, within_s):
        reader = Reader(NOW - age_s)
        told = await past(reader, ManualClock(NOW - SETTLED_S)).amounts(
            question("requests", within_s)
        )
        assert reader.asked[0].width_s == width_s
        assert told is not None
        ((told_s, amount),) = told
        assert amount == 3
        assert age_s - width_s <= told_s <= age_s
    assert clock.now() == NOW - SETTLED_S


async def test_nobody_can_tell_while_journals_of_before_are_on_their_way() -> None:
    clock = ManualClock(NOW)
    told = PastUse(Reader(), UsageSettings(), clock)
    assert await told.amounts(question()) is None
    clock.advance(SETTLED_S)
    assert await told.amounts(question()) == ((SETTLED_S - 30.0, 3),)


async def test_nobody_can_tell_what_is_not_kept_so_long_or_not_known_or_away() -> None:
    reader, clock = Reader(), ManualClock(NOW)
    assert await past(reader, clock, hours_days=30).amounts(question("spend", 30 * DAY_S)) is None
    assert await past(reader, clock, rows_days=1).amounts(question()) is not None
    for unknown in (question("slots"), question(planet="mars"), question(within_s=61.0)):
        assert await past(reader, clock).amounts(unknown) is None
    reader.away = True
    assert await past(reader, clock).amounts(question()) is None
