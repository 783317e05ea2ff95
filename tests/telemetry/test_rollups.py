from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from helixflow.signals import Event
from helixflow.telemetry.rollups import DAY_S, HOUR_S, Slot, Sums, changes, start_of
from helixflow.telemetry.usage import UsageRow, merge, row_of
from helixflow.testing.events import SomeRequest

from .strategies import events


def add(sums: dict[Slot, Sums], before: UsageRow | None, after: UsageRow) -> None:
    for slot, by in changes([(before, after)]).items():
        sums[slot] = sums.get(slot, Sums()).plus(by)


@given(st.lists(events(("req_1", "req_2", "req_3")), max_size=12))
def test_sums_that_follow_every_change_are_the_sums_of_the_rows(some: list[Event]) -> None:
    rows: dict[str, UsageRow] = {}
    sums: dict[Slot, Sums] = {}
    for event in some:
        row, held = row_of(event), rows.get(event.id)
        assert row is not None
        rows[event.id] = row if held is None else merge(held, row)
        add(sums, held, rows[event.id])
    afresh = changes([(None, row) for row in rows.values()])
    assert {slot: each for slot, each in sums.items() if each != Sums()} == afresh


def test_a_request_counts_in_the_hour_and_the_day_of_its_admission() -> None:
    row = row_of(SomeRequest(at=DAY_S + HOUR_S + 59.0).admission)
    assert row is not None
    found = {
        (slot.width_s, slot.start_at): by.requests for slot, by in changes([(None, row)]).items()
    }
    assert found == {(HOUR_S, DAY_S + HOUR_S): 1, (DAY_S, DAY_S): 1}


def test_what_is_not_admitted_does_not_count_yet() -> None:
    row = row_of(SomeRequest().generation)
    assert row is not None
    assert changes([(None, row)]) == {}


def test_a_row_that_stays_as_it_is_changes_nothing() -> None:
    row = row_of(SomeRequest().admission)
    assert row is not None
    assert changes([(row, row)]) == {}


def test_times_are_cut_to_their_bucket() -> None:
    assert [start_of(at, 60) for at in (0.0, 59.999, 60.0, 61.5)] == [0, 0, 60, 60]
