"""A world for the limits' stateful test: holders, one store, and a log that trusts neither.

Everything that happens happens in `World`'s methods, one at a time, on a clock that stands still
between them; an exchange is sent, processed and answered in separate steps, so that anything may
happen between them. `World.admitted` checks each admission against the log alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from helixflow.inference.model_spec import Price
from helixflow.inference.principal import Principal
from helixflow.inference.quota import LimitName, Quota, Scope
from helixflow.inference.request import ParsedBody
from helixflow.inference.usage import Usage
from helixflow.limits.counters import Measure, lines_for, measure_of
from helixflow.limits.estimate import cost
from helixflow.limits.exchange import Exchange
from helixflow.limits.journal import Journal
from helixflow.limits.memory import MemoryLimitStore
from helixflow.limits.ports import Answer, Ask, CounterId
from helixflow.limits.purse import Purse
from helixflow.limits.refusals import quota_exceeded
from helixflow.limits.slots import Slots
from helixflow.limits.till import Request, Reserved, Till
from helixflow.limits.window import WINDOW_S
from helixflow.settings import LimitsSettings
from helixflow.testing.clock import ManualClock
from helixflow.testing.gateway import some_spec
from helixflow.testing.identity import some_principal

SETTINGS = LimitsSettings(
    lease_far_s=12.0, standby_s=20.0, slots_s=18.0, idle_s=15.0, journal_bytes_max=65_536
)
SPEC = some_spec(context_tokens=200, price=Price(input_usd=1.0, output_usd=2.0))


def body(max_tokens: int | None = None) -> ParsedBody:
    return ParsedBody("m", False, 1, max_tokens, 0, 0, 40)


@dataclass(eq=False)
class Admission:
    """A request that was let in: when, how much of each counter, and its truth once settled."""

    at: float
    holder: Holder
    reserved: Reserved
    amounts: dict[CounterId, int]
    running: bool = True


@dataclass(eq=False)
class Holder:
    """An Ingress process."""

    name: str
    purse: Purse
    till: Till
    waiting: list[Request] = field(default_factory=list)
    exchange: Exchange | None = None
    groups: Sequence[Sequence[Ask]] = ()
    answer: Answer | None = None
    processed: bool = False
    alive: bool = True


class World:
    """The store, its holders, and the log of what was let in."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.runner = asyncio.Runner()
        self.folder = folder
        self.boot = "boot-1"
        self.boots = 1
        self.only_minutes = False
        self.limits = {
            "rpm": 20,
            "rph": 60,
            "slots": 6,
            "tpm": 900,
            "hard": 8_000,
            "spend": 4_000_000,
        }
        base = some_principal()
        self.principals = [base, replace(base, key=some_principal().key)]
        self.holders: list[Holder] = []
        self.strays: list[tuple[Holder, Exchange, Sequence[Sequence[Ask]]]] = []
        self.log: list[Admission] = []
        self.store = self.open_store()
        self.change_limits({})

    # The store.

    def open_store(self) -> MemoryLimitStore:
        journal = Journal(self.folder, SETTINGS.journal_bytes_max, self.boot)
        store = MemoryLimitStore(self.clock, SETTINGS, journal, self)
        self.runner.run(store.silent(0.0))
        return store

    async def amounts(self, counter: CounterId, within_s: float) -> list[tuple[float, int]]:
        """`PastUse`: the log knows."""
        now = self.clock.monotonic()
        return [
            (now - one.at, one.amounts[counter])
            for one in self.log
            if counter in one.amounts and one.at > now - within_s
        ]

    def kill_store(self, torn: bytes = b"") -> None:
        """Die without a word, with a frame cut short at the end of the journal."""
        self.runner.run(self.store.close())
        segments = sorted(self.folder.glob("*.journal"))
        if segments and torn:
            with segments[-1].open("ab") as file:
                file.write(torn)
        self.store = self.open_store()

    def lose_journal(self) -> None:
        """Die, and the journal is gone."""
        self.runner.run(self.store.close())
        for segment in self.folder.glob("*.journal"):
            segment.unlink()
        self.store = self.open_store()

    def reboot_store(self, seconds: float) -> None:
        """The store's machine is booted; its clocks say nothing of before."""
        self.runner.run(self.store.close())
        self.advance(seconds)
        self.boots += 1
        self.boot = f"boot-{self.boots}"
        self.only_minutes = True
        self.store = self.open_store()

    def bury_the_silent(self) -> None:
        """What the platform does without any evidence of death: nothing of them runs any more."""
        busy = {one.holder.name for one in self.log if one.running}
        for name in self.runner.run(self.store.silent(SETTINGS.buried_s)):
            if name not in busy:
                self.runner.run(self.store.bury(name))

    # Holders.

    def start_holder(self) -> Holder:
        purse = Purse(SETTINGS)
        till = Till(purse, self.clock, 100, lambda: None)
        holder = Holder(f"h{len(self.holders)}", purse, till)
        self.holders.append(holder)
        return holder

    def crash(self, holder: Holder, buried: bool) -> None:
        """Die; what it ran is aborted. It may be known to be dead at once."""
        holder.alive = False
        if holder.exchange is not None and not holder.processed:
            self.strays.append((holder, holder.exchange, holder.groups))
        holder.exchange, holder.waiting = None, []
        for admission in self.log:
            if admission.holder is holder:
                admission.running = False
        if buried:
            self.strays = [stray for stray in self.strays if stray[0] is not holder]
            self.runner.run(self.store.bury(holder.name))

    def reserve(self, holder: Holder, key: int, max_tokens: int | None) -> None:
        """A request comes: it is let in, refused, or waits."""
        request = holder.till.measure(self.principals[key], SPEC, body(max_tokens))
        if not self.decide(holder, request) and len(holder.waiting) < 6:
            holder.waiting.append(request)

    def decide(self, holder: Holder, request: Request) -> bool:
        """Let it in or refuse it; False where neither can be done yet."""
        if quota_exceeded(request.demands, self.clock.monotonic()) is not None:
            return True
        reserved = holder.till.take(request)
        if reserved is None:
            return False
        amounts = {held.id: amount for held, amount in request.demands}
        self.log.append(Admission(self.clock.monotonic(), holder, reserved, amounts))
        self.admitted(request)
        return True

    def settle(self, admission: Admission, usage: Usage | None) -> None:
        """A request is over; from here on the log knows the truth, where it is less."""
        admission.running = False
        admission.reserved.settle(usage)
        if usage is None:
            return
        truths = {Measure.TOKENS: usage.total_tokens, Measure.SPEND: cost(SPEC.price, usage)}
        for counter, taken in admission.amounts.items():
            truth = truths.get(measure_of(counter.name), taken)
            admission.amounts[counter] = min(taken, truth)

    def send(self, holder: Holder) -> None:
        """Say what there is to say."""
        holder.waiting = [holder.till.current(request) for request in holder.waiting]
        waits = [(request.demands, 1) for request in holder.waiting]
        exchange = holder.purse.compose(waits, self.clock.monotonic())
        holder.exchange, holder.groups = exchange, exchange.groups
        holder.answer, holder.processed = None, False

    def process(self, holder: Holder) -> None:
        """The store hears it."""
        exchange = holder.exchange
        assert exchange is not None
        holder.processed = True
        holder.answer = self.runner.run(
            self.store.exchange(holder.name, exchange.number, exchange.acked, holder.groups)
        )
        for _ in range(5):
            self.runner.run(asyncio.sleep(0))  # it may ask for the past

    def deliver(self, holder: Holder) -> None:
        """The holder hears the answer."""
        assert holder.exchange is not None
        assert holder.answer is not None
        exchange, holder.exchange = holder.exchange, None
        holder.purse.apply(exchange, holder.answer, self.clock.monotonic())
        holder.waiting = [each for each in holder.waiting if not self.decide(holder, each)]
        holder.purse.tidy(exchange)

    def lose(self, holder: Holder) -> None:
        """The holder gives up on the answer; the store may hear the question later."""
        assert holder.exchange is not None
        holder.purse.lose(holder.exchange, self.clock.monotonic())
        if not holder.processed:
            self.strays.append((holder, holder.exchange, holder.groups))
        holder.exchange = None

    def hear_stray(self, index: int) -> None:
        """The store hears a question that nobody waits for any more."""
        holder, exchange, groups = self.strays.pop(index)
        self.runner.run(self.store.exchange(holder.name, exchange.number, exchange.acked, groups))

    # Time and limits.

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def change_limits(self, changes: dict[str, int]) -> None:
        """Limits change for everybody at once, as far as requests are concerned."""
        self.limits |= changes
        limits = self.limits
        organization, key = (Scope.ORGANIZATION,), (Scope.KEY,)
        quotas = (
            Quota(LimitName.REQUESTS_PER_MINUTE, organization, limits["rpm"]),
            Quota(LimitName.REQUESTS_PER_HOUR, key, limits["rph"]),
            Quota(LimitName.CONCURRENT_REQUESTS, organization, limits["slots"]),
            Quota(LimitName.TOKENS_PER_MINUTE, key, limits["tpm"]),
            Quota(LimitName.TOKENS_PER_HOUR, organization, limits["hard"], hard=True),
            Quota(LimitName.SPEND_PER_DAY, organization, limits["spend"]),
        )
        self.principals = [replace(each, quotas=quotas) for each in self.principals]
        for holder in self.holders:
            # Who waits is measured again, as its principal is another one.
            holder.waiting = [
                holder.till.measure(self.same(request.plan.principal), SPEC, request.body)
                for request in holder.waiting
            ]

    def same(self, principal: Principal) -> Principal:
        """Who that is today."""
        return next(each for each in self.principals if each.key == principal.key)

    # What must be true.

    def admitted(self, request: Request) -> None:
        """A request was just let in: by the log, is every limit kept?"""
        now = self.clock.monotonic()
        for held, _ in request.demands:
            name, limit = held.id.name, held.limit
            window_s = WINDOW_S.get(name)
            if window_s is None:
                counted = sum(one.running for one in self.log if held.id in one.amounts)
            elif window_s > 60 and self.only_minutes:
                continue
            else:
                counted = sum(
                    one.amounts.get(held.id, 0) for one in self.log if one.at > now - window_s
                )
            assert counted <= limit, f"{name}: {counted} of {limit}"

    def sane(self) -> None:
        """Nothing is negative."""
        for admission in self.log:
            assert all(amount >= 0 for amount in admission.amounts.values())
        for holder in self.holders:
            for held, _ in (demand for wait in holder.waiting for demand in wait.demands):
                assert not isinstance(held, Slots) or held.running >= 0

    # How it ends.

    def quiet_down(self) -> None:
        """Everything is settled and said; then all windows pass."""
        for holder in self.holders:
            if not holder.alive:
                self.runner.run(self.store.bury(holder.name))
                continue
            holder.waiting = []
            if holder.exchange is not None:
                self.lose(holder)
        for admission in self.log:
            if admission.running and admission.holder.alive:
                self.settle(admission, None)
        for holder in self.holders:
            if holder.alive:
                holder.purse.give_all_back()
                self.talk(holder)
        self.advance(2 * 86_400.0)
        for holder in self.holders:
            if holder.alive:
                holder.purse.tick(self.clock.monotonic())
                self.talk(holder)

    def talk(self, holder: Holder) -> None:
        """Exchange until there is nothing to say."""
        for _ in range(10):
            if not holder.purse.has_news:
                return
            self.send(holder)
            self.process(holder)
            self.deliver(holder)
        raise AssertionError("the holder never stops talking")

    def all_is_there(self) -> None:
        """A newcomer can have every limit whole."""
        lines = [line for each in self.principals for line in lines_for(each, SPEC.name)]
        asks = {
            line.counter: Ask(line.counter, line.limit, 1, line.limit, line.limit, 1.0)
            for line in lines
        }
        groups = [tuple(asks.values())]
        (grants,) = self.runner.run(self.store.exchange("newcomer", 1, 0, groups)).grants
        missing = [
            f"{ask.counter.name}: {grant.remaining} of {ask.limit}"
            for ask, grant in zip(groups[0], grants, strict=True)
            if grant.retry_after_s > 0
        ]
        assert not missing, missing

    def close(self) -> None:
        self.runner.run(self.store.close())
        self.runner.close()
