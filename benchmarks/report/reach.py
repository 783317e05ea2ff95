"""What the project wants to reach, and whether this run did."""

from __future__ import annotations

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
    return [
        *found,
        Goal("from start to the first token", 60.0, "s", first_token(run), at_least=False),
    ]


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
