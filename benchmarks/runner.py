"""Runs scenarios: each system in turn, started, warmed, driven, stopped.

Failure behavior: a system that does not come up, or dies while it is driven, is written down with
the reason, and the run goes on; whatever it left behind is ended by process ids first.
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks.load import crew
from benchmarks.load.outcome import Outcome
from benchmarks.machine import machine, versions
from benchmarks.results import Measurement, Run, Visit
from benchmarks.scenarios.estimate import estimate_s, minutes
from benchmarks.scenarios.ports import Load, Probe, Scenario
from benchmarks.stage import Stage
from benchmarks.stats.order import alternating
from benchmarks.stats.summary import summary
from benchmarks.systems.ports import Running, StartFailed, System

Say = Callable[[str], None]


class Runner:
    """One run. `folder` receives the samples and, where a system failed, its log."""

    def __init__(self, folder: Path, say: Say, *, full: bool = False) -> None:
        self._folder = folder
        self._say = say
        self._begin = time.monotonic()
        self._turn = 0
        self._stage = Stage()
        self._samples = gzip.open(folder / "samples.jsonl.gz", "ab")  # noqa: SIM115 - see close
        self.run = Run(
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            full=full,
            machine=machine(),
            versions=versions(),
        )

    def close(self) -> None:
        """Stop what runs, and finish the files."""
        self._stage.clear()
        self._samples.close()

    def measure_all(self, scenarios: Sequence[Scenario]) -> None:
        """Run them one after the other; a system that two neighbours share is started once."""
        parts = [estimate_s(scenario) for scenario in scenarios]
        self._say(f"about {minutes(sum(parts))} in all")
        for number, scenario in enumerate(scenarios):
            passed, left = time.monotonic() - self._begin, sum(parts[number:])
            self._say(
                f"[{number + 1} of {len(scenarios)}, after {minutes(passed)}, about "
                f"{minutes(left)} to go] {scenario.name}"
            )
            self.measure(scenario)
        self._stage.clear()
        self._finished()

    def measure(self, scenario: Scenario) -> None:
        """Run a scenario to its end; the system of its last visit is still there afterwards."""
        self.run.describe(scenario.described())
        self._say(
            f"{scenario.title}: {scenario.visits} x {scenario.rounds} repeats of each system, "
            f"about {minutes(estimate_s(scenario))}"
        )
        for visit, make in alternating(scenario.systems, scenario.visits):
            self._visit(scenario, make(), visit)
            if scenario.spoils:
                self._stage.clear()
            self._finished()

    def _finished(self) -> None:
        self.run.duration_s = time.monotonic() - self._begin
        save(self.run, self._folder)

    def _visit(self, scenario: Scenario, system: System, visit: int) -> None:
        record = Visit(scenario.name, system.name, visit, self._turn)
        self._turn += 1
        self.run.visits.append(record)
        try:
            self._use(scenario, system, record)
        except Exception as error:  # whatever it was, the others are still measured
            known = isinstance(error, StartFailed | crew.LoadFailed)
            record.fault = str(error) if known else f"{type(error).__name__}: {error}"
            self._say(f"  {system.title}: FAILED: {record.fault}")
            self._keep_logs(record)
            self._stage.clear()

    def _use(self, scenario: Scenario, system: System, record: Visit) -> None:
        system, running = self._stage.enter(system, record)
        known = "runs already" if record.shared else f"ready after {running.ready_s:.1f} s"
        self._say(f"  {system.title}: {known}")
        turns = scenario.turns()
        for number, (round_, load) in enumerate(turns):
            if round_ == 0 and (scenario.staged or number == 0):
                for each in (load,) if scenario.staged else scenario.loads:
                    each.prepare(running)
            # Counted over all visits, for two may share a system that remembers prompts.
            place = (record.visit, round_, record.visit * len(turns) + number + 1)
            if isinstance(load, Load):
                self._load(scenario, system, running, load, place)
            else:
                self._probe(scenario, system, running, load, place)
        record.processes = system.family.memory()
        record.memory_mib = sum(mib for _, mib in record.processes.values())

    def _load(
        self,
        scenario: Scenario,
        system: System,
        running: Running,
        load: Load,
        place: tuple[int, int, int],
    ) -> None:
        visit, round_, turn = place
        family = system.family
        before = family.cpu_s()
        outcome = crew.drive(load.plan(running, turn))
        spent_s = family.spent_s(before)
        figures = summary(outcome, load.pace) | cost(spent_s, outcome)
        if scenario.watched:
            figures["memory_mib"] = family.memory_mib()
            figures["open_files"] = float(family.open_files())
        measured = Measurement(
            scenario.name, system.name, load.name, visit, round_, figures, outcome.errors
        )
        if outcome.answered:
            measured.cpu_ms = {k: s * 1e3 / outcome.answered for k, s in spent_s.items()}
        self._keep(measured, outcome, load.title)

    def _probe(
        self,
        scenario: Scenario,
        system: System,
        running: Running,
        probe: Probe,
        place: tuple[int, int, int],
    ) -> None:
        visit, round_, _ = place
        probed = probe.measure(running)
        outcome = probed.outcome
        counts = {"errors": float(outcome.failed), "answered": float(outcome.answered)}
        measured = Measurement(
            scenario.name, system.name, probe.name, visit, round_, counts | probed.figures,
            outcome.errors,
        )  # fmt: skip
        self._keep(measured, outcome, probe.title)

    def _keep(self, measured: Measurement, outcome: Outcome, title: str) -> None:
        self.run.measurements.append(measured)
        self._keep_samples(measured, outcome)
        self._say(f"    {title}: {_line(measured.figures)}")

    def _keep_samples(self, measured: Measurement, outcome: Outcome) -> None:
        place = {
            name: getattr(measured, name)
            for name in ("scenario", "system", "load", "visit", "round")
        }
        self._samples.write(msgspec.json.encode({**place, "outcome": outcome}) + b"\n")

    def _keep_logs(self, record: Visit) -> None:
        folder = self._stage.folder
        for log in [] if folder is None else folder.glob("*.log"):
            kept = self._folder / f"{record.scenario}-{record.system}-{record.visit}-{log.name}"
            kept.write_bytes(log.read_bytes()[-100_000:])


def cost(spent_s: dict[str, float], outcome: Outcome) -> dict[str, float]:
    """CPU of all of a system's processes per request and per 1,000 tokens, ms."""
    if not outcome.answered:
        return {}
    spent_ms = sum(spent_s.values()) * 1e3
    return {
        "cpu_ms_per_request": spent_ms / outcome.answered,
        "cpu_ms_per_1000_tokens": spent_ms * 1e3 / outcome.tokens,
    }


