from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from helixflow.limits.window import SLOTS, Window

uses = st.lists(st.tuples(st.floats(0.0, 40.0), st.integers(0, 50)), min_size=1, max_size=30)


@given(uses, st.sampled_from([60.0, 3600.0]))
def test_every_window_of_real_time_is_counted_whole_and_little_more(
    steps: list[tuple[float, int]], window_s: float
) -> None:
    window, slot_s = Window(window_s), window_s / SLOTS
    log: list[tuple[float, int]] = []
    now = 1_000.0
    for pause, amount in steps:
        now += pause * window_s / 60
        window.book(window.slot(now), amount, now)
        log.append((now, amount))
        counted = window.total(now)
        assert counted >= sum(much for at, much in log if now - at < window_s)
        assert counted <= sum(much for at, much in log if now - at <= window_s + slot_s)


@given(uses, st.integers(1, 200))
def test_what_is_said_to_be_free_in_a_while_is_free_then(
    steps: list[tuple[float, int]], amount: int
) -> None:
    window, now = Window(60.0), 0.0
    for pause, much in steps:
        now += pause
        window.book(window.slot(now), much, now)
    before, wait_s = window.total(now), window.frees_s(amount, now)
    if wait_s is None:
        assert before < amount
        return
    assert before - window.total(now + wait_s) >= amount
    again = Window(60.0)
    again.load(window.dump())
    assert again.total(now + window.empty_s(now)) == 0
