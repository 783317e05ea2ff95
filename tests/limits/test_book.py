from __future__ import annotations

from collections.abc import Sequence

import pytest

from helixflow.ids import OrganizationId
from helixflow.limits.book import Book
from helixflow.limits.ports import TOMBSTONE_S, Ask, CounterId, End, Grant
from helixflow.settings import LimitsSettings

ORGANIZATION = OrganizationId("org_1")
LONGEST_S = 60.5


def counter(name: str = "requests_per_minute", scope: str = "organization") -> CounterId:
    return CounterId(ORGANIZATION, name, scope)


SLOTS = counter("concurrent_requests")


class Said:
    """A book, and exchanges of one ask each with rising numbers."""

    def __init__(self, counters_max: int = 100) -> None:
        self.book = Book(LimitsSettings(counters_max=counters_max))
        self.number = 0

    def __call__(self, *asks: Ask, now: float = 0.0, acked: int | None = None) -> list[Grant]:
        self.number += 1
        groups: Sequence[Sequence[Ask]] = [asks] if asks else []
        heard = self.number - 1 if acked is None else acked
        grants, _ = self.book.exchange("h", self.number, heard, groups, now)
        return list(grants[0]) if grants else []


def take(lease: int, amount: int = 1, id_: CounterId | None = None, limit: int = 10) -> Ask:
    return Ask(id_ or counter(), limit, lease, amount, amount, 5.0)


def test_at_its_bound_only_empty_counters_are_forgotten() -> None:
    said = Said(counters_max=2)
    said(take(1, id_=counter(scope="key=a")))
    said(take(2, id_=counter(scope="key=b")))
    (refused,) = said(take(3, id_=counter(scope="key=c")))
    assert (refused.amount, refused.remaining, refused.retry_after_s) == (0, 0, 1.0)
    (looked,) = said(Ask(counter(scope="key=c"), 10))
    assert looked.remaining == 10
    (easy,) = said(Ask(counter(scope="key=c"), 10, 4, 0, 5, 5.0))
    assert (easy.amount, easy.retry_after_s) == (0, 0.0)
    (granted,) = said(take(5, id_=counter(scope="key=c")), now=TOMBSTONE_S + 70)
    assert granted.amount == 1
    assert len(said.book) <= 2


def test_who_only_looks_leaves_nothing() -> None:
    said = Said()
    (grant,) = said(Ask(counter(), 10))
    assert (grant.remaining, grant.reset_s, len(said.book)) == (10, 0.0, 0)


def test_counters_that_are_empty_are_swept_away_by_what_else_is_said() -> None:
    said = Said()
    for number in range(50):
        said(take(number + 1, id_=counter(scope=f"key={number}")))
    assert len(said.book) == 50
    for _ in range(30):
        said(now=TOMBSTONE_S + 70)
    assert len(said.book) == 0


def test_last_words_are_forgotten_once_they_are_acknowledged() -> None:
    said = Said()
    said(take(1, 4))
    word = Ask(counter(), 10, ends=(End(1, 4, last=True),))
    said(word)
    said(word, acked=1)
    assert said.book.dump(counter())[2]
    said(acked=3)
    assert not said.book.dump(counter())[2]
    (grant,) = said(Ask(counter(), 10))
    assert grant.remaining == 6


def test_after_a_loss_windows_count_as_full_until_leases_and_windows_are_over() -> None:
    said = Said()
    said.book.lost_at = 100.0
    (refused,) = said(take(1), now=101.0)
    assert (refused.amount, refused.remaining) == (0, 0)
    assert refused.retry_after_s == pytest.approx(LONGEST_S + 59.0)
    assert said.book.unknown([[take(2)]], 101.0) == []
    assert said.book.unknown([[take(2)]], 161.0) == [counter()]
    (granted,) = said(take(2), now=100.0 + LONGEST_S + 60.0)
    assert granted.amount == 1


