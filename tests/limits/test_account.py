from __future__ import annotations

from helixflow.ids import OrganizationId
from helixflow.limits.account import ENDED_MAX, Account
from helixflow.limits.ports import TOMBSTONE_S, Ask, CounterId
from helixflow.limits.sizing import Lives

COUNTER = CounterId(OrganizationId("org_1"), "tokens_per_minute", "organization")
LIVES = Lives(near_s=5.0, far_s=60.0, margin_s=0.5, recall_s=1.5)


def account() -> Account:
    return Account(60.0, LIVES)


def lend(account: Account, number: int, amount: int, now: float, limit: int = 100) -> float:
    """Lend exactly that; returns how long the lease lives."""
    ask = Ask(COUNTER, limit, number, amount, amount, 30.0)
    decision = account.decide("h", ask, now)
    assert decision is not None
    assert decision[0] == amount
    for move in account.moves("h", ask, decision, now):
        account.apply("h", move, now)
    return decision[1]


def end(account: Account, number: int, spent: int, now: float) -> None:
    account.apply("h", ("e", number, spent), now)


def test_a_lease_counts_whole_until_it_ends() -> None:
    account_ = account()
    lend(account_, 1, 30, 0.0)
    assert account_.left(100, 1.0) == 70
    end(account_, 1, 10, 2.0)
    assert account_.left(100, 2.0) == 90
    assert account_.left(100, 62.9) == 90
    assert account_.left(100, 63.0) == 100


def test_a_lease_that_ends_by_its_time_is_booked_whole_at_its_end_and_a_margin() -> None:
    account_ = account()
    life_s = lend(account_, 1, 30, 0.0)
    assert life_s == 30.0
    assert account_.left(100, 90.9) == 70  # 30.5 is in slot 30, which counts until 91
    assert account_.left(100, 91.0) == 100


def test_near_the_limit_leases_live_short() -> None:
    account_ = account()
    lend(account_, 1, 80, 0.0)
    assert lend(account_, 2, 5, 0.0) == 5.0


def test_nothing_is_given_while_its_past_is_not_known() -> None:
    account_ = account()
    account_.unknown_until = 50.0
    ask = Ask(COUNTER, 100, 1, 1, 1, 5.0)
    assert account_.decide("h", ask, 10.0) is None
    assert account_.retry_after_s(1, 100, 10.0) == 40.0
    assert account_.reset_s(10.0) == 40.0
    assert not account_.empty(10.0)
    account_.book_past([(5.0, 30), (-1.0, 4), (500.0, 9)], 10.0)
    assert account_.left(100, 10.0) == 66
    assert account_.decide("h", ask, 10.0) == (1, 5.0)


def test_a_refusal_says_when_enough_can_be_there() -> None:
    account_ = account()
    lend(account_, 1, 60, 0.0)
    end(account_, 1, 60, 0.0)
    lend(account_, 2, 40, 10.0)
    end(account_, 2, 40, 10.0)
    assert account_.retry_after_s(60, 100, 20.0) == 41.0
    assert account_.retry_after_s(61, 100, 20.0) == 51.0
    assert account_.retry_after_s(101, 100, 20.0) == 61.0  # never
    assert account_.reset_s(20.0) == 51.0


def test_a_lease_may_come_back_at_any_time() -> None:
    account_ = account()
    lend(account_, 1, 100, 0.0)
    assert account_.retry_after_s(1, 100, 10.0) == 1.5, "by then it was recalled"
    assert account_.retry_after_s(1, 100, 30.0) == 0.5, "by then it is over"
    assert account_.retry_after_s(1, 100, 30.49) == 0.05
    assert account_.reset_s(10.0) == 81.0


def test_ended_leases_are_forgotten_with_their_last_word_or_in_time() -> None:
    account_ = account()
    for number in (1, 2):
        lend(account_, number, 10, 0.0)
        end(account_, number, 10, 0.0)
    account_.forget("h", 1)
    account_.forget("h", 77)
    assert not account_.empty(100.0)
    end(account_, 2, 4, 100.0)  # its slot has passed: nothing is taken from others
    assert account_.used(100.0) == 0
    account_.forget("h", 2)
    assert account_.empty(100.0)
    lend(account_, 3, 10, 100.0)
    assert account_.empty(100.0 + TOMBSTONE_S + 31.0)


def test_a_counter_is_what_its_snapshot_says() -> None:
    account_ = account()
    for number, spent in ((1, 5), (2, 25)):
        lend(account_, number, 10, 0.0)
        end(account_, number, spent, 1.0)
    end(account_, 2, 31, 2.0)
    lend(account_, 3, 7, 3.0)
    account_.unknown_until = 1.5
    again = account()
    again.load(account_.dump())
    assert again.dump() == account_.dump()
    assert again.used(3.0) == account_.used(3.0) == 43


def test_only_so_many_ended_leases_are_remembered() -> None:
    account_ = account()
    for number in range(ENDED_MAX + 2):
        end(account_, number, 1, 0.0)
    end(account_, 0, 0, 0.0)
    end(account_, ENDED_MAX + 1, 0, 0.0)
    assert account_.used(0.0) == ENDED_MAX + 1
