"""The sink that makes traces: events in, spans out, and nobody ever waits for the receiver.

Unlike other sinks it takes events at once and exports later, from a bounded queue: journals are kept
until every sink has them, and a receiver that is away for a day must not fill the disk that usage
and audit need. So spans, alone of all that telemetry holds, may be lost.

Failure behavior: while the receiver is away, a batch is tried `tries_max` times with growing pauses,
then it is dropped and counted; a full queue drops its oldest spans and counts them. A killed
Telemetry actor loses the queue. Spans that were exported twice have the same ids.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import islice
from typing import Protocol

from helixflow.settings import TracesSettings
from helixflow.signals import Event, Metric
from helixflow.telemetry.marks_file import MarksFile
from helixflow.telemetry.ports import Indigestible, MetricsIntake
from helixflow.telemetry.tally import Tally
from helixflow.telemetry.traces.keeping import Keeping
from helixflow.telemetry.traces.span import Span
from helixflow.telemetry.traces.stages import course_of

_log = logging.getLogger(__name__)

_EXPORTED = (("outcome", "exported"),)
_DROPPED = (("outcome", "dropped"),)
_FIRST_PAUSE_S = 1.0
_PAUSE_S_MAX = 30.0
_SERIES_MAX = 8


class Exporter(Protocol):
    """Where spans go. Called from a thread, one call at a time."""

    def export(self, spans: Sequence[Span]) -> bool:
        """Send spans; whether the receiver took them. Blocks for a bounded time."""
        ...

    def close(self) -> None:
        """No more comes."""
        ...


class TraceSink:
    """`Sink`, `Duty` and `Closing`. For one event loop.

    Args:
        metrics: where it counts what became of spans.
        statuses: the HTTP status of each refusal's word.
        sleep: how pauses are waited for.
    """

    name = "traces"

    def __init__(
        self,
        exporter: Exporter,
        marks: MarksFile,
        metrics: MetricsIntake,
        settings: TracesSettings,
        statuses: Mapping[str, int],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._exporter = exporter
        self._marks = marks
        self._metrics = metrics
        self._settings = settings
        self._statuses = statuses
        self._sleep = sleep
        self._keeping = Keeping(settings)
        self._queue: deque[Span] = deque()
        self._filled = asyncio.Event()
        self._tally = Tally(_SERIES_MAX)
        self._away = False

    async def high_water(self, source: str) -> int:
        """See `Sink.high_water`."""
        return self._marks.high_water(source)

    async def write(self, source: str, last: int, events: Sequence[Event]) -> None:
        """See `Sink.write`. Takes events at once, whether or not the receiver is there."""
        first = last - len(events) + 1
        try:
            courses = [
                course
                for number, event in enumerate(events, first)
                if (course := course_of(event, source, number, self._statuses)) is not None
            ]
        except ValueError as error:
            raise Indigestible(str(error)) from error
        await asyncio.to_thread(self._marks.keep, source, last)
        for course in courses:
            self._queue.extend(self._keeping.take(course))
        excess = len(self._queue) - self._settings.queue_spans_max
        for _ in range(excess):
            self._queue.popleft()
        if excess > 0:
            self._count(_DROPPED, excess)
        if self._queue:
            self._filled.set()

    async def run(self) -> None:
        """See `Duty.run`: export what waits."""
        while True:
            await self._filled.wait()
            await self.drain()
            self._filled.clear()

    async def drain(self) -> None:
        """Export what waits; what is not taken after all tries is dropped."""
        while self._queue:
            await self._export_next()

    async def close(self) -> None:
        """See `Closing.close`: what waits is tried once more."""
        while self._queue:
            batch = self._next()
            if not await self._send(batch):
                self._count(_DROPPED, len(batch) + len(self._queue))
                break
        self._queue.clear()
        await asyncio.to_thread(self._exporter.close)

    async def _export_next(self) -> None:
        batch, pause_s = self._next(), _FIRST_PAUSE_S
        try:
            await self._insist(batch, pause_s)
        except asyncio.CancelledError:
            self._queue.extendleft(reversed(batch))  # `close` tries them once more
            raise

    async def _insist(self, batch: Sequence[Span], pause_s: float) -> None:
        for tries in range(1, self._settings.tries_max + 1):
            if await self._send(batch):
                return
            if tries < self._settings.tries_max:
                await self._sleep(pause_s)
                pause_s = min(2 * pause_s, _PAUSE_S_MAX)
        self._count(_DROPPED, len(batch))

    def _next(self) -> list[Span]:
        batch = list(islice(self._queue, self._settings.batch_spans))
        for _ in batch:
            self._queue.popleft()
        return batch

    async def _send(self, batch: Sequence[Span]) -> bool:
        try:
            taken = await asyncio.to_thread(self._exporter.export, batch)
        except Exception:
            # A span that the library cannot write, or a receiver that it cannot talk to.
            _log.exception("spans cannot be exported")
            taken = False
        if taken:
            self._count(_EXPORTED, len(batch))
        elif not self._away:
            _log.warning("the receiver of traces does not take spans")
        self._away = not taken
        return taken

    def _count(self, labels: tuple[tuple[str, str], ...], by: int) -> None:
        self._tally.count(Metric.SPANS, labels, by)
        self._metrics.absorb(self.name, "hub", self._tally.take())
