from __future__ import annotations

from collections.abc import Sequence

import pytest

from helixflow.ids import OrganizationId
from helixflow.limits.book import Book
from helixflow.limits.exchange import ASKS_MAX, Demand, Exchange, Held
from helixflow.limits.holding import ENDS_MAX, Holding, Lease
from helixflow.limits.ports import Answer, CounterId
from helixflow.limits.purse import Purse
from helixflow.limits.slots import Slots
from helixflow.settings import LimitsSettings

SETTINGS = LimitsSettings(lease_far_s=30.0, standby_s=60.0, idle_s=60.0)


def counter(name: str = "requests_per_minute", scope: str = "organization") -> CounterId:
    return CounterId(OrganizationId("org_1"), name, scope)


class Play:
    """A purse and the store that it talks to, at a time that the test moves."""

    def __init__(self, settings: LimitsSettings = SETTINGS, book: Book | None = None) -> None:
        self.purse = Purse(settings)
        self.book = Book(settings) if book is None else book
        self.now = 1_000.0
        self.sent: list[Exchange] = []

    def beside(self) -> Play:
        other = Play(book=self.book)
        other.now = self.now
        return other

    def rate(self, limit: int, name: str = "requests_per_minute", scope: str = "a") -> Holding:
        held = self.purse.held(counter(name, scope), limit, self.now)
        assert isinstance(held, Holding)
        return held

    def slots(self, limit: int) -> Slots:
        held = self.purse.held(counter("concurrent_requests"), limit, self.now)
        assert isinstance(held, Slots)
        return held

    def send(self, *waits: Sequence[Demand]) -> Exchange:
        exchange = self.purse.compose([(wait, 1) for wait in waits], self.now)
        self.sent.append(exchange)
        return exchange

    def answer(self, exchange: Exchange) -> Answer:
        holder = str(id(self))
        grants, _ = self.book.exchange(
            holder, exchange.number, exchange.acked, exchange.groups, self.now
        )
        return Answer(grants, self.book.recalled(holder))

    def talk(self, *waits: Sequence[Demand]) -> Exchange:
        exchange = self.send(*waits)
        self.purse.apply(exchange, self.answer(exchange), self.now)
        return exchange

    def take(self, *demands: Demand) -> list[tuple[Lease, int]] | None:
        return self.purse.take(demands, self.now)

    def pass_time(self, seconds: float, *, beats: bool = True) -> None:
        """Let time pass, with a heartbeat each second."""
        for _ in range(int(seconds) if beats else 0):
            self.now += 1.0
            self.purse.tick(self.now)
            self.talk()
        if not beats:
            self.now += seconds

    def stored(self, held: Held, limit: int = 10**9) -> int:
        """What the store counts."""
        book_counter = self.book._counters.get(held.id)
        return 0 if book_counter is None else limit - book_counter.left(limit, self.now)


def test_a_request_takes_from_all_or_from_none() -> None:
    play = Play()
    wide, narrow, slots = play.rate(100), play.rate(2, scope="b"), play.slots(5)
    demands: list[Demand] = [(wide, 1), (slots, 1), (narrow, 1)]
    assert play.take(*demands) is None
    play.talk(demands)
    for _ in range(2):
        taken = play.take(*demands)
        assert taken is not None
        assert [amount for _, amount in taken] == [1, 1]
        play.talk(demands)
    assert play.take(*demands) is None
    assert wide.lease is not None
    assert (wide.lease.spent, slots.running) == (2, 2)
    assert narrow.refuses(1, play.now)


def test_what_takes_nothing_needs_nothing() -> None:
    play = Play()
    assert play.take((play.rate(100), 0)) == []


def test_a_counter_is_asked_for_once_for_all_that_wait() -> None:
    play = Play()
    held, other = play.rate(1_000), play.rate(1_000, scope="b")
    exchange = play.send([(held, 20)], [(held, 20)], [(held, 30), (other, 1)])
    assert [[ask.need for ask in group] for group in exchange.groups] == [[20], [1]]
    assert exchange.groups[0][0].want >= 70


