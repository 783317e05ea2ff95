from __future__ import annotations

import pytest

from helixflow.inference.quota import LimitName
from helixflow.limits.window import SLOTS, WINDOW_S, Window


def test_every_limit_but_concurrency_has_a_window() -> None:
    names = {name.value for name in LimitName} - {"concurrent_requests"}
    assert set(WINDOW_S) == names
    assert WINDOW_S["spend_per_month"] == 30 * 86_400


def test_a_use_counts_for_a_window_and_at_most_a_slot_more() -> None:
    window = Window(60.0)
    window.book(window.slot(10.9), 5, 10.9)
    assert window.total(10.9) == 5
    assert window.total(70.89) == 5
    assert window.total(71.0) == 0


def test_what_was_booked_can_be_taken_back_while_its_slot_counts() -> None:
    window = Window(60.0)
    window.book(3, 5, 3.0)
    window.book(3, -2, 30.0)
    assert window.total(30.0) == 3
    window.book(3, -9, 40.0)
    assert window.total(40.0) == 0
    window.book(40, 4, 40.0)
    window.book(3, 100, 64.5)  # its slot is gone
    assert window.total(64.5) == 4


def test_it_knows_when_how_much_is_free_again() -> None:
    window = Window(60.0)
    window.book(0, 3, 0.0)
    window.book(10, 4, 10.0)
    assert window.frees_s(0, 20.0) == 0.0
    assert window.frees_s(3, 20.0) == pytest.approx(SLOTS + 1 - 20.0)
    assert window.frees_s(4, 20.0) == pytest.approx(SLOTS + 11 - 20.0)
    assert window.frees_s(8, 20.0) is None
    assert window.empty_s(20.0) == pytest.approx(SLOTS + 11 - 20.0)
    assert window.empty_s(100.0) == 0.0


def test_it_never_holds_more_than_its_slots() -> None:
    window = Window(60.0)
    for second in range(1000):
        window.book(second, 1, float(second))
    assert len(window.dump()) == SLOTS + 1
    again = Window(60.0)
    again.load(window.dump())
    assert again.total(999.0) == window.total(999.0) == SLOTS + 1
