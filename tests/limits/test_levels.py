from __future__ import annotations

from helixflow.ids import OrganizationId
from helixflow.limits.levels import Levels
from helixflow.limits.ports import Ask, CounterId

COUNTER = CounterId(OrganizationId("org_1"), "concurrent_requests", "organization")


def say(levels: Levels, holder: str, ask: Ask, now: float = 0.0, refused: bool = False) -> int:
    """What the holder counts for after it."""
    decision = None if refused else levels.decide(holder, ask, now)
    for move in levels.moves(holder, ask, decision, now):
        levels.apply(holder, move, now)
    return levels.of(holder)


def test_a_level_goes_down_only_by_its_holders_own_word() -> None:
    levels = Levels()
    assert say(levels, "a", Ask(COUNTER, 10, need=8, want=8, used=8)) == 8
    assert levels.decide("a", Ask(COUNTER, 5, want=8, used=3), 0.0) == (3, 0.0)
    assert say(levels, "a", Ask(COUNTER, 5, want=8, used=3)) == 8
    assert say(levels, "a", Ask(COUNTER, 5, want=3, used=3)) == 3


def test_what_runs_is_counted_also_where_the_group_is_refused() -> None:
    levels = Levels()
    assert say(levels, "a", Ask(COUNTER, 2, need=6, want=6, used=5), refused=True) == 5
    assert levels.left(2, 0.0) == -3


def test_nobody_gets_more_than_it_runs_while_the_past_is_not_known() -> None:
    levels = Levels()
    levels.unknown_until = 60.0
    assert levels.decide("a", Ask(COUNTER, 10, need=1, want=1), 10.0) is None
    assert levels.decide("a", Ask(COUNTER, 10, want=9, used=4), 10.0) == (4, 0.0)
    assert levels.retry_after_s(1, 10, 10.0) == 50.0
    assert levels.reset_s(10.0) == 50.0
    assert levels.left(10, 10.0) == 0
    assert not levels.empty(10.0)
    assert levels.empty(60.0)


def test_a_counter_is_what_its_snapshot_says() -> None:
    levels = Levels()
    say(levels, "a", Ask(COUNTER, 10, need=4, want=4, used=4))
    say(levels, "b", Ask(COUNTER, 10, need=1, want=1, used=1))
    again = Levels()
    again.load(levels.dump())
    assert (again.of("a"), again.of("b"), again.left(10, 0.0)) == (4, 1, 5)
    assert sorted(again) == ["a", "b"]