def test_a_lease_may_be_spent_from_when_it_was_asked_for_and_not_longer() -> None:
    play = Play()
    held = play.rate(1_000)
    exchange = play.send([(held, 1)])
    answer = play.answer(exchange)
    play.now += 4.0
    play.purse.apply(exchange, answer, play.now)
    assert held.lease is not None
    assert held.lease.until == pytest.approx(1_030.0)
    play.now = 1_029.9
    assert play.take((held, 1))
    play.now = 1_030.0
    assert play.take((held, 1)) is None


def test_what_is_left_of_a_lease_that_is_not_enough_goes_back_before_more_is_asked() -> None:
    play = Play()
    held = play.rate(20, "tokens_per_minute")
    for _ in range(5):
        play.talk([(held, 3)])
        taken = play.take((held, 3))
        assert taken
        play.purse.correct(taken[0][0], 0)
    assert held.left(play.now) >= 5
    play.talk([(held, 5)])
    assert play.take((held, 5))
    assert held.left(play.now) == 0


def test_after_a_lost_answer_its_leases_are_dead_and_everything_is_said_again() -> None:
    play = Play()
    held, slots = play.rate(100), play.slots(8)
    demands: list[Demand] = [(held, 1), (slots, 1)]
    exchange = play.send(demands)
    play.answer(exchange)
    play.purse.lose(exchange, play.now)
    assert play.take(*demands) is None
    assert play.stored(held) > 0
    again = play.talk()
    assert again.acked == 0
    assert [(end.lease, end.spent, end.last) for _, end in again.ends] == [(1, 0, True)]
    assert play.stored(held) == 0
    assert play.stored(slots) == 0
    assert play.talk().groups == []


def test_an_end_is_said_until_it_is_answered_with_what_is_true_then() -> None:
    play = Play()
    held = play.rate(1_000, "tokens_per_minute")
    play.talk([(held, 10)])
    taken = play.take((held, 10))
    assert taken
    ((lease, _),) = taken
    held.retire()
    play.purse._to_say[held] = None
    exchange = play.send()
    assert [(end.spent, end.last) for _, end in exchange.ends] == [(10, False)]
    play.purse.correct(lease, 15)
    play.purse.lose(exchange, play.now)
    exchange = play.talk()
    assert [(end.spent, end.last) for _, end in exchange.ends] == [(25, True)]
    assert play.stored(held) == 25
    assert play.talk().ends == []


def test_a_settlement_after_the_end_of_a_lease_corrects_it() -> None:
    play = Play()
    held = play.rate(1_000, "tokens_per_minute")
    play.talk([(held, 100)])
    taken = play.take((held, 100))
    assert taken
    play.pass_time(35)
    assert play.stored(held) >= 100
    play.purse.correct(taken[0][0], -60)
    play.talk()
    play.purse.give_all_back()
    play.talk()
    assert play.stored(held) == 40


def test_debt_ends_a_lease_and_counts() -> None:
    play = Play()
    held = play.rate(100, "tokens_per_minute")
    play.talk([(held, 90)])
    taken = play.take((held, 90))
    assert taken
    play.purse.correct(taken[0][0], 50)
    assert held.lease is None
    play.talk()
    assert play.stored(held) == 140
    play.talk([(held, 1)])
    assert held.refuses(1, play.now)


def test_a_lease_in_use_is_renewed_before_it_ends() -> None:
    play = Play()
    held = play.rate(100_000)
    play.talk([(held, 1)])
    for _ in range(100):
        assert play.take((held, 1)), "nothing is ever lacking"
        play.pass_time(1)
    asks = sum(bool(entry.ask.lease) for e in play.sent for group in e.entries for entry in group)
    assert asks < 15


def test_a_lease_that_is_hardly_spent_gets_another_life_and_no_other_one_begins() -> None:
    play = Play()
    held = play.rate(100_000)
    play.talk([(held, 1)])
    lease = held.lease
    for _ in range(3):
        play.take((held, 1))
        play.pass_time(50)
    assert held.lease is lease
    assert play.stored(held) == 16
    renewals = [entry.ask.renews for e in play.sent for group in e.entries for entry in group]
    assert renewals.count(1) == 3
    play.pass_time(120)
    assert held.gone


