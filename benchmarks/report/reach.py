"""What the project wants to reach, and whether this run did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.results import Run
from benchmarks.stats.spread import Figure, figure

OURS = "helixflow"


@dataclass(frozen=True, slots=True)
class Goal:
    """One line of the table: `measured` is None where this run did not measure it."""

    what: str
    target: float
    unit: str
    measured: Figure | None
    at_least: bool = True

    @property
    def verdict(self) -> str:
        """By the median; a spread that crosses the target is said."""
        seen = self.measured
        if seen is None:
            return "not measured"
        reached = seen.median >= self.target if self.at_least else seen.median <= self.target
        crosses = seen.low < self.target < seen.high
        word = "reached" if reached else "**not reached**"
        return f"{word} (repeats on both sides)" if crosses else word


def goals(run: Run) -> list[Goal]:
    """Every goal that this benchmark knows."""
    found = [
        Goal(
            f"tokens/s beside bare vLLM, {title}", 1.0, "x",
            _ratio(run, "real_model", "vllm", load, "tokens_per_s"),
        )
        for load, title in (("s1", "1 stream"), ("s8", "8 streams"), ("s32", "32 streams"))
    ]  # fmt: skip
    found += [
        Goal(
            f"requests/s beside the bare one-hop Serve app, {title}", 0.8, "x",
            _ratio(run, "gateway", "serve", load, "requests_per_s"),
        )
        for load, title in (("c1", "1 connection"), ("c32", "32 connections"))
    ]  # fmt: skip
    found += [
        Goal(
            f"tokens/s beside ray.serve.llm, {title}", 1.0, "x",
            _ratio(run, "llm_peers", "ray_serve_llm", load, "tokens_per_s"),
        )
        for load, title in (("s1", "1 stream"), ("s8", "8 streams"), ("s32", "32 streams"))
    ]  # fmt: skip
    found += [
        Goal(
            "requests/s beside LiteLLM, 32 connections", 7.0, "x",
            _ratio(run, "peers", "litellm", "c32", "requests_per_s"),
        ),
        Goal(
            "latency p50 beside LiteLLM, 1 connection", 0.2, "x",
            _ratio(run, "peers", "litellm", "c1", "latency_p50_ms"), at_least=False,
        ),
    ]  # fmt: skip
    return [
        *found,
        Goal("from start to the first token", 60.0, "s", first_token(run), at_least=False),
        *_fairness(run),
        *_identity(run),
        *_telemetry(run),
    ]


def _identity(run: Run) -> Iterator[Goal]:
    for load, title, target in (
        ("none", "no policy", 30.0),
        ("plain", "a policy that reads no context", 30.0),
        ("context", "policies that read address and hour", 80.0),
        ("second", "policies that read address and second", 80.0),
        ("both", "one policy that reads both", 80.0),
    ):
        measured = figure(run.series("identity_cpu", OURS, load, "added_us"))
        yield Goal(f"CPU added by identity, {title}", target, "µs", measured, at_least=False)
    for system, title in (("sqlite", "SQLite"), ("postgres", "PostgreSQL")):
        least, most = _stores(run, system)
        for share in ("p50", "p99"):
            cold = figure(run.series("identity_keys", system, most, f"look_up_{share}_ms"))
            what = f"cold key look-up {share}, {title}, {_keys(most)}"
            yield Goal(what, 3.0, "ms", cold, at_least=False)
        flat = run.growth("identity_keys", system, (least, most), "look_up_p50_ms")
        what = f"cold key look-up, {title}, {_keys(most)} beside {_keys(least)}"
        yield Goal(what, 1.25, "x", flat, at_least=False)
    last = figure(run.series("identity_revocation", OURS, "revoke", "revoked_max_ms"))
    yield Goal("a revoked key is refused everywhere", 1000.0, "ms", last, at_least=False)


def _telemetry(run: Run) -> Iterator[Goal]:
    for name, what, target in (
        ("added_us", "CPU added by telemetry to a request", 60.0),
        ("added_chunk_us", "CPU added by telemetry to a chunk", 2.0),
    ):
        measured = figure(run.series("telemetry", OURS, "recording", name))
        yield Goal(what, target, "µs", measured, at_least=False)
    pace = figure(run.series("telemetry", OURS, "hub_files", "events_per_s"))
    yield Goal("events through the hub into files", 5000.0, "/s", pace)


def _stores(run: Run, system: str) -> tuple[str, str]:
    """The loads of the smallest and the largest store that were measured."""
    sizes = {
        int(each.load[1:])
        for each in run.measurements
        if (each.scenario, each.system) == ("identity_keys", system)
    } or {1_000}
    return f"k{min(sizes)}", f"k{max(sizes)}"


def _fairness(run: Run) -> Iterator[Goal]:
    for load, engine in (("echo", "echo engine"), ("real", "real engine")):
        for name, what in (
            ("wait_in_sequences", "a trickle beside a flood waits, in the time of a sequence"),
            ("drift_of_bound", "two floods' service drifts apart, beside the paper's bound"),
        ):
            measured = figure(run.series("fairness", OURS, load, name))
            yield Goal(f"{what}, {engine}", 1.0, "x", measured, at_least=False)


def _keys(load: str) -> str:
    return f"{int(load[1:]):,} keys"


def first_token(run: Run) -> Figure | None:
    """From the start command to the first token of a real model, seconds."""
    return figure(
        [
            visit.first_token_s
            for visit in run.visits
            if visit.system == OURS and visit.scenario != "gateway" and visit.first_token_s
        ]
    )


def _ratio(run: Run, scenario: str, reference: str, load: str, name: str) -> Figure | None:
    return run.ratio(scenario, OURS, reference, load, name)
