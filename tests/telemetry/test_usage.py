from __future__ import annotations

from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.inference.facts import Admitted, Ended, Generated
from helixflow.inference.price import Cost
from helixflow.inference.usage import Usage
from helixflow.signals import Event, EventKind
from helixflow.telemetry.usage import UsageRow, give_up, merge, row_of
from helixflow.testing.events import SomeRequest

from .strategies import events


def row(event: Event) -> UsageRow:
    made = row_of(event)
    assert made is not None
    return made


def merged(*some: Event) -> UsageRow:
    return reduce(merge, map(row, some))


ROWS = events(("req_1",)).map(row) | events(("req_1",)).map(lambda event: give_up(row(event)))


@given(ROWS, ROWS, ROWS)
def test_merging_does_not_depend_on_order_or_repetition(
    one: UsageRow, two: UsageRow, three: UsageRow
) -> None:
    assert merge(one, two) == merge(two, one)
    assert merge(merge(one, two), three) == merge(one, merge(two, three))
    assert merge(one, one) == one
    assert merge(merge(one, two), one) == merge(one, two)


@given(st.permutations(SomeRequest(id="req_1").events))
def test_a_request_is_whole_in_any_order(some: list[Event]) -> None:
    whole = merged(*some)
    request = SomeRequest(id="req_1")
    assert whole.outcome == "ok"
    assert whole.usage == request.usage
    assert whole.first_at == request.at
    assert whole.cost == request.admitted.price.cost(request.usage)
    assert whole.admitted is not None
    assert whole.admitted.what == request.admitted


def test_a_request_that_nobody_ended_runs_until_it_is_lost() -> None:
    request = SomeRequest()
    admitted = row(request.admission)
    assert (admitted.outcome, admitted.usage, admitted.cost) == ("running", Usage(), Cost())
    lost = give_up(merged(request.admission, request.generation))
    assert (lost.outcome, lost.usage) == ("lost", request.usage)
    assert merge(lost, row(request.end)).outcome == "ok"


def ended(outcome: str, usage: Usage | None, at: float = 5.0) -> Event:
    return Event(EventKind.REQUEST_ENDED, at, "req_1", Ended(outcome, usage).facts())


def generated(outcome: str, usage: Usage) -> Event:
    return Event(EventKind.REQUEST_GENERATED, 4.0, "req_1", Generated("m", outcome, usage).facts())


MANY, FEW = Usage(10, 40, 2), Usage(10, 3)


@pytest.mark.parametrize(
    ("some", "counted"),
    [
        ([ended("ok", FEW)], FEW),
        ([ended("ok", None)], Usage()),
        ([generated("ok", MANY)], MANY),
        ([ended("ok", FEW), generated("ok", MANY)], MANY),  # the Model counts
        ([ended("canceled", None), generated("canceled", MANY)], MANY),
        ([ended("ok", MANY), generated("engine_died", FEW)], MANY),  # answered by another replica
        ([ended("ok", None), generated("engine_died", FEW)], FEW),
        ([generated("engine_died", MANY), generated("ok", FEW)], FEW),
        ([generated("canceled", FEW), generated("engine_died", MANY)], MANY),
        ([ended("ok", FEW, 5.0), ended("ok", MANY, 6.0)], MANY),
    ],
)
def test_whose_count_counts(some: list[Event], counted: Usage) -> None:
    assert merged(*some).usage == counted


def test_a_fallback_moves_a_request_to_the_model_that_answered() -> None:
    first, second = (
        Event(
            EventKind.REQUEST_ADMITTED,
            at,
            "req_1",
            Admitted("org_1", "proj_1", "key_1", model=model).facts(),
        )
        for at, model in ((1.0, "big"), (2.0, "small"))
    )
    said = merged(second, first).admitted
    assert said is not None
    assert said.what.model == "small"


def test_what_a_database_could_not_keep_is_cut() -> None:
    facts = Admitted("o" * 500, "a\0b", "k").facts()
    said = row(Event(EventKind.REQUEST_ADMITTED, 1.0, "req_1", facts)).admitted
    assert said is not None
    assert (len(said.what.organization), said.what.project) == (128, "ab")
    assert row(generated("ok", Usage(3, -1, 7))).usage == Usage(3, 0, 3)


def test_other_events_are_about_no_request() -> None:
    assert row_of(Event(EventKind.ADMINISTRATION, 1.0, "event_1", {})) is None


@pytest.mark.parametrize("facts", [{}, {"organization": 3}])
def test_an_admission_without_a_tenant_is_none(facts: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="organization"):
        row_of(Event(EventKind.REQUEST_ADMITTED, 1.0, "req_1", facts))
