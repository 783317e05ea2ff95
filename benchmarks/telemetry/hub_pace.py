"""How many events the hub takes in a second, with real sinks behind it, in this process.

Batches of 512 events come one after the other, as one busy source ships them; a turn ends when
every sink has committed them. The hop from the source's process is not in it.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load.outcome import Outcome
from benchmarks.scenarios.ports import Probed
from benchmarks.systems.ports import Running
from benchmarks.telemetry.recording import FACTS
from helixflow.clock import SystemClock
from helixflow.ids import mint_request_id
from helixflow.settings import HubSettings, JsonlSettings
from helixflow.signals import Event, EventKind
from helixflow.telemetry.dead_letters import DeadLetters
from helixflow.telemetry.jsonl import JsonlSink
from helixflow.telemetry.ports import Sink
from helixflow.telemetry.prometheus import PrometheusRegistry
from helixflow.telemetry.station import Station
from helixflow.telemetry.wire import VERSION, encode_event, join

_BATCH = 512
_SOURCE = "ingress-benchmark"


def files(folder: Path) -> list[Sink]:
    """The sink that writes JSON lines."""
    return [JsonlSink(folder / "events", JsonlSettings(), SystemClock())]


def nothing(_folder: Path) -> list[Sink]:
    """No sink: the hub alone."""
    return []


@dataclass(frozen=True, slots=True)
class HubPace:
    """Implements `Probe` for the sinks that `sinks` makes in a folder."""

    name: str
    title: str
    sinks: Callable[[Path], Sequence[Sink]]
    batches: int

    def prepare(self, running: Running) -> None:
        """Nothing: every repeat has sinks of its own."""

    def measure(self, running: Running) -> Probed:
        """Events per second of time and of CPU, and how long each batch took."""
        with tempfile.TemporaryDirectory() as folder:
            return asyncio.run(self._measure(Path(folder)))

    async def _measure(self, folder: Path) -> Probed:
        settings, clock = HubSettings(), SystemClock()
        station = Station(
            sinks=self.sinks(folder),
            metrics=PrometheusRegistry(),
            operations=[],
            letters=DeadLetters(folder / "dead", settings.dead_letter_bytes_max),
            settings=settings,
            clock=clock,
        )
        station.start()
        took_ms, cpu_s, begin_s = [], time.process_time(), time.perf_counter()
        for number in range(self.batches):
            began = time.perf_counter()
            await _ship(station, number * _BATCH)
            took_ms.append((time.perf_counter() - began) * 1e3)
        wall_s, cpu_s = time.perf_counter() - begin_s, time.process_time() - cpu_s
        await station.close()
        events = _BATCH * self.batches
        figures = {"events_per_s": events / wall_s, "events_per_cpu_s": events / cpu_s}
        return Probed(figures, Outcome(latency_ms=took_ms))


async def _ship(station: Station, after: int) -> None:
    """Ship a batch and wait until every sink has it."""
    now, last = time.time(), after + _BATCH
    body = join(
        [
            encode_event(Event(EventKind.REQUEST_ENDED, now, mint_request_id(), FACTS))
            for _ in range(_BATCH)
        ]
    )
    durable = after
    batch = (VERSION, _SOURCE, "ingress", after, last, body, 0, b"", False)
    while durable < last:
        _, _, durable = await station.ship(batch)
        batch = (VERSION, _SOURCE, "ingress", last, last, join([]), 0, b"", False)
        await asyncio.sleep(0)
