"""The lane before one sink: its queue, its marks, its retries, and what it will never take.

Each sink has a lane of its own, so that a slow or failing one does not hold the others.

Failure behavior: a write that fails or outlasts `write_s` is tried again, after pauses that double
up to `retry_s_max`, until it succeeds; before each new try the sink is asked what it holds. Events
that the sink calls `Indigestible`, or on which it fails `_PATIENCE` times with anything but a sign
that it is away, are halved until the bad ones stand alone; those become dead letters, the others
are written. A full lane takes no more until half of it is written; the sources keep the rest.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from helixflow.clock import Clock
from helixflow.errors import Refused
from helixflow.settings import HubSettings
from helixflow.signals import Event, Metric
from helixflow.telemetry.dead_letters import DeadLetters
from helixflow.telemetry.ports import Indigestible, Sink
from helixflow.telemetry.tally import Tally

_log = logging.getLogger(__name__)

AWAY = (Refused, OSError, TimeoutError)
"""What says that a sink is away, and not that it never takes an event."""

_FIRST_RETRY_S = 0.1
_PATIENCE = 5

Sleep = Callable[[float], Awaitable[None]]


@dataclass(slots=True)
class Mark:
    """Attributes: the numbers up to which a sink was `given`, and holds (`durable`), a source."""

    given: int
    durable: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Events of a source that go to a sink: those that end with number `last`."""

    last: int
    events: Sequence[Event]


