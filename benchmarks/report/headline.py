"""What the project promises of itself: one short table, made from one run or several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.report.numbers import shown
from benchmarks.results import Run
from benchmarks.stats.spread import Figure, figure

OURS = "helixflow"
GATEWAYS = ("gateway", "peers", "floor")
"""Scenarios that put the same loads on echo answers, in the order in which they are asked."""
TRIVIAL = "trivial"


@dataclass(frozen=True, slots=True)
class Promise:
    """One line.

    Attributes:
        must, goal: what has to be reached, and what is aimed at.
        measured: None where no run measured it.
        at_least: whether more is better.
    """

    what: str
    must: float
    goal: float
    unit: str
    measured: Figure | None
    at_least: bool = True

    @property
    def verdict(self) -> str:
        """By the median; repeats on both sides of "must" are said."""
        seen = self.measured
        if seen is None:
            return "not measured"
        if seen.samples < 2:
            return "measured once"
        if self._holds(seen.median, self.goal):
            word = "goal reached"
        else:
            word = "reached" if self._holds(seen.median, self.must) else "**missed**"
        split = self._holds(seen.low, self.must) != self._holds(seen.high, self.must)
        return f"{word} (repeats on both sides)" if split else word

    def _holds(self, value: float, target: float) -> bool:
        return value >= target if self.at_least else value <= target


def promises(run: Run) -> Iterator[Promise]:
    """The table's lines. Echo answers are measured with everything on."""
    litellm = partial(_ratio, run, GATEWAYS, "litellm")
    yield Promise(
        "requests/s on echo beside LiteLLM, 32 connections", 7.0, 12.0, "x",
        litellm("c32", "requests_per_s"),
    )  # fmt: skip
    yield Promise(
        "added latency (p50) at one connection beside LiteLLM", 1 / 5, 1 / 8, "x",
        added_latency(run), at_least=False,
    )  # fmt: skip
    yield Promise(
        "requests/s beside the bare one-hop Serve app, 32 connections", 0.7, 0.9, "x",
        _ratio(run, GATEWAYS, "serve", "c32", "requests_per_s"),
    )  # fmt: skip
    rate = figure(run.first_series(GATEWAYS, OURS, "c32", "requests_per_s"))
    yield Promise("requests/s on echo, 32 connections", 1_000.0, 1_500.0, "/s", rate)
    yield Promise("wrong answers on echo", 0.0, 0.0, "", wrong(run), at_least=False)
    yield from _model(run, ("real_model",), "vllm", "bare vLLM", (1.0, 1.2), (1.0, 1.0))
    yield from _model(
        run, ("llm_peers",), "ray_serve_llm", "ray.serve.llm", (1.0, 1.15), (1.0, 0.8)
    )
    yield Promise(
        "p99 of admitted requests at 2x capacity beside 0.8x", 2.0, 1.2, "x",
        run.growth("overload", OURS, ("below", "flood"), "latency_p99_ms"), at_least=False,
    )  # fmt: skip
    yield Promise(
        f"requests/s grown ({_grown(run)})", 0.9, 0.98, "x",
        run.growth("growth", OURS, ("small", "large"), "requests_per_s"),
    )  # fmt: skip


def added_latency(run: Run) -> Figure | None:
    """What a request waits beyond what the client itself takes (a server that does nothing): ours
    beside LiteLLM's. LiteLLM's upstream is that server, ours the echo engine in its replica."""
    for scenario in GATEWAYS:
        ours, theirs, own = (
            run.series(scenario, system, "c1", "latency_p50_ms")
            for system in (OURS, "litellm", TRIVIAL)
        )
        both = zip(ours, theirs, own, strict=False)
        found = figure([(mine - own_) / (their - own_) for mine, their, own_ in both])
        if found is not None:
            return found
    return None


def wrong(run: Run) -> Figure | None:
    """Wrong answers of ours per load on echo; one load that has none is no spread of its own."""
    return figure(
        [
            float(sum(each.errors.values()))
            for each in run.measurements
            if each.scenario in GATEWAYS and each.system == OURS
        ]
    )


def headline(runs: Sequence[Run], *, whole: bool = True) -> str:
    """The table, in Markdown; lines that no run measured are left out where it is not `whole`."""
    lines = ["| what | must | goal | measured | |", "|---|---:|---:|---:|---|"]
    for each in promises(Run.merged(runs)):
        if each.measured is None and not whole:
            continue
        sign = "≥" if each.at_least else "≤"
        bounds = [f"{sign} {bound:,.4g}{each.unit}" for bound in (each.must, each.goal)]
        lines.append(
            "| " + " | ".join([each.what, *bounds, shown(each.measured), each.verdict]) + " |"
        )
    return "\n".join(lines)


def _model(
    run: Run,
    scenarios: tuple[str, ...],
    system: str,
    title: str,
    tokens: tuple[float, float],
    first: tuple[float, float],
) -> Iterator[Promise]:
    beside = partial(_ratio, run, scenarios, system, "s32")
    what = f"at 32 streams beside {title}"
    yield Promise(f"tokens/s {what}", *tokens, "x", beside("tokens_per_s"))
    yield Promise(
        f"time to first token (p50) {what}", *first, "x", beside("first_token_p50_ms"),
        at_least=False,
    )  # fmt: skip


def _ratio(
    run: Run, scenarios: tuple[str, ...], reference: str, load: str, name: str
) -> Figure | None:
    found = (run.ratio(scenario, OURS, reference, load, name) for scenario in scenarios)
    return next((each for each in found if each is not None), None)


def _grown(run: Run) -> str:
    """How far this run let it grow, in the words of its loads."""
    loads = next((each.loads for each in run.scenarios if each.name == "growth"), {})
    small, large = loads.get("small", "10 keys, 1 model"), loads.get("large", "very many")
    return f"{large} beside {small}"
