"""From the samples of one load to the figures that are compared."""

from __future__ import annotations

from benchmarks.load.outcome import Outcome
from benchmarks.load.plan import Pace
from benchmarks.stats.spread import quantile


def summary(outcome: Outcome, pace: Pace) -> dict[str, float]:
    """One figure per name; the unit is the name's end. What was not measured is not there.

    Rates of a load with a duration count what was answered within it: requests still running at
    its end are checked, and counted nowhere. Rates of a load with a number of requests count all
    of them, until the last one's end.
    """
    figures = {"errors": float(outcome.failed), "answered": float(outcome.answered)}
    figures |= _generator(outcome)
    if outcome.refused_ms:
        figures["refused"] = float(len(outcome.refused_ms))
        figures |= _quantiles("refused", outcome.refused_ms)
    if not outcome.answered:
        return figures
    if pace.duration_s:
        wall_s, counted = pace.duration_s, sum(at <= pace.duration_s for at in outcome.done_s)
    else:
        wall_s, counted = max(outcome.done_s), outcome.answered
    figures["requests_per_s"] = counted / wall_s
    figures["tokens_per_s"] = counted / wall_s * outcome.tokens / outcome.answered
    figures |= _quantiles("latency", outcome.latency_ms)
    if outcome.prompt_tokens:
        figures["prompt_tokens_mean"] = outcome.prompt_tokens / outcome.answered
        figures["cached_share"] = outcome.cached_tokens / outcome.prompt_tokens
    if outcome.first_ms:
        figures |= _quantiles("first_token", outcome.first_ms)
        figures |= _quantiles("between_tokens", outcome.between_ms)
        figures["gap_p50_ms"] = outcome.gaps_ms.quantile(0.5)
        figures["gap_p99_ms"] = outcome.gaps_ms.quantile(0.99)
        figures["stall_max_ms"] = max(outcome.stall_ms, default=0.0)
        figures["tokens_per_delivery"] = outcome.tokens / outcome.deliveries
    return figures


def _quantiles(name: str, values: list[float]) -> dict[str, float]:
    return {f"{name}_p{share}_ms": quantile(values, share / 100) for share in (50, 90, 99)}


def _generator(outcome: Outcome) -> dict[str, float]:
    """How well the generator kept up: without this a figure says nothing about the system."""
    figures = {
        "generator_lag_p99_ms": outcome.lag_ms.quantile(0.99),
        "generator_lag_max_ms": outcome.lag_ms.largest,
    }
    if outcome.wall_s:
        figures["generator_core_share"] = outcome.cpu_s / outcome.wall_s / outcome.processes
    if outcome.late_ms:
        figures["generator_late_p99_ms"] = quantile(outcome.late_ms, 0.99)
    return figures
