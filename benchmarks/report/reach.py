"""What the project wants to reach, and whether this run did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.report.headline import GATEWAYS, OURS, wrong
from benchmarks.results import Run
from benchmarks.stats.spread import Figure, figure, ratios

PLAIN = "helixflow_plain"
# Where the first answer is a real model's.
_REAL = ("real_model", "llm_peers")


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
            f"requests/s beside the bare one-hop Serve app, {title}", target, "x",
            _first(run, ("gateway", "floor"), system, "serve", load, "requests_per_s"),
        )
        for system, on, target in ((PLAIN, "", 0.8), (OURS, ", everything on", 0.7))
        for load, title in (("c1", f"1 connection{on}"), ("c32", f"32 connections{on}"))
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
            _first(run, GATEWAYS, OURS, "litellm", "c32", "requests_per_s"),
        ),
        Goal(
            "latency p50 beside LiteLLM, 1 connection", 0.2, "x",
            _first(run, GATEWAYS, OURS, "litellm", "c1", "latency_p50_ms"), at_least=False,
        ),
    ]  # fmt: skip
    return [
        *found,
        Goal("from start to the first token", 60.0, "s", first_token(run), at_least=False),
        *_load(run),
        *_fairness(run),
        *_identity(run),
        *_telemetry(run),
        *_limits(run),
    ]


def _load(run: Run) -> Iterator[Goal]:
    """What the gateway bears: its rate, overload, very many connections, a long time."""
    rate = figure(run.first_series(GATEWAYS, OURS, "c32", "requests_per_s"))
    yield Goal("requests/s on echo, everything on, 32 connections", 1000.0, "/s", rate)
    what = "wrong answers on echo, everything on"
    yield Goal(what, 0.0, "", wrong(run), at_least=False)
    flood = run.growth("overload", OURS, ("below", "flood"), "latency_p99_ms")
    yield Goal("p99 of admitted requests, 2x beside 0.8x", 2.0, "x", flood, at_least=False)
    after = run.growth("overload", OURS, ("below", "after"), "latency_p99_ms")
    yield Goal("the same right after the flood", 1.2, "x", after, at_least=False)
    refused = figure(run.series("overload", OURS, "flood", "refused_p99_ms"))
    yield Goal("a refusal's p99 at 2x", 50.0, "ms", refused, at_least=False)
    most = max(
        (int(each.load[1:]) for each in run.measurements if each.scenario == "connections"),
        default=0,
    )
    many = run.growth("connections", OURS, ("c32", f"c{most}"), "requests_per_s")
    yield Goal("requests/s at very many connections beside 32", 0.9, "x", many)
    for grown, what in (("keys", "many keys"), ("large", "many keys and models")):
        rate = run.growth("growth", OURS, ("small", grown), "requests_per_s")
        yield Goal(f"requests/s with {what} beside few", 0.9, "x", rate)
    four = run.ratio("growth_ingresses", OURS, "helixflow_1", "c32", "requests_per_s")
    yield Goal("requests/s with 4 Ingress replicas beside 1", 0.9, "x", four)
    for scenario, what in (
        ("long_prompts", "prompts of 4,000 tokens, 4 streams"),
        ("shared_prefixes", "shared prefixes, 8 streams"),
        ("length_mix", "lengths of conversations, 8 streams"),
    ):
        load = "s4" if scenario == "long_prompts" else "s8"
        beside = _ratio(run, scenario, "vllm", load, "tokens_per_s")
        yield Goal(f"tokens/s beside bare vLLM, {what}", 1.0, "x", beside)
        first = _ratio(run, scenario, "vllm", load, "first_token_p50_ms")
        yield Goal(f"first token p50 beside bare vLLM, {what}", 1.0, "x", first, at_least=False)
    for name, what in (("memory_mib", "memory"), ("open_files", "open files")):
        yield Goal(
            f"{what} after the soak beside its start",
            1.05,
            "x",
            _grown(run.series("soak", OURS, "c8", name)),
            at_least=False,
        )


def _grown(series: list[float]) -> Figure | None:
    """The last fifth of a series beside its first fifth: the first minute is left out, in which
    caches fill."""
    rest = series[1:]
    part = len(rest) // 5
    return ratios(rest[-part:], rest[:part]) if part else None


def _identity(run: Run) -> Iterator[Goal]:
    for load, title, target in (
        ("none", "no policy", 30.0),
        ("plain", "a policy that reads no context", 30.0),
        ("context", "policies that read address and hour", 80.0),
        ("second", "policies that read address and second", 80.0),
        ("both", "one policy that reads both", 80.0),
    ):
        measured = figure(run.first_series(("identity_cpu", "costs"), OURS, load, "added_us"))
        yield Goal(f"CPU added by identity, {title}", target, "µs", measured, at_least=False)
    for system, title in (("sqlite", "SQLite"), ("postgres", "PostgreSQL")):
        least, most = _stores(run, system)
        for share in ("p50", "p99"):
            cold = figure(run.series("identity_keys", system, most, f"look_up_{share}_ms"))
            what = f"cold key look-up {share}, {title}, {_keys(most)}"
            yield Goal(what, 3.0, "ms", cold, at_least=False)
        for name, of_what in (("look_up_p50_ms", "cold key look-up"), ("warm_us", "warm key")):
            flat = run.growth("identity_keys", system, (least, most), name)
            what = f"{of_what}, {title}, {_keys(most)} beside {_keys(least)}"
            yield Goal(what, 1.25, "x", flat, at_least=False)
    last = figure(run.series("identity_revocation", OURS, "revoke", "revoked_max_ms"))
    yield Goal("a revoked key is refused everywhere", 1000.0, "ms", last, at_least=False)


def _telemetry(run: Run) -> Iterator[Goal]:
    for scenario, load, name, what, target, unit in (
        ("costs", "recording", "added_us", "CPU added by telemetry to a request", 60.0, "µs"),
        ("costs", "recording", "added_chunk_us", "CPU added by telemetry to a chunk", 2.0, "µs"),
        ("lag", "lag", "lag_p99_s", "journal lag p99 under full load", 2.0, "s"),
        ("memory", "memory", "memory_growth_mib", "memory growth, second half", 8.0, "MiB"),
    ):
        places = (f"telemetry_{scenario}", scenario)
        measured = figure(run.first_series(places, OURS, load, name))
        yield Goal(what, target, unit, measured, at_least=False)
    for load, name, what, target in (
        ("hub_files", "events_per_s", "events through the hub into files", 5_000.0),
        ("hub_books", "events_per_s", "events through the hub into usage and audit", 5_000.0),
        ("verify", "records_per_s", "audit records verified", 50_000.0),
    ):
        measured = figure(run.first_series(("telemetry_costs", "costs"), OURS, load, name))
        yield Goal(what, target, "/s", measured)


def _limits(run: Run) -> Iterator[Goal]:
    for load, title in (
        ("q1", "1 limit"),
        ("q20", "20 limits"),
        ("q5", "five limits, 1 caller"),
        ("n10", "five limits, 10,000 callers"),
    ):
        measured = figure(run.first_series(("limits", "costs"), OURS, load, "limits_us"))
        yield Goal(f"CPU added by {title}", 40.0, "µs", measured, at_least=False)
    for load, name, title in (
        ("q5", "limits_exchanges", "1 caller"),
        ("n10", "limits_exchanges", "10,000 callers"),
        ("n10", "limits_exchanges_known", "10,000 callers, beside those of new ones"),
        (
            "warm",
            "limits_exchanges_known",
            "10,000 callers after minutes, beside those of new ones",
        ),
    ):
        measured = figure(run.first_series(("limits", "costs"), OURS, load, name))
        yield Goal(f"exchanges per 1,000 requests, {title}", 5.0, "", measured, at_least=False)
    flat = run.growth("limits", OURS, ("n10", "n1000000"), "limits_us")
    what = "CPU added by limits, 1,000,000 counters in the store beside 10"
    yield Goal(what, 1.25, "x", flat, at_least=False)
    over, unused = _worst(run, "limits_over"), _worst(run, "limits_unused")
    yield Goal("admitted over a limit", 0.0, "", over, at_least=False)
    yield Goal("of a limit not used although enough came", 0.0, "", unused, at_least=False)


def _worst(run: Run, name: str) -> Figure | None:
    """The largest value of each repeat, whatever the load."""
    found: dict[tuple[int, int], float] = {}
    for each in run.measurements:
        if name in each.figures:
            repeat = (each.visit, each.round)
            found[repeat] = max(found.get(repeat, 0.0), each.figures[name])
    return figure(list(found.values()))


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
            if visit.system == OURS and visit.scenario in _REAL and visit.first_token_s
        ]
    )


def _first(
    run: Run, scenarios: tuple[str, ...], ours: str, reference: str, load: str, name: str
) -> Figure | None:
    """Of the first of these scenarios that measured it."""
    found = (run.ratio(scenario, ours, reference, load, name) for scenario in scenarios)
    return next((each for each in found if each is not None), None)


def _ratio(run: Run, scenario: str, reference: str, load: str, name: str) -> Figure | None:
    return run.ratio(scenario, OURS, reference, load, name)
