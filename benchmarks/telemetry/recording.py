"""CPU that recording adds to a request and to a chunk of a stream, in this process.

A request is what an Ingress reports about one: its admission and its end as events, stages and
totals as counts and histograms; a chunk is one count and one time. Both go to a real `Recorder`
with its journal on the disk, and the shipping of the events (reading them back and building the
batch) is part of a request's cost. Time is the process's own CPU time.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load.outcome import Outcome
from benchmarks.scenarios.ports import Probed
from benchmarks.stats.spread import quantile
from benchmarks.systems.ports import Running
from helixflow.clock import SystemClock
from helixflow.ids import mint_request_id
from helixflow.settings import TelemetrySettings
from helixflow.signals import Event, EventKind, Fact, Labels, Metric
from helixflow.telemetry.recorder import Recorder
from helixflow.telemetry.wire import VERSION, AckWire, BatchWire

FACTS: dict[str, Fact] = {
    "organization": "org_" + "a" * 26,
    "project": "proj_" + "b" * 26,
    "key": "key_" + "c" * 26,
    "model": "echo-1",
    "region": "eu-central",
    "prompt_tokens": 120,
    "completion_tokens": 64,
    "cached_tokens": 96,
    "cost_nano_usd": 1_234_567,
    "duration_s": 1.25,
    "outcome": "ok",
}
"""As many and as long as a request's facts are."""

_BLOCK = 1_000
_WARM_UP = 2
_MODEL: Labels = (("model", "echo-1"), ("outcome", "ok"))
_STAGES: tuple[Labels, ...] = tuple(
    (("stage", stage),) for stage in ("authenticate", "parse", "reserve", "dispatch")
)


class AnyHub:
    """`HubPort` that takes everything at once."""

    async def ship(self, batch: BatchWire) -> AckWire:
        """See `HubPort.ship`."""
        return (VERSION, batch[4], batch[4])


def request(recorder: Recorder, clock: SystemClock) -> None:
    """What one request reports."""
    request_id = mint_request_id()
    recorder.record(Event(EventKind.REQUEST_ADMITTED, clock.now(), request_id, FACTS))
    for stage in _STAGES:
        recorder.observe(Metric.REQUEST_SECONDS, 0.001, stage)
    recorder.observe(Metric.REQUEST_SECONDS, 1.25, _MODEL)
    recorder.count(Metric.REQUESTS, _MODEL)
    recorder.count(Metric.TOKENS, _MODEL, 64)
    recorder.record(Event(EventKind.REQUEST_ENDED, clock.now(), request_id, FACTS))


def chunk(recorder: Recorder) -> None:
    """What one chunk of a stream reports."""
    recorder.observe(Metric.REQUEST_SECONDS, 0.02, _MODEL)
    recorder.count(Metric.TOKENS, _MODEL)


@dataclass(frozen=True, slots=True)
class Recording:
    """Implements `Probe`."""

    blocks: int
    name: str = "recording"
    title: str = "a request's events and counts, journaled and shipped; a chunk's counts"

    def prepare(self, running: Running) -> None:
        """Nothing: every repeat has a journal of its own."""

    def measure(self, running: Running) -> Probed:
        """The CPU added to a request and to a chunk: means, and the slowest blocks."""
        with tempfile.TemporaryDirectory() as home:
            requests_us, chunks_us = asyncio.run(self._measure(Path(home)))
        figures = {
            "added_us": sum(requests_us) / len(requests_us),
            "added_block_p99_us": quantile(requests_us, 0.99),
            "added_chunk_us": sum(chunks_us) / len(chunks_us),
            "requests": float(_BLOCK * len(requests_us)),
        }
        return Probed(figures, Outcome(latency_ms=[each / 1e3 for each in requests_us]))

    async def _measure(self, home: Path) -> tuple[list[float], list[float]]:
        clock = SystemClock()
        recorder = Recorder(home, "ingress", clock, TelemetrySettings())
        recorder.start(AnyHub())
        requests_us, chunks_us = [], []
        for _ in range(_WARM_UP + self.blocks):
            begin = time.process_time_ns()
            for _ in range(_BLOCK):
                request(recorder, clock)
            while recorder.durable < recorder.last:
                await asyncio.sleep(0.001)
            requests_us.append((time.process_time_ns() - begin) / 1e3 / _BLOCK)
            begin = time.process_time_ns()
            for _ in range(_BLOCK):
                chunk(recorder)
            chunks_us.append((time.process_time_ns() - begin) / 1e3 / _BLOCK)
        await recorder.close()
        return requests_us[_WARM_UP:], chunks_us[_WARM_UP:]