class Lane:
    """What goes to one sink. For one event loop.

    Args:
        sleep: how it waits between tries.

    Attributes:
        name: the sink's.
        depth: events that wait or are being written.
        open: whether it takes more.
    """

    def __init__(
        self,
        sink: Sink,
        letters: DeadLetters,
        tally: Tally,
        settings: HubSettings,
        clock: Clock,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.name = sink.name
        self.depth = 0
        self.open = True
        self._sink = sink
        self._letters = letters
        self._tally = tally
        self._settings = settings
        self._clock = clock
        self._sleep = sleep
        self._labels = (("sink", sink.name),)
        self._marks: dict[str, Mark] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._queues: OrderedDict[str, deque[Piece]] = OrderedDict()
        self._failing = False
        self._writing = asyncio.Lock()
        self._filled = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()

    def learn(self, source: str) -> asyncio.Task[None] | None:
        """Find out what the sink holds of a source; None where that is known, or not worth a wait.

        Where the sink cannot say, it stays unknown, and the sink is asked again the next time.
        """
        if source in self._marks:
            return None
        task = self._asking.get(source)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._ask(source))
            self._asking[source] = task
        return None if self._failing else task

    def mark(self, source: str) -> Mark | None:
        """What is known about a source."""
        return self._marks.get(source)

    def offer(self, source: str, after: int, last: int, events: Sequence[Event]) -> None:
        """Take what the sink was not given yet of the events behind `after`, if there is room.

        There is none in a lane that is full, nor where something between is missing: the source
        is told to go back for it.
        """
        mark = self._marks.get(source)
        if mark is None or not self.open or not after <= mark.given < last:
            return
        piece = Piece(last, events[max(0, len(events) - (last - mark.given)) :])
        mark.given = last
        self._queues.setdefault(source, deque()).append(piece)
        self.depth += len(piece.events)
        self.open = self.depth < self._settings.queue_events_max
        self._drained.clear()
        self._filled.set()

    def forget(self, source: str) -> bool:
        """Give up what is known about a source; False where its events still wait."""
        if source in self._queues:
            return False
        self._marks.pop(source, None)
        return True

    async def run(self) -> None:
        """Write what comes, forever; ends by cancellation."""
        while True:
            await self._filled.wait()
            while self._queues:
                source, queue = next(iter(self._queues.items()))
                self._queues.move_to_end(source)  # no source waits behind all of another one
                piece = self._front(queue)
                async with self._writing:
                    await self._settle(source, piece.last, piece.events)
                self._done(source, piece)
            self._filled.clear()
            self._drained.set()

    async def drained(self) -> None:
        """Wait until everything is written."""
        await self._drained.wait()

    async def held(self, source: str) -> int:
        """The number of the last event of a source that the sink holds. Raises what it raises."""
        async with asyncio.timeout(self._settings.write_s):
            return await self._sink.high_water(source)

    async def redeliver(self, source: str, number: int, event: Event) -> None:
        """Write one event past the queue, if the sink lacks it. Raises what the sink raises."""
        async with asyncio.timeout(self._settings.write_s), self._writing:
            if await self._sink.high_water(source) < number:
                await self._sink.write(source, number, [event])

    async def _ask(self, source: str) -> None:
        try:
            async with asyncio.timeout(self._settings.write_s):
                held = await self._sink.high_water(source)
        except Exception as error:
            self._failed(error)
        else:
            self._marks[source] = Mark(held, held)
            self._failing = False
        finally:
            del self._asking[source]

    def _front(self, queue: deque[Piece]) -> Piece:
        """The first pieces of a queue as one, because a commit costs more than an event."""
        pieces, size = [queue[0]], len(queue[0].events)
        for piece in islice(queue, 1, None):
            gapless = piece.last - len(piece.events) == pieces[-1].last
            size += len(piece.events)
            if not gapless or size > self._settings.write_events_max:
                break
            pieces.append(piece)
        if len(pieces) == 1:
            return pieces[0]
        merged = Piece(pieces[-1].last, [event for piece in pieces for event in piece.events])
        for _ in pieces:
            queue.popleft()
        queue.appendleft(merged)
        return merged

    def _done(self, source: str, piece: Piece) -> None:
        queue = self._queues[source]
        queue.popleft()
        if not queue:
            del self._queues[source]
        self._marks[source].durable = piece.last
        self.depth -= len(piece.events)
        if self.depth <= self._settings.queue_events_max // 2:
            self.open = True
        if piece.events:
            lag_s = max(0.0, self._clock.now() - piece.events[0].at)
            self._tally.observe(Metric.SINK_LAG_SECONDS, lag_s, self._labels)

    async def _settle(self, source: str, last: int, events: Sequence[Event]) -> None:
        """Have events written, or laid down as dead letters where the sink will never take them."""
        error = await self._insist(source, last, events, _PATIENCE)
        if error is not None:
            await self._separate(source, last, events, error)

    async def _separate(
        self, source: str, last: int, events: Sequence[Event], error: Exception
    ) -> None:
        """Write what can be written of events that the sink does not take together."""
        if len(events) == 1:
            await self._bury(source, last, events[0], error)
            await self._insist(source, last, (), None, doubt=True)
            return
        half = len(events) // 2
        for end, part in ((last - len(events) + half, events[:half]), (last, events[half:])):
            refused = await self._insist(source, end, part, 1, doubt=True)
            if refused is not None:
                await self._separate(source, end, part, refused)

    async def _insist(
        self,
        source: str,
        last: int,
        events: Sequence[Event],
        patience: int | None,
        *,
        doubt: bool = False,
    ) -> Exception | None:
        """Write until it succeeds; the error, once it is clear that it never will.

        Args:
            patience: how often the sink may fail without being away; None for as long as it takes.
            doubt: whether the sink may hold some of them already.
        """
        pause_s = _FIRST_RETRY_S
        while True:
            try:
                async with asyncio.timeout(self._settings.write_s):
                    await self._write(source, last, events, doubt=doubt)
            except Exception as error:
                doubt = True
                self._failed(error)
                if events and patience is not None and not isinstance(error, AWAY):
                    patience -= 1
                    if isinstance(error, Indigestible) or patience == 0:
                        return error
                await self._sleep(pause_s)
                pause_s = min(2 * pause_s, self._settings.retry_s_max)
            else:
                self._failing = False
                return None

    async def _write(self, source: str, last: int, events: Sequence[Event], *, doubt: bool) -> None:
        if doubt:
            held = await self._sink.high_water(source)
            if held >= last:
                return
            events = events[max(0, len(events) - (last - held)) :]
        await self._sink.write(source, last, events)

    async def _bury(self, source: str, sequence: int, event: Event, error: Exception) -> None:
        pause_s = _FIRST_RETRY_S
        reason = f"{type(error).__name__}: {error}"
        while True:
            try:
                await self._letters.write(self.name, source, sequence, event, reason)
            except OSError as fault:
                self._failed(fault)
                await self._sleep(pause_s)
                pause_s = min(2 * pause_s, self._settings.retry_s_max)
            else:
                self._tally.count(Metric.DEAD_LETTERS, self._labels)
                _log.error("%s will never take an event; it is a dead letter", self.name)
                return

    def _failed(self, error: Exception) -> None:
        self._tally.count(Metric.SINK_FAILURES, self._labels)
        if not self._failing:
            _log.error("the sink %s fails: %s", self.name, type(error).__name__, exc_info=error)
        self._failing = True
