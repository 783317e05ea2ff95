"""Any interleaving of requests, exchanges, crashes and clock steps: is a limit ever passed?"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from helixflow.inference.usage import Usage

from .limits_world import Admission, Holder, World

many = st.integers(0, 1_000)
pauses = st.sampled_from([0.01, 0.3, 1.0, 2.5, 5.0, 5.5, 6.0, 12.0, 13.0, 21.0, 60.0, 61.5])


class Limits(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.world = World(self.folder)
        self.disaster = ""

    @initialize(holders=st.integers(1, 4), disaster=st.sampled_from(["", "", "", "lost", "boot"]))
    def begin(self, holders: int, disaster: str) -> None:
        self.disaster = disaster
        for _ in range(holders):
            self.world.start_holder()

    def alive(self) -> list[Holder]:
        return [holder for holder in self.world.holders if holder.alive]

    def pick(self, index: int) -> Holder:
        alive = self.alive()
        return alive[index % len(alive)]

    def running(self) -> list[Admission]:
        return [one for one in self.world.log if one.running]

    @rule(index=many, key=st.integers(0, 1), max_tokens=st.sampled_from([None, 5, 60]))
    def reserve(self, index: int, key: int, max_tokens: int | None) -> None:
        self.world.reserve(self.pick(index), key, max_tokens)

    @rule(index=many, times=st.integers(1, 8), key=st.integers(0, 1))
    def reserve_and_ask(self, index: int, times: int, key: int) -> None:
        holder = self.pick(index)
        for _ in range(times):
            self.world.reserve(holder, key, 5)
            self.talk(holder)

    @rule(times=st.integers(1, 4))
    def everybody_works(self, times: int) -> None:
        for _ in range(times):
            for holder in self.alive():
                self.world.reserve(holder, 0, 5)
            for holder in self.alive():
                self.talk(holder)
            for admission in self.running()[:3]:
                self.world.settle(admission, Usage(20, 5))

    def talk(self, holder: Holder) -> None:
        """Bring what is on its way to its end, then exchange once more."""
        for _ in range(2):
            if holder.exchange is None:
                self.world.send(holder)
            if not holder.processed:
                self.world.process(holder)
            self.world.deliver(holder)

    @precondition(lambda self: self.running())
    @rule(
        times=st.integers(1, 9), prompt=st.integers(0, 60), output=st.integers(0, 60),
        known=st.booleans(), newest=st.booleans(),
    )  # fmt: skip
    def settle(self, times: int, prompt: int, output: int, known: bool, newest: bool) -> None:
        running = self.running()
        for admission in running[-times:] if newest else running[:times]:
            most = admission.reserved.request.body.max_tokens
            usage = Usage(prompt, output if most is None else min(output, most))
            self.world.settle(admission, usage if known else None)

    @rule(index=many)
    def send(self, index: int) -> None:
        holder = self.pick(index)
        if holder.exchange is None:
            self.world.send(holder)

    @rule(index=many)
    def process(self, index: int) -> None:
        holder = self.pick(index)
        if holder.exchange is not None and not holder.processed:
            self.world.process(holder)

    @rule(index=many)
    def deliver(self, index: int) -> None:
        holder = self.pick(index)
        if holder.exchange is not None and holder.processed:
            self.world.deliver(holder)

    @rule(index=many)
    def lose(self, index: int) -> None:
        holder = self.pick(index)
        if holder.exchange is not None:
            self.world.lose(holder)

    @precondition(lambda self: self.world.strays)
    @rule(index=many)
    def hear_a_stray(self, index: int) -> None:
        self.world.hear_stray(index % len(self.world.strays))

    @rule(index=many)
    def tick(self, index: int) -> None:
        holder = self.pick(index)
        holder.purse.tick(self.world.clock.monotonic())

    @rule(index=many)
    def stand_in(self, index: int) -> None:
        holder = self.pick(index)
        for request in holder.waiting:
            holder.purse.stand_in(request.demands, self.world.clock.monotonic())
        holder.waiting = [each for each in holder.waiting if not self.world.decide(holder, each)]

    @rule(seconds=pauses)
    def advance(self, seconds: float) -> None:
        self.world.advance(seconds)

    @rule(seconds=pauses)
    def advance_with_heartbeats(self, seconds: float) -> None:
        self.world.advance(min(seconds, 15.0))
        for holder in self.alive():
            holder.purse.tick(self.world.clock.monotonic())
            self.talk(holder)

    @precondition(lambda self: len(self.world.holders) < 7)
    @rule(index=many, buried=st.booleans())
    def crash(self, index: int, buried: bool) -> None:
        self.world.start_holder()
        self.world.crash(self.pick(index), buried)

    @rule()
    def bury_the_silent(self) -> None:
        self.world.bury_the_silent()

    @rule(torn=st.binary(max_size=11))
    def kill_the_store(self, torn: bytes) -> None:
        self.world.kill_store(torn)

    @precondition(lambda self: self.disaster == "lost")
    @rule()
    def lose_the_journal(self) -> None:
        self.disaster = ""
        self.world.lose_journal()

    @precondition(lambda self: self.disaster == "boot")
    @rule(seconds=pauses)
    def reboot(self, seconds: float) -> None:
        self.disaster = ""
        self.world.reboot_store(seconds)

    @rule(by=st.sampled_from([-1e6, -100.0, 100.0, 1e6]))
    def set_the_date(self, by: float) -> None:
        self.world.clock.set_wall(self.world.clock.now() + by)

    @rule(
        rpm=st.integers(1, 30),
        slots=st.integers(0, 9),
        tpm=st.integers(50, 2_000),
    )
    def change_limits(self, rpm: int, slots: int, tpm: int) -> None:
        self.world.change_limits({"rpm": rpm, "slots": slots, "tpm": tpm})

    @invariant()
    def nothing_is_negative(self) -> None:
        self.world.sane()

    def teardown(self) -> None:
        try:
            if self.world.holders:
                self.world.quiet_down()
                self.world.all_is_there()
        finally:
            self.world.close()
            shutil.rmtree(self.folder)


TestLimits = Limits.TestCase
TestLimits.settings = settings(deadline=None, stateful_step_count=60)