def test_a_lost_renewal_leaves_the_lease_its_first_end() -> None:
    play = Play()
    held = play.rate(100_000)
    play.talk([(held, 1)])
    assert held.lease is not None
    first_end = held.lease.until
    play.now = first_end - 5.0
    play.take((held, 1))
    play.purse.tick(play.now)
    exchange = play.send()
    assert 1 in [ask.renews for group in exchange.groups for ask in group]
    play.purse.lose(exchange, play.now)
    assert held.lease.until == first_end
    exchange = play.send()
    play.rate(50_000)
    play.purse.apply(exchange, play.answer(exchange), play.now)
    assert held.lease is None, "the limit was lowered meanwhile"


def test_a_lease_that_runs_out_is_renewed_before_it_is_spent() -> None:
    play = Play()
    held = play.rate(1_000_000)
    play.talk([(held, 1)])
    lacking = 0
    for _ in range(50_000):
        if play.take((held, 1)) is None:
            lacking += 1
            play.talk([(held, 1)])
        if play.purse.urgent:
            play.talk()
    assert lacking == 0
    assert len(play.sent) < 60


def test_what_is_idle_goes_back_and_is_forgotten() -> None:
    play = Play()
    held, slots = play.rate(100_000), play.slots(1_000)
    play.talk([(held, 1), (slots, 1)])
    play.take((held, 1), (slots, 1))
    play.purse.free(slots)
    play.pass_time(140)
    assert held.gone
    assert slots.gone
    assert len(play.purse) == 0
    assert play.stored(slots) == 0
    assert play.take((held, 1)) is None


def test_near_the_limit_what_is_idle_goes_back_within_seconds() -> None:
    play = Play()
    held = play.rate(100)
    hog = play.beside()
    theirs = hog.rate(100)
    hog.talk([(theirs, 80)])
    assert hog.take((theirs, 80))
    play.talk([(held, 1)])
    assert held.lease is not None
    play.pass_time(5)
    assert held.lease is None
    assert play.stored(held) < 100


def test_a_standby_is_kept_for_rates_that_are_in_use_and_far_from_their_limit() -> None:
    play = Play()
    rate = play.rate(100_000)
    spend = play.rate(10**12, "spend_per_day")
    play.talk([(rate, 1), (spend, 1)])
    for _ in range(100):
        play.take((rate, 1), (spend, 1))
        play.pass_time(1)
    assert rate.standby is not None
    assert rate.standby.until > play.now + 25
    assert spend.standby is None
    assert rate.lease is not None
    while rate.lease.until >= rate.standby.until:
        play.take((rate, 1), (spend, 1))
        play.pass_time(1)
    play.now = rate.lease.until
    demands: list[Demand] = [(rate, 1)]
    assert play.take(*demands) is None
    play.purse.stand_in(demands, play.now)
    assert play.take(*demands)
    play.now += 60.0
    play.purse.stand_in(demands, play.now)
    assert play.take(*demands) is None


def test_a_standby_goes_back_when_the_limit_comes_near() -> None:
    play = Play()
    rate = play.rate(1_000)
    play.talk([(rate, 1)])
    for _ in range(40):
        play.take((rate, 1))
        play.pass_time(1)
    assert rate.standby is not None
    while rate.far:
        play.talk([(rate, 100)])
        play.take((rate, 100))
    play.pass_time(4)
    assert rate.standby is None


def test_a_lowered_limit_takes_leases_away_at_once_and_a_raised_one_does_not() -> None:
    play = Play()
    held = play.rate(1_000)
    play.talk([(held, 1)])
    assert play.rate(2_000) is held
    assert held.lease is not None
    assert play.rate(500) is held
    assert held.lease is None
    assert play.purse.has_news


def test_a_grant_under_a_limit_that_was_lowered_meanwhile_is_not_used() -> None:
    play = Play()
    held, slots = play.rate(1_000), play.slots(50)
    exchange = play.send([(held, 1), (slots, 1)])
    answer = play.answer(exchange)
    play.rate(5)
    play.slots(5)
    play.purse.apply(exchange, answer, play.now)
    assert held.lease is None
    assert slots.level == 0
    play.talk()
    assert play.stored(held) == 0


