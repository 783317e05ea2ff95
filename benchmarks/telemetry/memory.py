"""Whether memory stays flat: requests through a recorder, its journal, the hub and the books.

Everything is in this process: what Ingress and Model keep of requests, what the actor keeps, and
SQLite. The resident set is looked at after every tenth of the requests; what the second half has
more than the first one is growth, because the caches are full by then.
"""

from __future__ import annotations

import asyncio
import gc
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil

from benchmarks.load.outcome import Outcome
from benchmarks.scenarios.ports import Probed
from benchmarks.systems.ports import Running
from benchmarks.telemetry.books import books, request_events
from benchmarks.telemetry.hub_pace import some_station
from helixflow.clock import SystemClock
from helixflow.settings import TelemetrySettings
from helixflow.signals import Metric
from helixflow.telemetry.recorder import Recorder

_PARTS = 10
_TURN = 100
_AHEAD_MAX = 12_000
_PAUSE_S = 0.005
_SETTINGS = TelemetrySettings.model_validate({"shipping": {"batch_s": 0.02}})
_LABELS = (("model", "echo-1"), ("outcome", "ok"), ("region", "eu-central"))


@dataclass(frozen=True, slots=True)
class Memory:
    """Implements `Probe`."""

    requests: int
    name: str = "memory"

    @property
    def title(self) -> str:
        """What people read."""
        return f"memory over {self.requests:,} requests, journaled and in the books"

    def prepare(self, running: Running) -> None:
        """Nothing: a repeat has a folder of its own."""

    def measure(self, running: Running) -> Probed:
        """Growth from the first half to the second, and the level, both MiB."""
        with tempfile.TemporaryDirectory() as folder:
            seen = asyncio.run(self._measure(Path(folder)))
        half = _PARTS // 2
        first, second = median(seen[1:half]), median(seen[half:])
        figures = {
            "memory_growth_mib": second - first,
            "memory_level_mib": second,
            "memory_max_mib": max(seen),
            "requests": float(self.requests),
        }
        return Probed(figures, Outcome(latency_ms=seen))

    async def _measure(self, folder: Path) -> list[float]:
        """The resident set after each part, MiB."""
        recorder = Recorder(folder, "ingress", SystemClock(), _SETTINGS)
        async with books(folder) as sinks:
            station = some_station(folder, sinks)
            station.start()
            recorder.start(station)
            seen = []
            for _ in range(_PARTS):
                await _record(recorder, self.requests // _PARTS)
                gc.collect()
                seen.append(psutil.Process().memory_info().rss / 2**20)
            await recorder.close()
            await station.close()
        return seen


async def _record(recorder: Recorder, requests: int) -> None:
    """Report requests, no faster than the books take them, until they have them all."""
    for turn in range(0, requests, _TURN):
        for _ in range(min(_TURN, requests - turn)):
            for event in request_events():
                recorder.record(event)
            recorder.count(Metric.REQUESTS, _LABELS)
            recorder.observe(Metric.REQUEST_SECONDS, 1.25, _LABELS[:2])
        await asyncio.sleep(0)
        while recorder.last - recorder.durable > _AHEAD_MAX:
            await asyncio.sleep(_PAUSE_S)
    while recorder.durable < recorder.last:
        await asyncio.sleep(_PAUSE_S)