def save(run: Run, folder: Path) -> None:
    """Write `results.json`."""
    raw = msgspec.json.format(msgspec.json.encode(run), indent=1)
    (folder / "results.json").write_bytes(raw)


def _line(figures: dict[str, float]) -> str:
    names: Sequence[tuple[str, str]] = (
        ("requests_per_s", "{:.1f} requests/s"),
        ("tokens_per_s", "{:.0f} tokens/s"),
        ("latency_p50_ms", "p50 {:.2f} ms"),
        ("latency_p99_ms", "p99 {:.2f} ms"),
        ("first_token_p50_ms", "first token {:.1f} ms"),
        ("refused", "{:.0f} refused"),
        ("refused_p99_ms", "refused within {:.1f} ms (p99)"),
        ("whole_us", "{:,.0f} µs in all"),
        ("outside_us", "{:,.0f} µs outside the pipeline"),
        ("memory_mib", "{:,.0f} MiB"),
        ("open_files", "{:.0f} open files"),
        ("added_us", "{:.2f} µs added"),
        ("events_per_s", "{:,.0f} events/s"),
        ("records_per_s", "{:,.0f} records/s"),
        ("lag_p99_s", "journal lag p99 {:.2f} s"),
        ("memory_growth_mib", "grew by {:.1f} MiB"),
        ("look_up_p50_ms", "p50 {:.2f} ms"),
        ("look_up_p99_ms", "p99 {:.2f} ms"),
        ("warm_us", "warm {:.2f} µs"),
        ("revoked_p50_ms", "p50 {:.0f} ms"),
        ("revoked_max_ms", "last {:.0f} ms"),
        ("limits_us", "{:.1f} µs added"),
        ("limits_store_us", "{:.1f} µs in the store"),
        ("limits_exchanges", "{:.1f} exchanges per 1,000"),
        ("limits_waits", "{:.1f} waits per 1,000"),
        ("limits_offered", "{:.0f} offered"),
        ("limits_admitted", "{:.0f} admitted"),
        ("limits_over", "{:.0f} over"),
        ("limits_unavailable", "{:.0f} unavailable"),
        ("trickle_wait_max_ms", "a trickle waits at most {:.0f} ms"),
        ("drift_of_bound", "drift {:.2f} of the bound"),
    )
    said = [form.format(figures[name]) for name, form in names if name in figures]
    if figures["errors"]:
        said.append(f"{figures['errors']:.0f} ERRORS")
    return ", ".join(said)