def test_after_a_loss_levels_are_what_runs_until_all_old_ones_are_over() -> None:
    said = Said()
    said.book.lost_at = 100.0
    running = Ask(SLOTS, 10, want=9, used=3)
    assert said(running, now=110.0)[0].amount == 3
    assert said(Ask(SLOTS, 10, need=4, want=9, used=3), now=110.0)[0].retry_after_s > 0
    assert said(Ask(SLOTS, 10, need=4, want=4, used=3), now=161.0)[0].amount == 4


def test_what_was_used_before_a_loss_can_be_told() -> None:
    said = Said()
    hour = counter("requests_per_hour")
    said.book.lost_at = 100.0
    said(take(1, id_=hour), now=161.0)
    assert said.book.know(hour, [(600.0, 4), (61.0, 2)], 162.0)
    (granted,) = said(take(2, 4, id_=hour), now=163.0)
    assert (granted.amount, granted.remaining) == (4, 0)
    assert not said.book.know(hour, [(0.0, 4)], 163.0)
    assert not said.book.know(SLOTS, [(0.0, 4)], 163.0)


def test_what_is_known_is_not_swept_away_while_a_newcomer_would_count_as_full() -> None:
    said = Said()
    hour = counter("requests_per_hour")
    said.book.lost_at = 100.0
    said(take(1, id_=hour), now=161.0)
    said.book.know(hour, [], 161.0)
    said(now=162.0)
    assert len(said.book) == 1
    said(now=100.0 + LONGEST_S + 3_600.0)
    assert len(said.book) == 0


def test_a_shaken_book_counts_minutes_and_levels_as_full_and_goes_on_with_the_rest() -> None:
    said = Said()
    hour = counter("requests_per_hour")
    said(take(1), take(2, id_=hour), now=0.0)
    said.book.shake(5.0)
    assert said(take(3), now=6.0)[0].amount == 0
    assert said(take(4, id_=counter(scope="key=new")), now=6.0)[0].amount == 0
    assert said(Ask(SLOTS, 5, need=1, want=1), now=6.0)[0].retry_after_s > 0
    assert said(take(5, id_=hour), now=6.0)[0].amount == 1
    assert said(take(6), now=5.0 + LONGEST_S + 60.0)[0].amount == 1


def test_holders_are_forgotten_when_they_hold_nothing_and_are_long_gone() -> None:
    said = Said()
    said(Ask(SLOTS, 5, need=1, want=1, used=1))
    said.book.exchange("idle", 1, 0, [], 0.0)
    said.book.exchange("new", 1, 0, [], TOMBSTONE_S + 1)
    assert dict(said.book.holders()) == {"h": 1, "new": 1}
    assert said.book.silent(5.0, TOMBSTONE_S + 1) == ["h"]
    assert said.book.bury("nobody", 0.0) == []
    assert said.book.bury("h", 0.0) == [(SLOTS, ("l", 0))]
    assert said.book.silent(5.0, TOMBSTONE_S + 1) == []


def test_what_exchanges_changed_can_be_done_again() -> None:
    said, again = Said(), Book(LimitsSettings())
    asks = [
        (take(1, 4), Ask(SLOTS, 5, need=2, want=2, used=1)),
        (Ask(counter(), 10, 2, 1, 1, 5.0, (End(1, 3),)), Ask(SLOTS, 5, want=1)),
        (take(3, 99),),
    ]
    for number, group in enumerate(asks, 1):
        _, changes = said.book.exchange("h", number, 0, [group], float(number))
        again.redo("h", number, changes, float(number))
    for id_ in (counter(), SLOTS):
        assert again.dump(id_) == said.book.dump(id_)
    assert again.holders() == said.book.holders()


def test_a_counter_can_be_replaced_by_a_snapshot_and_taken_away() -> None:
    said = Said()
    said(Ask(SLOTS, 5, need=2, want=2, used=1))
    said.book.load(SLOTS, [("other", 3)], 1.0)
    assert said.book.silent(5.0, 100.0) == ["other"]
    assert said(Ask(SLOTS, 5, used=1, want=1), now=1.0)[0].remaining == 1
    said.book.load(SLOTS, None, 2.0)
    assert said.book.ids() == []
    assert said.book.dump(SLOTS) is None
    assert said.book.silent(5.0, 100.0) == []
