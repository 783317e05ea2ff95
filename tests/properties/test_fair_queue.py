"""Whatever comes, waits, generates and hangs up: the fair queue keeps what it promises."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from helixflow.engine.fair_queue import FairQueue
from helixflow.engine.place import UNIT, Place, cost
from helixflow.engine.token_counters import TokenCounters
from helixflow.inference.model_spec import FairShares
from helixflow.inference.quota import BY_URGENCY, ServiceClass
from helixflow.inference.usage import Usage

PROMPT_MAX, LENGTH_MAX, WRONG_MAX = 5, 6, 3
WEIGHTS = {"a": 1.0, "b": 1.0, "c": 2.0, "d": 0.5}
CRITICAL = ServiceClass.CRITICAL


@dataclass(eq=False)
class Work:
    """A request: what it will use, and what it has used."""

    place: Place
    prompt: int
    length: int
    steps: int = 0
    used: Usage = field(default_factory=Usage)

    @property
    def service(self) -> int:
        """In units."""
        read, written = self.used.prompt_tokens, self.used.completion_tokens
        return read * self.place.input_cost + written * self.place.output_cost


class Engine:
    """Generates a token of every running sequence with each step."""

    def __init__(self) -> None:
        self.works: dict[str, Work] = {}

    def read(self, request_id: str) -> Usage:
        return self.works[request_id].used

    def step(self) -> list[Work]:
        """One more token for all who run; those who are over."""
        over = []
        for work in self.works.values():
            if work.place.running:
                work.steps += 1
                work.used = Usage(work.prompt, work.steps * work.place.slots)
                if work.steps == work.length:
                    over.append(work)
        return over


class Fairness(RuleBasedStateMachine):
    """`exact`: prompts are known at dispatch, as in the paper; otherwise they are guessed, and
    known after the first token."""

    exact = True

    @initialize(
        slots=st.integers(1, 4),
        overtakes_max=st.integers(1, 4),
        reserved=st.sampled_from([0.0, 0.0, 0.25, 0.5]),
    )
    def begin(self, slots: int, overtakes_max: int, reserved: float) -> None:
        self.slots = slots
        self.rules = FairShares(overtakes_max=overtakes_max, reserved_share=reserved)
        self.engine = Engine()
        self.queue = FairQueue(slots, 1000, self.rules, self.engine.read)
        self.number = 0
        self.past: Counter[tuple[ServiceClass, str]] = Counter()
        self.gaps: dict[tuple[ServiceClass, str, str], tuple[int, int]] = {}
        self.overtaken = dict.fromkeys(BY_URGENCY, 0)
        self.reserved_slots = slots - self.queue.ordinary_slots

    @rule(
        tenant=st.sampled_from(sorted(WEIGHTS)),
        kind=st.sampled_from([*BY_URGENCY, ServiceClass.STANDARD, ServiceClass.STANDARD]),
        choices=st.sampled_from([1, 1, 1, 2, 5]),
        prompt=st.integers(1, PROMPT_MAX),
        length=st.integers(1, LENGTH_MAX),
        wrong=st.integers(-WRONG_MAX, WRONG_MAX),
        times=st.integers(1, 4),
    )
    def arrive(
        self,
        tenant: str,
        kind: ServiceClass,
        choices: int,
        prompt: int,
        length: int,
        wrong: int,
        times: int,
    ) -> None:
        for _ in range(times):
            self.number += 1
            weight = WEIGHTS[tenant]
            guess = prompt if self.exact else max(1, prompt + wrong)
            name = str(self.number)
            place = Place(name, tenant, kind, choices, cost(1, weight), cost(2, weight), guess)
            self.engine.works[name] = Work(place, prompt, length)
            self.queue.join(place)
        self.serve()

    @rule(times=st.integers(1, 4))
    def generate(self, times: int) -> None:
        for _ in range(times):
            for work in self.engine.step():
                self.leave(work)
            self.serve()

    @rule(which=st.integers(0, 1000))
    def hang_up(self, which: int) -> None:
        if here := [*self.engine.works.values()]:
            self.leave(here[which % len(here)])
            self.serve()

    def leave(self, work: Work) -> None:
        place = work.place
        self.queue.leave(place)
        self.queue.leave(place)
        self.past[place.service_class, place.tenant] += work.service
        del self.engine.works[place.request_id]

    def serve(self) -> None:
        self.watch()
        while (place := self.queue.next()) is not None:
            self.check_order(place)
            self.check_overtaking(place)
            if self.exact:
                work = self.engine.works[place.request_id]
                work.used = Usage(work.prompt)
            self.watch()

    def waiting(self, kind: ServiceClass | None = None) -> list[Place]:
        places = (work.place for work in self.engine.works.values())
        return [one for one in places if one.waiting and kind in (None, one.service_class)]

    def running(self) -> list[Place]:
        return [work.place for work in self.engine.works.values() if work.place.running]

    def check_order(self, place: Place) -> None:
        """A tenant's requests of one class keep their order."""
        others = [one for one in self.waiting(place.service_class) if one.tenant == place.tenant]
        assert all(one.turn > place.turn for one in others)

    def check_overtaking(self, place: Place) -> None:
        for kind in BY_URGENCY:
            if kind is place.service_class:
                self.overtaken[kind] = 0
            elif self.waiting(kind):
                self.overtaken[kind] += 1
                # What goes into slots that are kept for `critical` overtakes nobody.
                if not self.reserved_slots:
                    assert self.overtaken[kind] <= self.rules.overtakes_max + 3

    def watch(self) -> None:
        """Theorem 4.4, for every span of time in which two tenants of a class wait."""
        for kind in BY_URGENCY:
            backlogged = sorted({place.tenant for place in self.waiting(kind)})
            if not backlogged:
                self.overtaken[kind] = 0
            self.gaps = {
                pair: gap
                for pair, gap in self.gaps.items()
                if pair[0] is not kind or {*pair[1:]} <= {*backlogged}
            }
            for one, other in combinations(backlogged, 2):
                gap = self.service(kind, one) - self.service(kind, other)
                least, most = self.gaps.get((kind, one, other), (gap, gap))
                least, most = min(least, gap), max(most, gap)
                self.gaps[kind, one, other] = least, most
                assert most - least <= self.bound(one, other)

    def service(self, kind: ServiceClass, tenant: str) -> int:
        return self.past[kind, tenant] + sum(
            work.service
            for work in self.engine.works.values()
            if (work.place.service_class, work.place.tenant) == (kind, tenant)
        )

    def bound(self, one: str, other: str) -> int:
        """`U` of one and of the other: a prompt, and all that a full batch may generate."""
        whole = 0
        for tenant in (one, other):
            weight = WEIGHTS[tenant]
            prompts = 1 if self.exact else self.slots
            whole += cost(1, weight) * prompts * PROMPT_MAX
            whole += cost(2, weight) * self.slots * LENGTH_MAX
        if self.exact:
            most = 2 * UNIT * self.slots * (PROMPT_MAX + LENGTH_MAX)  # the paper's w_q M
            assert whole <= 2 * most / min(WEIGHTS[one], WEIGHTS[other])
            return whole
        unread = self.slots * (PROMPT_MAX + WRONG_MAX)
        return whole + 2 * unread * max(cost(1, WEIGHTS[one]), cost(1, WEIGHTS[other]))

    @invariant()
    def slots_are_never_exceeded_and_the_reserve_is_kept(self) -> None:
        running = self.running()
        ordinary = sum(one.slots for one in running if one.service_class is not CRITICAL)
        assert self.queue.taken == sum(one.slots for one in running) <= self.slots
        assert ordinary <= self.slots - self.reserved_slots

    @invariant()
    def nothing_is_lost_and_nothing_is_negative(self) -> None:
        assert self.queue.waiting == len(self.waiting())
        for kind in BY_URGENCY:
            assert self.queue.waiting_in(kind) == len(self.waiting(kind))
            assert all(counter >= 0 for counter in self.queue.counters(kind).counters.values())
        for tenant in WEIGHTS:
            mine = [place for place in self.waiting() if place.tenant == tenant]
            assert self.queue.waiting_of(tenant) == len(mine)

    @invariant()
    def no_slot_is_idle_that_the_next_one_could_use(self) -> None:
        free = self.slots - self.queue.taken
        used = sum(one.slots for one in self.running() if one.service_class is not CRITICAL)
        ordinary_free = min(free, self.slots - self.reserved_slots - used)
        critical = [one.slots for one in self.waiting() if one.service_class is CRITICAL]
        ordinary = [one.slots for one in self.waiting() if one.service_class is not CRITICAL]
        # One that needs many slots may keep others back, ordinary ones and critical ones alike.
        if critical or ordinary:
            kept_back = [free < max(critical, default=0), ordinary_free < max(ordinary, default=0)]
            assert any(kept_back)

    def teardown(self) -> None:
        """Everybody who waits is served in the end, in the time that the work takes."""
        if not hasattr(self, "engine"):
            return
        left = sum(work.length for work in self.engine.works.values())
        for _ in range(left):
            for work in self.engine.step():
                self.leave(work)
            self.serve()
        assert (self.queue.taken, self.queue.waiting) == (0, 0)


