from __future__ import annotations

from typing import Any

import pytest

from benchmarks.load.outcome import Outcome
from benchmarks.systems.ports import Running
from benchmarks.telemetry.books import books, files, nothing
from benchmarks.telemetry.hub_pace import HubPace
from benchmarks.telemetry.journal_lag import figures, lag_of
from benchmarks.telemetry.memory import Memory
from benchmarks.telemetry.recording import Recording
from benchmarks.telemetry.tracing import TracesCost
from benchmarks.telemetry.verifying import Verifying

RUNNING = Running("", 0, 0.0)


def test_recording_gives_figures_for_requests_and_chunks() -> None:
    probed = Recording(1).measure(RUNNING)
    assert probed.figures["requests"] == 1000
    assert 0 < probed.figures["added_chunk_us"] < probed.figures["added_us"]
    assert len(probed.outcome.latency_ms) == 1


@pytest.mark.parametrize("sinks", [nothing, files, books])
def test_the_hubs_pace_counts_events_that_every_sink_has(sinks: Any) -> None:
    probed = HubPace("hub", "hub", sinks, 2).measure(RUNNING)
    assert probed.figures["events_per_s"] > 0
    assert len(probed.outcome.latency_ms) == 2


def test_verifying_counts_the_records_of_an_export() -> None:
    probe = Verifying(20)
    probe.prepare(RUNNING)
    probed = probe.measure(RUNNING)
    assert probed.figures["records"] >= 20
    assert probed.figures["records_per_s"] > 0


def test_memory_is_looked_at_in_every_part() -> None:
    probed = Memory(100).measure(RUNNING)
    assert len(probed.outcome.latency_ms) == 10
    assert probed.figures["memory_max_mib"] >= probed.figures["memory_level_mib"] > 0


def test_the_lag_is_the_one_of_the_page() -> None:
    page = "# HELP helixflow_journal_lag_seconds Age\nhelixflow_journal_lag_seconds 0.5\nother 7\n"
    assert lag_of(page) == 0.5
    assert lag_of("other 7\n") == 0.0
    told = figures([0.1, 0.2, 3.0], Outcome(latency_ms=[1.0] * 50), 10.0)
    assert (told["lag_p50_s"], told["lag_p99_s"], told["requests_per_s"]) == (0.2, 3.0, 5.0)


def test_traces_have_a_cost_where_they_are_kept_and_where_not() -> None:
    figures = TracesCost(1).measure(RUNNING).figures
    assert figures["unkept_hub_us"] > 0
    assert figures["kept_hub_us"] > 0
