"""What a run leaves behind, as plain structs: `results.json` is exactly this.

No key, host name, user name or path of the machine is in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from benchmarks.stats.spread import Figure, ratios


class Visit(Struct):
    """One system, started and stopped once.

    Attributes:
        turn: the place in the run's order, from 0.
        ready_s: from the start command until the system answered.
        first_token_s: from the start command until a first token; 0 where nobody asked for one.
        stop_s: how long stopping took.
        left: processes that were still there after it had stopped (and were then ended).
        shared: whether it went on with the system of the visit before it (times are 0 then).
        memory_mib: held by all of its processes after its loads (PSS).
        processes: by what they are: how many, and the memory that they hold together, MiB.
        facts: flags and settings.
        fault: why it could not be measured, or empty.
    """

    scenario: str
    system: str
    visit: int
    turn: int
    ready_s: float = 0.0
    first_token_s: float = 0.0
    stop_s: float = 0.0
    left: int = 0
    memory_mib: float = 0.0
    shared: bool = False
    processes: dict[str, tuple[int, float]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    fault: str = ""


class Measurement(Struct):
    """One load on one system, once. `figures` are those of stats/summary.py and of its processes:
    `cpu_ms_per_request`, `cpu_ms_per_1000_tokens`. `cpu_ms` is CPU per request by what the
    processes are."""

    scenario: str
    system: str
    load: str
    visit: int
    round: int
    figures: dict[str, float]
    errors: dict[str, int] = field(default_factory=dict)
    cpu_ms: dict[str, float] = field(default_factory=dict)


class Described(Struct):
    """A scenario in words. Systems and loads: key to title, in their order; the last system is
    ours."""

    name: str
    title: str
    systems: dict[str, str]
    loads: dict[str, str]


class Run(Struct):
    """Everything."""

    started: str
    duration_s: float = 0.0
    full: bool = False
    machine: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    scenarios: list[Described] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)

    def series(self, scenario: str, system: str, load: str, name: str) -> list[float]:
        """A figure's repeats in the order in which they were measured, by visit and round."""
        return list(self._repeats(scenario, system, load, name).values())

    def ratio(self, scenario: str, ours: str, theirs: str, load: str, name: str) -> Figure | None:
        """The figure of `ours / theirs` over the repeats that both have."""
        our_repeats = self._repeats(scenario, ours, load, name)
        their_repeats = self._repeats(scenario, theirs, load, name)
        both = [repeat for repeat in our_repeats if repeat in their_repeats]
        return ratios([our_repeats[r] for r in both], [their_repeats[r] for r in both])

    def growth(
        self, scenario: str, system: str, loads: tuple[str, str], name: str
    ) -> Figure | None:
        """The figure of `second / first` of two loads on one system; None where they are one."""
        first, second = (self._repeats(scenario, system, load, name) for load in loads)
        both = [repeat for repeat in second if repeat in first and loads[0] != loads[1]]
        return ratios([second[r] for r in both], [first[r] for r in both])

    def first_series(
        self, scenarios: Iterable[str], system: str, load: str, name: str
    ) -> list[float]:
        """The series of the first of these scenarios that has one."""
        found = (self.series(scenario, system, load, name) for scenario in scenarios)
        return next((each for each in found if each), [])

    @staticmethod
    def merged(runs: Sequence[Run]) -> Run:
        """Several runs as one: their visits one after the other, machine and versions of the first
        one. Repeats are still paired within their own run."""
        if len(runs) == 1:
            return runs[0]
        whole = Run(", ".join(run.started for run in runs), full=all(run.full for run in runs))
        whole.machine, whole.versions = runs[0].machine, runs[0].versions
        for run in runs:
            begin = 1 + max((visit.visit for visit in whole.visits), default=-1)
            whole.duration_s += run.duration_s
            whole.visits += [replace(each, visit=each.visit + begin) for each in run.visits]
            whole.measurements += [
                replace(each, visit=each.visit + begin) for each in run.measurements
            ]
            for described in run.scenarios:
                whole.describe(described)
        return whole

    def describe(self, added: Described) -> None:
        """Note a scenario; its systems and loads join those of the same name."""
        for index, known in enumerate(self.scenarios):
            if known.name == added.name:
                self.scenarios[index] = replace(
                    added,
                    systems=_last(known.systems | added.systems, added.systems),
                    loads=known.loads | added.loads,
                )
                return
        self.scenarios.append(added)

    def _repeats(
        self, scenario: str, system: str, load: str, name: str
    ) -> dict[tuple[int, int], float]:
        """By visit and round, in that order."""
        found = {
            (each.visit, each.round): each.figures[name]
            for each in self.measurements
            if (each.scenario, each.system, each.load) == (scenario, system, load)
            and name in each.figures
        }
        return dict(sorted(found.items()))


def _last(systems: dict[str, str], order: dict[str, str]) -> dict[str, str]:
    """Those that are in `order` come last, so that ours stays the last one."""
    others = [name for name in systems if name not in order]
    return {name: systems[name] for name in (*others, *order)}