class GuessedFairness(Fairness):
    exact = False


TestExact = Fairness.TestCase
TestGuessed = GuessedFairness.TestCase


class Paper:
    """Algorithm 2 of the paper, word by word, for one class: it forgets nobody."""

    def __init__(self) -> None:
        self.counters: dict[str, int] = {}
        self.queue: list[Place] = []
        self.last: str | None = None

    def arrive(self, place: Place) -> None:
        mine = self.counters.setdefault(place.tenant, 0)
        waiting = {one.tenant for one in self.queue}
        if not waiting and self.last is not None:
            self.counters[place.tenant] = max(mine, self.counters[self.last])
        elif waiting and place.tenant not in waiting:
            least = min(self.counters[tenant] for tenant in waiting)
            self.counters[place.tenant] = max(mine, least)
        self.queue.append(place)

    def dispatch(self) -> Place:
        # The first of the queue stands for the earlier one among equal counters.
        place = min(self.queue, key=lambda one: self.counters[one.tenant])
        self.counters[place.tenant] += place.prompt * place.input_cost
        self.leave(place)
        return place

    def leave(self, place: Place) -> None:
        self.queue.remove(place)
        if all(one.tenant != place.tenant for one in self.queue):
            self.last = place.tenant


moves = st.lists(
    st.tuples(
        st.sampled_from(["arrive", "arrive", "step", "step", "hang up"]),
        st.sampled_from("abcd"),
        st.integers(1, PROMPT_MAX),
        st.integers(1, LENGTH_MAX),
    ),
    min_size=20,
    max_size=80,
)


