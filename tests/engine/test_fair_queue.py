from __future__ import annotations

import math
from itertools import count

import pytest

from helixflow.engine.fair_queue import FairQueue
from helixflow.engine.place import UNIT, Place, cost
from helixflow.errors import Refusal
from helixflow.inference.model_spec import FairShares
from helixflow.inference.quota import ServiceClass
from helixflow.inference.usage import Usage

BATCH, STANDARD = ServiceClass.BATCH, ServiceClass.STANDARD
INTERACTIVE, CRITICAL = ServiceClass.INTERACTIVE, ServiceClass.CRITICAL


class Stage:
    """A queue, and requests whose use the test sets."""

    def __init__(self, slots: int = 1, queue_max: int = 100, **rules: float) -> None:
        self.used: dict[str, Usage] = {}
        self.queue = FairQueue(slots, queue_max, FairShares(**rules), self.read)  # type: ignore[arg-type]
        self._names = count()

    def read(self, request_id: str) -> Usage:
        return self.used.get(request_id, Usage())

    def come(
        self, tenant: str, kind: ServiceClass = STANDARD, slots: int = 1, prompt: int = 1
    ) -> Place:
        place = Place(str(next(self._names)), tenant, kind, slots, prompt=prompt)
        self.queue.join(place)
        return place

    def use(self, place: Place, prompt: int, written: int) -> None:
        self.used[place.request_id] = Usage(prompt, written)

    def next(self) -> Place:
        place = self.queue.next()
        assert place is not None
        return place

    def end(self, place: Place, prompt: int = 1, written: int = 1) -> None:
        self.use(place, prompt, written)
        self.queue.leave(place)

    def order(self, written: int = 1) -> str:
        """The tenants in the order in which they are served, one after the other."""
        tenants = ""
        while (place := self.queue.next()) is not None:
            tenants += place.tenant
            self.end(place, written=written)
        return tenants


class TestTenants:
    def test_a_flood_and_a_trickle_take_turns(self) -> None:
        stage = Stage()
        for tenant in "aaaaaabb":
            stage.come(tenant)
        assert stage.order() == "ababaaaa"

    def test_a_tenant_of_twice_the_weight_is_served_twice_as_often(self) -> None:
        stage = Stage()
        for _ in range(8):
            for tenant, weight in (("a", 1.0), ("b", 2.0)):
                place = stage.come(tenant)
                place.input_cost, place.output_cost = cost(1, weight), cost(2, weight)
        assert stage.order()[:9].count("b") == 6

    def test_what_counts_is_tokens_and_not_requests(self) -> None:
        stage = Stage()
        for tenant in "ababbbbb":
            stage.come(tenant)
        served = ""
        for _ in range(6):
            place = stage.next()
            served += place.tenant
            stage.end(place, written=9 if place.tenant == "a" else 2)
        assert served == "abbbba"

    def test_tokens_are_charged_while_they_are_generated(self) -> None:
        stage = Stage(slots=2)
        first = stage.come("a"), stage.come("b")
        assert [stage.next(), stage.next()] == [*first]
        stage.come("a")
        stage.come("b")
        stage.use(first[0], 1, 5)
        stage.use(first[1], 1, 6)
        stage.queue.leave(first[1])
        assert stage.next().tenant == "a"

    def test_a_prompt_costs_as_soon_as_it_is_dispatched(self) -> None:
        stage = Stage(slots=2)
        holders = [stage.come("z"), stage.come("z")]
        assert [stage.next(), stage.next()] == holders
        for tenant in "aab":
            stage.come(tenant, prompt=7)
        for holder in holders:
            stage.end(holder)
        assert [stage.next().tenant, stage.next().tenant] == ["a", "b"]

    def test_a_prompt_that_was_overestimated_is_given_back(self) -> None:
        stage = Stage(slots=2)
        first = stage.come("a", prompt=1000), stage.come("b", prompt=50)
        assert [stage.next(), stage.next()] == [*first]
        stage.come("b")
        stage.come("a")
        stage.use(first[0], 10, 0)
        stage.use(first[1], 50, 0)
        stage.queue.leave(first[1])
        assert stage.next().tenant == "a"

    def test_what_never_began_costs_nothing(self) -> None:
        stage = Stage()
        place = stage.come("a", prompt=1000)
        assert stage.next() is place
        stage.queue.leave(place)
        assert stage.queue.counters(STANDARD).tenants == 0

    def test_a_request_without_a_prompt_is_charged_too(self) -> None:
        stage = Stage(slots=2)
        first = stage.come("a"), stage.come("b")
        assert [stage.next(), stage.next()] == [*first]
        stage.come("a")
        stage.come("b")
        stage.use(first[0], 0, 9)
        stage.use(first[1], 0, 3)
        stage.queue.leave(first[1])
        assert stage.next().tenant == "b"

    def test_a_newcomer_is_lifted_to_the_least_of_those_who_wait(self) -> None:
        stage = Stage()
        for _ in range(20):
            stage.come("a")
        for _ in range(10):
            stage.end(stage.next())
        for _ in range(10):
            stage.come("b")
        assert stage.order() in {"ab" * 10, "ba" * 10}

    def test_where_nobody_waits_it_is_lifted_to_who_waited_last(self) -> None:
        stage = Stage()
        last = stage.come("a")
        assert stage.next() is last
        stage.use(last, 1, 100)
        for tenant in "bbaa":
            stage.come(tenant)
        stage.queue.leave(last)
        assert stage.order() == "baba"

    def test_who_is_ahead_stays_so_while_away(self) -> None:
        stage = Stage()
        for tenant in "abbbbb":
            stage.come(tenant)
        stage.end(stage.next(), written=4)
        stage.come("a")
        assert stage.order() == "bbbbab"

    def test_equals_are_served_as_they_came(self) -> None:
        stage = Stage()
        for tenant in "cab":
            stage.come(tenant)
        assert stage.order() == "cab"


