from __future__ import annotations

from pathlib import Path

from benchmarks.systems.ports import Running
from benchmarks.telemetry.hub_pace import HubPace, files, nothing
from benchmarks.telemetry.recording import Recording
from benchmarks.telemetry.tracing import TracesCost

RUNNING = Running("", 0, 0.0)


def test_recording_gives_figures_for_requests_and_chunks() -> None:
    probed = Recording(1).measure(RUNNING)
    assert probed.figures["requests"] == 1000
    assert 0 < probed.figures["added_chunk_us"] < probed.figures["added_us"]
    assert len(probed.outcome.latency_ms) == 1


def test_the_hubs_pace_counts_events_that_every_sink_has(tmp_path: Path) -> None:
    for sinks in (nothing, files):
        probed = HubPace("hub", "hub", sinks, 2).measure(RUNNING)
        assert probed.figures["events_per_s"] > 0
        assert len(probed.outcome.latency_ms) == 2
    assert files(tmp_path)[0].name == "jsonl"


def test_traces_cost_more_where_they_are_kept() -> None:
    figures = TracesCost(1).measure(RUNNING).figures
    assert 0 < figures["unkept_hub_us"] < figures["kept_hub_us"]
