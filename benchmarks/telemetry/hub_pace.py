"""How many events the hub takes in a second, with real sinks behind it, in this process.

Batches of 512 events are shipped as a busy source ships them: the next one as soon as the one before
it was taken, back where a sink has no room. A repeat ends when every sink has committed everything.
The events are encoded before the clock runs, because their source does that; the hop from its
process is not in it.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from benchmarks.load.outcome import Outcome
from benchmarks.scenarios.ports import Probed
from benchmarks.systems.ports import Running
from benchmarks.telemetry.books import traffic
from helixflow.clock import SystemClock
from helixflow.settings import HubSettings
from helixflow.telemetry.dead_letters import DeadLetters
from helixflow.telemetry.ports import Sink
from helixflow.telemetry.prometheus import PrometheusRegistry
from helixflow.telemetry.station import Station
from helixflow.telemetry.wire import VERSION, encode_event, join

_BATCH = 512
_SOURCE = "ingress-benchmark"
_PAUSE_S = 0.002


@dataclass(frozen=True, slots=True)
class HubPace:
    """Implements `Probe` for the sinks that `sinks` opens in a folder."""

    name: str
    title: str
    sinks: Callable[[Path], AbstractAsyncContextManager[Sequence[Sink]]]
    batches: int

    def prepare(self, running: Running) -> None:
        """Nothing: every repeat has sinks of its own."""

    def measure(self, running: Running) -> Probed:
        """Events per second of time and of CPU, and how long each batch took to be everywhere."""
        with tempfile.TemporaryDirectory() as folder:
            return asyncio.run(self._measure(Path(folder)))

    async def _measure(self, folder: Path) -> Probed:
        events = traffic()
        bodies = [
            join([encode_event(event) for event in islice(events, _BATCH)])
            for _ in range(self.batches)
        ]
        async with self.sinks(folder) as sinks:
            station = some_station(folder, sinks)
            station.start()
            cpu_s, begin_s = time.process_time(), time.perf_counter()
            took_ms = await _ship(station, bodies)
            wall_s, cpu_s = time.perf_counter() - begin_s, time.process_time() - cpu_s
            await station.close()
        count = _BATCH * self.batches
        figures = {"events_per_s": count / wall_s, "events_per_cpu_s": count / cpu_s}
        return Probed(figures, Outcome(latency_ms=took_ms))


def some_station(folder: Path, sinks: Sequence[Sink]) -> Station:
    """Telemetry with these sinks, not started yet."""
    settings = HubSettings()
    return Station(
        sinks=sinks,
        metrics=PrometheusRegistry(),
        operations=[],
        letters=DeadLetters(folder / "dead", settings.dead_letter_bytes_max),
        settings=settings,
        clock=SystemClock(),
    )


async def _ship(station: Station, bodies: Sequence[bytes]) -> list[float]:
    """Ship batches until every sink has them; milliseconds of each."""
    sent_s: list[float] = []
    took_ms: list[float] = []
    after = durable = 0
    while durable < len(bodies) * _BATCH:
        index = after // _BATCH
        body, last = (b"", after) if index == len(bodies) else (bodies[index], after + _BATCH)
        if index == len(sent_s) and body:
            sent_s.append(time.perf_counter())
        _, wanted, durable = await station.ship(
            (VERSION, _SOURCE, "ingress", after, last, body or join([]), 0, b"", False)
        )
        now_s = time.perf_counter()
        took_ms += [(now_s - one) * 1e3 for one in sent_s[len(took_ms) : durable // _BATCH]]
        if wanted == after:
            await asyncio.sleep(_PAUSE_S)
        after = wanted
    return took_ms