class TestClasses:
    def test_urgent_classes_come_first(self) -> None:
        stage = Stage()
        for tenant, kind in zip("bsic", (BATCH, STANDARD, INTERACTIVE, CRITICAL), strict=True):
            stage.come(tenant, kind)
        assert stage.order() == "cisb"

    def test_a_class_that_was_overtaken_often_enough_has_its_turn(self) -> None:
        stage = Stage(overtakes_max=3)
        stage.come("b", BATCH)
        stage.come("b", BATCH)
        for _ in range(8):
            stage.come("i", INTERACTIVE)
        assert stage.order() == "iiibiiibii"

    def test_a_class_that_comes_again_begins_to_count_anew(self) -> None:
        stage = Stage(overtakes_max=2)
        leaver = stage.come("b", BATCH)
        for _ in range(5):
            stage.come("i", INTERACTIVE)
        stage.end(stage.next())
        stage.queue.leave(leaver)
        stage.come("b", BATCH)
        assert stage.order() == "iibii"

    def test_each_class_counts_for_itself(self) -> None:
        stage = Stage()
        for _ in range(5):
            stage.come("a", INTERACTIVE)
        assert stage.order(written=50) == "aaaaa"
        for tenant in "aabb":
            stage.come(tenant)
        assert stage.order() == "abab"

    def test_slots_are_kept_for_critical_ones(self) -> None:
        stage = Stage(slots=4, reserved_share=0.25)
        for _ in range(5):
            stage.come("s")
        assert [stage.next().tenant for _ in range(3)] == ["s"] * 3
        assert stage.queue.next() is None
        stage.come("c", CRITICAL)
        assert stage.next().tenant == "c"
        assert (stage.queue.taken, stage.queue.waiting) == (4, 2)

    def test_one_slot_is_never_kept(self) -> None:
        stage = Stage(slots=1, reserved_share=0.9)
        stage.come("s")
        assert stage.next().tenant == "s"


