"""What a scenario is: systems, and the loads (or probes) that each of them is put under."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from benchmarks.load import crew
from benchmarks.load.outcome import Outcome
from benchmarks.load.plan import Closed, Expected, Pace, Plan
from benchmarks.results import Described
from benchmarks.scenarios.bodies import CHAT
from benchmarks.systems.ports import Running, System

TURN = "@TURN@"


@dataclass(frozen=True, slots=True)
class Load:
    """One load, for every system of its scenario the same.

    Attributes:
        name: a short key, `title` what people read.
        bodies: JSON requests, sent in turn; `TURN` in them becomes a number.
        tokens: of each body's right answer, where they are not all the same.
        pace: how they leave; `warm_up` how they do before anything is counted.
    """

    name: str
    title: str
    bodies: tuple[str, ...]
    expected: Expected
    pace: Pace
    warm_up: Closed
    tokens: tuple[int, ...] = ()

    def prepare(self, running: Running) -> None:
        """See `Probe.prepare`: the first requests."""
        crew.drive(self.warming(running))

    def plan(self, running: Running, turn: int) -> Plan:
        """This load on a system. `turn` counts a system's loads: no prompt comes twice."""
        return self._plan(running, str(turn), self.pace)

    def warming(self, running: Running) -> Plan:
        """Requests of the same kind, before anything is counted."""
        return self._plan(running, "0", self.warm_up)

    def _plan(self, running: Running, turn: str, pace: Pace) -> Plan:
        bodies = [body.replace(TURN, turn) for body in self.bodies]
        target = running.target(CHAT)
        return Plan(target, bodies, self.expected, pace, tokens=list(self.tokens))


class Probe(Protocol):
    """A measurement that is no load of requests: it uses the running system in its own way."""

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    def prepare(self, running: Running) -> None:
        """Whatever must stand before anything is measured."""
        ...

    def measure(self, running: Running) -> Probed:
        """One repeat. Raises `LoadFailed` (load/crew.py) where it cannot be measured."""
        ...


@dataclass(frozen=True, slots=True)
class Probed:
    """One repeat of a probe: its figures, and every sample in the outcome's `latency_ms`."""

    figures: dict[str, float]
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Scenario:
    """A meeting of systems.

    Attributes:
        name: a short key, `title` what people read.
        systems: what makes each system anew; the last one is ours, the first one its reference.
        loads: loads and probes, in the order in which every visit drives them.
        visits: how often each system is started.
        rounds: how often the loads are driven within one visit.
        watched: whether memory and open files are looked at after every load.
        staged: whether each load is prepared when its turn comes, and has all of its repeats before
            the next one's: what grows is not made small again.
        spoils: whether its systems are not as they were afterwards, and nobody goes on with them.
        probe_s: about how long one repeat of each probe takes on two cores.
    """

    name: str
    title: str
    systems: tuple[Callable[[], System], ...]
    loads: tuple[Load | Probe, ...]
    visits: int
    rounds: int
    watched: bool = False
    staged: bool = False
    spoils: bool = False
    probe_s: float = 5.0

    def turns(self) -> list[tuple[int, Load | Probe]]:
        """`(round, load)` of one visit, in their order."""
        if self.staged:
            return [(round_, load) for load in self.loads for round_ in range(self.rounds)]
        return [(round_, load) for round_ in range(self.rounds) for load in self.loads]

    def described(self) -> Described:
        """The scenario in words."""
        systems = [make() for make in self.systems]
        return Described(
            self.name,
            self.title,
            {system.name: system.title for system in systems},
            {load.name: load.title for load in self.loads},
        )
