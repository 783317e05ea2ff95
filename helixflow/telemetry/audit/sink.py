"""The audit log as telemetry's hub drives it: a sink, with duties and a last seal.

Failure behavior: `write` raises where a store is away, and is asked again with the same events;
whatever comes twice is recorded once. What a duty cannot do is logged and tried at its next turn.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Sequence

from helixflow.clock import Clock
from helixflow.settings import AuditSettings
from helixflow.signals import Event, Metric
from helixflow.telemetry.audit.entries import entries_of
from helixflow.telemetry.audit.log import AuditLog
from helixflow.telemetry.audit.ports import AuditStore, Mark
from helixflow.telemetry.audit.retention import Retention
from helixflow.telemetry.tally import Tally

_log = logging.getLogger(__name__)

_RECONCILE_S = 3600.0


class AuditSink:
    """`telemetry.ports.Sink`, `Duty` and `Closing`. For one event loop."""

    name = "audit"

    def __init__(
        self,
        store: AuditStore,
        log: AuditLog,
        retention: Retention,
        settings: AuditSettings,
        clock: Clock,
        tally: Tally,
    ) -> None:
        self._store = store
        self._log = log
        self._retention = retention
        self._settings = settings
        self._clock = clock
        self._tally = tally
        self._due: dict[str, float] = {}

    async def high_water(self, source: str) -> int:
        """See `Sink.high_water`."""
        return await self._store.high_water(source)

    async def write(self, source: str, last: int, events: Sequence[Event]) -> None:
        """See `Sink.write`."""
        entries = entries_of(events, self._settings.groups_max)
        await self._log.record(entries, Mark(source, last))

    async def run(self) -> None:
        """See `Duty.run`: seals, retention, and what an erasure left undone."""
        await _tried("check of its keys", self._check_keys())
        pause_s = min(self._settings.seal_s, self._settings.retention_s, _RECONCILE_S)
        while True:
            await self.tend()
            await asyncio.sleep(pause_s)

    async def tend(self) -> None:
        """Do what is due."""
        if self._is_due("reconciling", _RECONCILE_S):
            await _tried("reconciling", self._log.reconcile())
        if self._is_due("sealing", self._settings.seal_s):
            await _tried("sealing", self._seal())
        if self._is_due("retention", self._settings.retention_s):
            await _tried("retention", self._retention.run(self._clock.now()))

    async def close(self) -> None:
        """See `Closing.close`: the last seals."""
        await _tried("sealing", self._log.seal_all())

    async def _seal(self) -> int:
        count = await self._log.seal_all()
        self._tally.gauge(Metric.AUDIT_SEALED_AT, self._clock.now())
        return count

    async def _check_keys(self) -> int:
        if not await self._log.has_its_keys():
            _log.error(
                "the audit log's keys of persons are not in the database that is configured"
                " (telemetry.audit.persons_url): who did what cannot be read"
            )
        return 0

    def _is_due(self, duty: str, every_s: float) -> bool:
        now = self._clock.monotonic()
        if self._due.get(duty, now) > now:
            return False
        self._due[duty] = now + every_s
        return True


async def _tried(duty: str, work: Awaitable[int]) -> None:
    """A duty that fails must not take the others down."""
    try:
        count = await work
    except Exception as error:
        _log.error("the audit log's %s failed", duty, exc_info=error)
        return
    if count:
        _log.info("the audit log's %s: %d", duty, count)