class TestWideRequests:
    def test_nobody_goes_before_one_that_needs_more_than_is_free(self) -> None:
        stage = Stage(slots=3)
        running = stage.come("a"), stage.come("b")
        assert [stage.next(), stage.next()] == [*running]
        wide = stage.come("c", slots=3)
        stage.come("d")
        for place in running:
            assert stage.queue.next() is None
            stage.end(place)
        assert stage.next() is wide
        assert stage.queue.next() is None

    def test_it_takes_no_more_than_it_can_ever_have(self) -> None:
        stage = Stage(slots=4, reserved_share=0.5)
        ordinary, critical = stage.come("a", slots=9), stage.come("b", CRITICAL, slots=9)
        assert (ordinary.slots, critical.slots) == (2, 4)
        assert stage.come("a", slots=0).slots == 1

    def test_critical_ones_pass_it_in_what_is_kept_for_them(self) -> None:
        stage = Stage(slots=4, reserved_share=0.25, overtakes_max=1)
        first = stage.come("a")
        assert stage.next() is first
        wide = stage.come("a", slots=3)
        urgent = stage.come("i", INTERACTIVE)
        assert stage.next() is urgent
        stage.end(urgent)
        critical = [stage.come("c", CRITICAL), stage.come("c", CRITICAL)]
        assert stage.next() is critical[0]
        assert stage.queue.next() is None
        stage.end(first)
        assert stage.next() is wide
        assert stage.queue.next() is None

    def test_it_does_not_starve_beside_a_flood_of_narrow_ones(self) -> None:
        stage = Stage(slots=4)
        running = []
        for _ in range(30):
            stage.come("narrow")
        wide = stage.come("wide", slots=4)
        for _ in range(30):
            while (place := stage.queue.next()) is not None:
                running.append(place)
            if wide in running:
                break
            stage.end(running.pop(0))
        assert wide in running
        assert stage.queue.waiting >= 24


class TestBounds:
    def test_a_full_queue_takes_nobody(self) -> None:
        stage = Stage(queue_max=1)
        stage.come("a")
        stage.next()
        assert stage.queue.excess(stage.come("a")) is None
        assert stage.queue.excess(stage.come("b")) is Refusal.OVERLOADED

    def test_places_are_kept_for_critical_ones(self) -> None:
        stage = Stage(queue_max=4, reserved_share=0.5)
        stage.come("z")
        stage.next()
        reasons = [stage.queue.excess(stage.come(tenant)) for tenant in "ab"]
        late = stage.come("c")
        reasons.append(stage.queue.excess(late))
        stage.queue.leave(late)
        reasons += [stage.queue.excess(stage.come(tenant, CRITICAL)) for tenant in "cde"]
        assert reasons == [None, None, Refusal.OVERLOADED, None, None, Refusal.OVERLOADED]

    def test_a_tenant_alone_fills_its_share_and_no_more(self) -> None:
        stage = Stage(queue_max=10)
        stage.come("a")
        stage.next()
        assert [stage.queue.excess(stage.come("a")) for _ in range(8)] == [None] * 8
        ninth = stage.come("a")
        assert stage.queue.excess(ninth) is Refusal.QUEUE_FULL
        stage.queue.leave(ninth)
        assert stage.queue.excess(stage.come("b")) is None

    def test_how_long_a_tenants_requests_wait_is_counted_in_turns(self) -> None:
        stage = Stage()
        stage.come("z")
        stage.next()
        last = [stage.come(tenant) for tenant in "aaab"][-1]
        assert stage.queue.ahead_of(last) == 2
        assert stage.queue.ahead_of(Place("x", "nobody", STANDARD)) == 0
        assert stage.queue.waiting_of("a") == 3


@pytest.mark.parametrize(
    ("weight", "units"),
    [
        (1.0, 2 * UNIT),
        (4.0, UNIT // 2),
        (0.5, 4 * UNIT),
        (0.0, 2000 * UNIT),
        (-1.0, 2000 * UNIT),
        (math.nan, 2000 * UNIT),
        (math.inf, round(UNIT / 500)),
    ],
)
def test_a_weight_divides_what_a_token_costs_and_is_bounded(weight: float, units: int) -> None:
    assert cost(2.0, weight) == units


def test_leaving_twice_or_without_having_come_is_harmless() -> None:
    stage = Stage()
    place = stage.come("a")
    stage.queue.leave(place)
    stage.queue.leave(place)
    stage.queue.leave(Place("x", "nobody", STANDARD))
    assert (stage.queue.taken, stage.queue.waiting) == (0, 0)