@given(moves, st.integers(1, 3))
def test_it_decides_as_the_papers_algorithm_although_it_forgets(
    moves: list[tuple[str, str, int, int]], slots: int
) -> None:
    engine, paper = Engine(), Paper()
    queue = FairQueue(slots, 1000, FairShares(), engine.read)
    counters = queue.counters(ServiceClass.STANDARD)
    for number, (move, tenant, prompt, length) in enumerate(moves):
        if move == "arrive":
            place = Place(str(number), tenant, ServiceClass.STANDARD, prompt=prompt)
            engine.works[place.request_id] = Work(place, prompt, length)
            comes_to_wait = all(one.tenant != tenant for one in paper.queue)
            paper.arrive(place)
            queue.join(place)
            if comes_to_wait:  # otherwise its counter decides nothing, and is not read
                assert counters.counters[tenant] == paper.counters[tenant]
        elif move == "step":
            running = [work for work in engine.works.values() if work.place.running]
            for work in running:
                paper.counters[work.place.tenant] += work.place.output_cost
            for work in engine.step():
                queue.leave(work.place)
        elif waiting := [work.place for work in engine.works.values() if work.place.waiting]:
            queue.leave(waiting[length % len(waiting)])
            paper.leave(waiting[length % len(waiting)])
        for place in dispatched(queue):
            engine.works[place.request_id].used = Usage(place.prompt)
            assert paper.dispatch() is place
            assert counters.counters[place.tenant] == paper.counters[place.tenant]


def dispatched(queue: FairQueue) -> Iterator[Place]:
    while (place := queue.next()) is not None:
        yield place


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), max_size=80))
def test_however_many_tenants_come_few_are_remembered(visits: list[tuple[int, int]]) -> None:
    used: dict[str, Usage] = {}
    counters = TokenCounters(lambda request_id: used.get(request_id, Usage()), idle_max=4)
    counters.join(Place("stays", "stays", ServiceClass.STANDARD))
    for number, (tenant, length) in enumerate(visits):
        place = Place(str(number), f"t{tenant}", ServiceClass.STANDARD)
        counters.join(place)
        counters.begin(place)
        used[place.request_id] = Usage(1, length)
        counters.end(place)
        assert counters.tenants <= 4 + 1
