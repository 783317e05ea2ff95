from __future__ import annotations

import pytest

from benchmarks.load.outcome import Outcome
from benchmarks.load.plan import Closed, Open
from benchmarks.stats.histogram import Histogram
from benchmarks.stats.summary import summary


def test_a_timed_load_counts_what_was_answered_within_it() -> None:
    outcome = Outcome([0.5, 1.0, 2.5], [1.0, 2.0, 3.0], tokens=48)
    figures = summary(outcome, Closed(1, duration_s=2.0))
    assert figures["requests_per_s"] == 1.0
    assert figures["tokens_per_s"] == 16.0
    assert figures["latency_p50_ms"] == 2.0


def test_a_counted_load_counts_all_until_the_last_end() -> None:
    outcome = Outcome([1.0, 4.0], [1.0, 2.0], tokens=128)
    figures = summary(outcome, Closed(2, requests_each=1))
    assert figures["tokens_per_s"] == 32.0


def test_streams_have_token_times_and_others_have_not() -> None:
    gaps = Histogram()
    gaps.add(5.0)
    outcome = Outcome([1.0], [100.0], [20.0], [5.0], [9.0], gaps, deliveries=8, tokens=16)
    figures = summary(outcome, Closed(1, duration_s=2.0))
    assert (figures["first_token_p50_ms"], figures["between_tokens_p50_ms"]) == (20.0, 5.0)
    assert (figures["stall_max_ms"], figures["tokens_per_delivery"]) == (9.0, 2.0)
    assert "first_token_p50_ms" not in summary(Outcome([1.0], [1.0]), Closed(1, duration_s=2.0))


def test_where_nothing_was_answered_there_is_no_rate() -> None:
    figures = summary(Outcome(errors={"connect": 3}), Closed(1, duration_s=2.0))
    assert figures["errors"] == 3.0
    assert "requests_per_s" not in figures


def test_the_generator_reports_on_itself() -> None:
    lag = Histogram()
    lag.add(3.0)
    outcome = Outcome(
        [1.0], [1.0], tokens=1, lag_ms=lag, cpu_s=1.0, wall_s=2.0, processes=2, late_ms=[0.25]
    )
    figures = summary(outcome, Open(1.0, 2.0))
    assert figures["generator_core_share"] == 0.25
    assert figures["generator_late_p99_ms"] == 0.25
    assert figures["generator_lag_p99_ms"] == pytest.approx(3.0, rel=0.02)
