"""The hub: where the events and counts of all processes come together, and go to the sinks.

A batch is taken synchronously, once per sink: what a lane was given already is left out, so a batch
may come twice. The answer says up to where every sink holds the source's events, and where the
source goes on: behind what the slowest lane with room was given. A lane without room is left out of
that; once it has room again, the source goes back for it, and the others pass over what they have.
So one sink's trouble costs the others nothing, and the hub keeps no events beyond its bounded lanes.

Failure behavior: a hub that dies loses nothing: what its sinks had not committed is still in the
journals, and the next hub asks the sinks how far they are. Counts in flight may be lost with it.
A sink that is away lets the journals grow; nothing is thrown away here. Events that this version
cannot read become dead letters.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from helixflow.clock import Clock
from helixflow.errors import Refusal, Unavailable
from helixflow.settings import HubSettings
from helixflow.signals import Event, Metric
from helixflow.telemetry import deltas as delta_rows
from helixflow.telemetry.dead_letters import DeadLetters
from helixflow.telemetry.lane import Lane, Piece
from helixflow.telemetry.ports import MetricsIntake
from helixflow.telemetry.tally import Tally
from helixflow.telemetry.wire import VERSION, AckWire, BatchWire, Unreadable, split

_log = logging.getLogger(__name__)

_SOURCE = re.compile(r"[A-Za-z0-9_-]{1,80}")
_LEARN_S = 0.5
_OWN = "hub"


@dataclass(slots=True)
class Known:
    """A source.

    Attributes:
        number: of the last counts that were taken.
        seen_at: when it shipped last, monotonic.
    """

    number: int
    seen_at: float


class Hub:
    """Takes batches and hands them to lanes. For one event loop.

    Args:
        lanes: one for each sink.
        metrics: where counts go.
        letters: where events go that cannot be read.
        tally: what the hub and its lanes count themselves.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        metrics: MetricsIntake,
        letters: DeadLetters,
        tally: Tally,
        settings: HubSettings,
        clock: Clock,
    ) -> None:
        self._lanes = lanes
        self._metrics = metrics
        self._letters = letters
        self._tally = tally
        self._settings = settings
        self._clock = clock
        self._sources: OrderedDict[str, Known] = OrderedDict()
        self._closing = False

    async def ship(self, batch: BatchWire) -> AckWire:
        """Take a batch; see `HubPort.ship`. Raises ValueError for what is no batch."""
        _, source, role, after, last, body, number, rows, closing = batch
        if _SOURCE.fullmatch(source) is None:
            raise ValueError("a source has another name")
        if self._closing:
            raise _away("The hub is closing.")
        known = self._know(source)
        pieces = await self._read(source, after, last, body)
        deltas = delta_rows.decode(rows) if number else None
        await self._learn(source)
        # From here on without a pause: a batch that comes twice at the same time is taken once.
        if deltas is not None and number > known.number:
            known.number = number
            self._metrics.absorb(source, role, deltas)
        if closing:
            self._metrics.forget(source)
        if last > after:
            self._count(source, after, last, pieces)
        for lane in self._lanes:
            for piece in pieces:
                lane.offer(source, after, piece.last, piece.events)
        return self._ack(source, after, last)

    async def run(self) -> None:
        """Write to the sinks and report, forever; ends by cancellation."""
        async with asyncio.TaskGroup() as group:
            for lane in self._lanes:
                group.create_task(lane.run())
            group.create_task(self._report_forever())

    async def drain(self) -> bool:
        """Take no more; whether every sink got what was taken, within `close_s`."""
        self._closing = True
        try:
            async with asyncio.timeout(self._settings.close_s):
                for lane in self._lanes:
                    await lane.drained()
        except TimeoutError:
            return False
        return True

    def report(self) -> None:
        """Hand over what the hub itself counted, and forget sources that are silent for long."""
        for lane in self._lanes:
            labels = (("sink", lane.name),)
            self._tally.gauge(Metric.SINK_QUEUE_EVENTS, float(lane.depth), labels)
        self._metrics.absorb(_OWN, _OWN, self._tally.take())
        silent_since = self._clock.monotonic() - self._settings.source_idle_s
        for source in [
            name for name, known in self._sources.items() if known.seen_at < silent_since
        ]:
            self._forget(source)

    def _know(self, source: str) -> Known:
        known = self._sources.get(source)
        if known is None:
            if len(self._sources) >= self._settings.sources_max and not self._make_room():
                raise _away("Too many processes ship at once.")
            known = self._sources[source] = Known(0, 0.0)
        known.seen_at = self._clock.monotonic()
        self._sources.move_to_end(source)
        return known

    def _make_room(self) -> bool:
        """Forget the source that was silent for longest, among those with nothing in a lane."""
        return any(self._forget(source) for source in list(self._sources))

    def _forget(self, source: str) -> bool:
        if not all(lane.forget(source) for lane in self._lanes):
            return False
        del self._sources[source]
        self._metrics.forget(source)
        return True

    async def _learn(self, source: str) -> None:
        """Let the lanes find out how far their sinks are; a sink that is slow to say is left out."""
        asking = [task for lane in self._lanes if (task := lane.learn(source)) is not None]
        if asking:
            await asyncio.wait(asking, timeout=_LEARN_S)

    async def _read(self, source: str, after: int, last: int, body: bytes) -> list[Piece]:
        """The events, cut where one cannot be read; numbers go on to the end in any case."""
        events = split(body)
        if len(events) > last - after:
            raise ValueError("a batch holds more events than numbers")
        number = last - len(events)
        pieces: list[Piece] = []
        run: list[Event] = []
        for event in events:
            number += 1
            if not isinstance(event, Unreadable):
                run.append(event)
                continue
            await self._letters.write(_OWN, source, number, event, "unreadable")
            self._tally.count(Metric.DEAD_LETTERS, (("sink", _OWN),))
            pieces.append(Piece(number - 1, run))
            run = []
        return [*pieces, Piece(last, run)] if last > after else []

    def _count(self, source: str, after: int, last: int, pieces: Sequence[Piece]) -> None:
        """Count what comes for the first time, and what is missing in it."""
        marks = [mark.given for lane in self._lanes if (mark := lane.mark(source)) is not None]
        begin = max(after, *marks) if marks else after
        kinds: Counter[str] = Counter()
        for piece in pieces:
            fresh = max(0, min(len(piece.events), piece.last - begin))
            kinds.update(event.kind.value for event in piece.events[len(piece.events) - fresh :])
        for kind, count in kinds.items():
            self._tally.count(Metric.EVENTS, (("kind", kind),), count)
        # What is unreadable is among the dead letters, which count it.
        lost = last - begin - kinds.total() - (len(pieces) - 1)
        if lost > 0:
            _log.error("%d events of %s are lost: its journal was damaged", lost, source)
            self._tally.count(Metric.EVENTS_LOST, (), lost)

    def _ack(self, source: str, after: int, last: int) -> AckWire:
        if not self._lanes:
            return (VERSION, last, last)
        marks = [(lane.open, lane.mark(source)) for lane in self._lanes]
        given = [mark.given for _, mark in marks if mark is not None]
        with_room = [mark.given for is_open, mark in marks if is_open and mark is not None]
        # Where no lane has room, going back would be for nothing.
        wanted = min(with_room) if with_room else max(given, default=after)
        durable = min(0 if mark is None else mark.durable for _, mark in marks)
        return (VERSION, wanted, durable)

    async def _report_forever(self) -> None:
        while True:
            await asyncio.sleep(self._settings.report_s)
            self.report()


def _away(message: str) -> Unavailable:
    return Unavailable(Refusal.TELEMETRY_UNAVAILABLE, message, retry_after_s=1.0)