def test_slots_are_stated_again_now_and_then_in_case_the_store_forgot() -> None:
    play = Play()
    slots = play.slots(50)
    play.talk([(slots, 1)])
    play.take((slots, 1))
    play.book = Book(SETTINGS)
    play.pass_time(17)
    assert play.stored(slots) >= 1


def test_slots_may_not_be_taken_when_nothing_was_heard_for_too_long() -> None:
    play = Play()
    slots = play.slots(50)
    exchange = play.send([(slots, 3)])
    answer = play.answer(exchange)
    play.now += 5.0
    play.purse.apply(exchange, answer, play.now)
    play.take((slots, 1))
    play.now += 24.9
    assert play.take((slots, 1)) is not None
    play.now += 0.1
    assert play.take((slots, 1)) is None
    exchange = play.talk([(slots, 1)])
    assert exchange.groups[0][0].used == 2
    assert play.take((slots, 1)) is not None


def test_far_from_the_limit_more_slots_are_asked_for_before_they_lack() -> None:
    play = Play()
    slots = play.slots(1_000)
    play.talk([(slots, 1)])
    lacking = 0
    for _ in range(300):
        if play.take((slots, 1)) is None:
            lacking += 1
            play.talk([(slots, 1)])
        elif play.purse.urgent:
            play.talk()
    assert lacking == 0
    assert len(play.sent) < 40


def test_near_the_limit_a_free_slot_goes_back_in_a_moment() -> None:
    play = Play()
    slots = play.slots(2)
    for _ in range(2):
        play.talk([(slots, 1)])
        play.take((slots, 1))
    assert not play.purse.soon
    play.purse.free(slots)
    assert play.purse.soon
    play.talk()
    assert play.stored(slots) == 1


def test_there_is_a_bound_on_what_is_held_and_what_is_due_next_makes_room() -> None:
    play = Play(LimitsSettings(held_max=2))
    first, second = play.rate(1_000, scope="a"), play.rate(1_000, scope="b")
    play.talk([(first, 1), (second, 1)])
    slots_id = counter("concurrent_requests")
    assert play.purse.held(slots_id, 5, play.now) is None
    assert first.lease is None
    play.pass_time(20)
    assert len(play.purse) == 0
    assert play.purse.held(slots_id, 5, play.now) is not None
    assert play.purse.held(counter(scope="z"), 5, play.now) is not None
    assert play.purse.held(counter(scope="y"), 5, play.now) is None


def test_room_is_made_a_part_at_a_time() -> None:
    play = Play(LimitsSettings(held_max=200))
    for number in range(200):
        held = play.rate(1_000, scope=f"{number}")
        play.talk([(held, 1)])
    assert play.purse.held(counter(scope="more"), 5, play.now) is None
    kept = [held for held in play.purse._held.values() if isinstance(held, Holding) and held.lease]
    assert 100 < len(kept) < 200


def test_one_exchange_has_a_bound_and_the_rest_follows() -> None:
    play = Play()
    waits = [
        [(play.rate(1_000, scope=f"{n}"), 1), (play.rate(9, scope=f"x{n}"), 1)] for n in range(900)
    ]
    assert play.talk(*waits).asks == ASKS_MAX
    play.purse.give_all_back()
    sizes = [play.talk().asks for _ in range(3)]
    assert sizes == [ASKS_MAX, 0, 0]
    held = play.rate(10**9, scope="many")
    leases = []
    for _ in range(ENDS_MAX + 10):
        play.talk([(held, 1)])
        leases += play.take((held, 1)) or []
        held.retire()
    for lease, _ in leases:
        play.purse.correct(lease, 0)
    assert [len(play.talk().ends) for _ in range(3)] == [ENDS_MAX, 10, 0]


def test_a_sign_of_life_says_nothing_else() -> None:
    play = Play()
    play.rate(5)
    probe = play.purse.probe(play.now)
    assert (probe.number, probe.groups) == (1, [])
    play.purse.apply(probe, Answer([]), play.now)
    assert play.talk().acked == 1
