"""The `Signals` of a process: counts in memory, events in a journal, both shipped to the hub.

    recorder = Recorder(home, "ingress", clock, settings)
    recorder.start(hub)                 # in the running loop
    ...
    await recorder.close()

`record` writes to the journal before it returns (a write takes a microsecond or two, an fsync would
take a thousand times that): what was recorded is in the kernel and outlives a `kill -9`. So an event
that is recorded before a request is forwarded, or before its last byte goes out, is kept; nothing
has to be flushed for it. Counting touches memory only.

Failure behavior: nothing here raises or waits. Where the journal has no room (a full disk, or the
hub away for very long), `full` is true and says so to whoever must not act unrecorded; up to
`waiting_max` events wait in memory for room, what is more than that is dropped and counted. Where
the journal's folder cannot be made, events are dropped and counted, and `full` stays true.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import secrets
from collections import deque
from pathlib import Path

from helixflow.clock import Clock
from helixflow.settings import TelemetrySettings
from helixflow.signals import Event, Labels, Metric
from helixflow.telemetry.journal import Journal
from helixflow.telemetry.ports import HubPort
from helixflow.telemetry.records import PAYLOAD_BYTES_MAX
from helixflow.telemetry.shipment import Shipment
from helixflow.telemetry.shipper import Shipper
from helixflow.telemetry.tally import Tally
from helixflow.telemetry.wire import encode_event

_log = logging.getLogger(__name__)

_FULL = (("reason", "full"),)
_UNWRITABLE = (("reason", "unwritable"),)


def journals_of(home: Path) -> Path:
    """Where the journals of all processes of a node lie."""
    return home / "journals"


class Recorder:
    """Implements `helixflow.signals.Signals`. For one thread.

    Args:
        home: the stack's home folder.
        role: what kind of process this is (`ingress`, `auth`, `model`, `rate_limiter`, `router`).

    Attributes:
        source: this process's name among all; its role and a random part.
    """

    def __init__(self, home: Path, role: str, clock: Clock, settings: TelemetrySettings) -> None:
        self.source = f"{role}-{secrets.token_hex(16)}"
        self._role = role
        self._root = journals_of(home)
        self._clock = clock
        self._settings = settings
        self._tally = Tally(settings.shipping.series_max)
        self._waiting: deque[bytes] = deque()
        self._retry_at = 0.0
        self._batch = settings.shipping.batch_events
        self._journal = self._open()
        self._shipper: Shipper | None = None
        self._shipment: Shipment | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def full(self) -> bool:
        """Whether events are not being kept right now."""
        return self._journal is None or bool(self._waiting) or self._journal.full

    @property
    def last(self) -> int:
        """The number of the last event in the journal."""
        return 0 if self._journal is None else self._journal.last

    @property
    def durable(self) -> int:
        """Every sink has the events up to this number."""
        return 0 if self._shipment is None else self._shipment.durable

    def count(self, metric: Metric, labels: Labels = (), by: float = 1.0) -> None:
        """See `Signals.count`."""
        self._tally.count(metric, labels, by)

    def observe(self, metric: Metric, value: float, labels: Labels = ()) -> None:
        """See `Signals.observe`."""
        self._tally.observe(metric, value, labels)

    def gauge(self, metric: Metric, value: float, labels: Labels = ()) -> None:
        """See `Signals.gauge`."""
        self._tally.gauge(metric, value, labels)

    def record(self, event: Event) -> None:
        """See `Signals.record`; when it returns, the event is in the kernel, or `full` is true."""
        try:
            payload = encode_event(event)
            if len(payload) > PAYLOAD_BYTES_MAX:
                raise ValueError("too long")
            if not self._keep(payload):
                self._tally.count(Metric.EVENTS_DROPPED, _FULL)
        except (TypeError, ValueError, RecursionError):
            # A part's mistake: a fact that is none, or one that is far too long.
            _log.error("an event of kind %s cannot be written down", event.kind)
            self._tally.count(Metric.EVENTS_DROPPED, _UNWRITABLE)

    def flush(self) -> bool:
        """Try to write what waits for room, now; whether everything is in the kernel."""
        while self._waiting and self._journal is not None:
            if not self._journal.append(self._waiting[0]):
                self._retry_at = self._clock.monotonic() + self._settings.journal.retry_s
                return False
            self._waiting.popleft()
        return self._journal is not None

    def start(self, hub: HubPort) -> None:
        """Ship to a hub from now on; needs a running loop."""
        shipping = self._settings.shipping
        self._shipment = Shipment(
            self.source, self._role, self._journal, self._tally, hub, shipping.batch_events
        )
        self._shipper = Shipper(
            self._shipment, self._tally, hub, self._root, self._settings, self._clock
        )
        self._task = asyncio.get_running_loop().create_task(
            self._run(self._shipper), context=contextvars.Context()
        )

    async def close(self) -> None:
        """Ship the rest for a moment and end. What is left over is adopted by other processes."""
        self.flush()
        if self._task is not None and self._shipper is not None:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=self._settings.shipping.close_s)
            await self._shipper.finish()
        journal, self._journal = self._journal, None
        if journal is not None:
            journal.close(self.durable)

    def _open(self) -> Journal | None:
        try:
            return Journal(self._root, self.source, self._settings.journal)
        except OSError as error:
            _log.error("there is no journal, events are only counted: %s", error.strerror or error)
            return None

    def _keep(self, payload: bytes) -> bool:
        journal = self._journal
        if journal is None:
            return False
        if not self._waiting:
            if journal.append(payload):
                if journal.last % self._batch == 0 and self._shipper is not None:
                    self._shipper.wake()
                return True
            self._retry_at = self._clock.monotonic() + self._settings.journal.retry_s
        if len(self._waiting) == self._settings.journal.waiting_max:
            return False
        self._waiting.append(payload)
        if self._clock.monotonic() >= self._retry_at:
            self.flush()
        return True

    async def _run(self, shipper: Shipper) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(shipper.run())
            group.create_task(self._retry())

    async def _retry(self) -> None:
        """Write what waits once there is room, even where nothing more is recorded."""
        while True:
            await asyncio.sleep(self._settings.journal.retry_s)
            if self._waiting:
                self.flush()
