from __future__ import annotations

from helixflow.ids import OrganizationId
from helixflow.limits.ports import Ask, CounterId, Grant
from helixflow.limits.slots import Slots

COUNTER = CounterId(OrganizationId("org_1"), "concurrent_requests", "organization")


def slots(limit: int = 10) -> Slots:
    return Slots(COUNTER, limit)


def heard(slots: Slots, ask: Ask, amount: int, remaining: int, retry_s: float = 0.0) -> None:
    slots.hear(ask, Grant(amount, 0.0, remaining, 0.0, retry_s), refused=retry_s > 0, now=100.0)


def test_one_is_needed_for_the_first_that_waits_and_wanted_for_all() -> None:
    held = slots()
    ask = held.ask(3)
    assert (ask.used, ask.need, ask.want) == (0, 1, 4)
    heard(held, ask, 3, 7)
    assert held.spare == 3
    held.take()
    held.take()
    ask = held.ask(4)
    assert (ask.used, ask.need, ask.want) == (2, 3, 7)


def test_far_from_the_limit_what_ran_lately_is_kept_and_near_it_nothing() -> None:
    held = slots(100)
    heard(held, held.ask(1), 1, 90)
    for _ in range(6):
        held.take()
    for _ in range(4):
        held.give()
    assert held.state().want == 6 + 1 + 1
    held.settle_down()
    assert held.state().want == 2 + 1 + 1
    heard(held, held.state(), 4, 20)
    assert held.state().want == 2


def test_what_is_not_wanted_is_lowered_before_it_is_said() -> None:
    held = slots()
    heard(held, held.ask(5), 5, 2)
    held.take()
    assert held.state().want == 1
    assert held.level == 1


def test_a_level_that_the_store_may_count_higher_is_stated_again() -> None:
    held = slots()
    heard(held, held.ask(5), 5, 5)
    assert not held.overstated
    look = held.look()
    assert look.want == 5
    heard(held, look, 2, 0)
    assert held.level == 2
    assert held.overstated
    again = held.state()
    assert again.want == 2
    heard(held, again, 2, 8)
    assert not held.overstated


def test_after_a_lost_answer_the_store_may_count_what_was_wanted() -> None:
    held = slots()
    held.lost(held.ask(5))
    assert held.level == 0
    assert held.overstated
    assert not held.idle
    heard(held, held.state(), 0, 10)
    assert held.idle


def test_a_refusal_leaves_the_level_and_is_believed_for_a_moment() -> None:
    held = slots()
    heard(held, held.ask(2), 2, 8)
    held.take()
    held.take()
    heard(held, held.ask(1), 0, 0, retry_s=5.0)
    assert held.level == 2
    assert held.refuses(100.05)
    assert not held.refuses(100.2)
    held.give()
    assert not held.refuses(100.05)
    assert held.left() == 1


def test_a_lowered_limit_takes_the_level_away_and_a_raised_one_does_not() -> None:
    held = slots(10)
    heard(held, held.ask(4), 4, 6)
    held.take()
    held.set_limit(20)
    assert (held.level, held.left()) == (4, 19)
    held.set_limit(2)
    assert (held.level, held.left()) == (0, 0)
    assert slots(0).refuses(0.0)


def test_nothing_is_kept_where_nothing_runs_any_more() -> None:
    held = slots(100)
    heard(held, held.ask(4), 4, 90)
    held.take()
    held.let_go()
    assert held.state().want == 1
    held.give()
    held.let_go()
    assert held.state().want == 0
