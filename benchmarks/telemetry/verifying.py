"""How many records of an audit export are verified in a second, in this process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.load.outcome import Outcome
from benchmarks.scenarios.ports import Probed
from benchmarks.systems.ports import Running
from helixflow.telemetry.audit.verify import verify
from helixflow.testing.audit import AuditParts, admin_event

_BATCH = 500


@dataclass(frozen=True, slots=True)
class Verifying:
    """Implements `Probe`: an export of so many changes, written and sealed by a real log."""

    records: int
    name: str = "verify"
    title: str = "verifying an audit export"
    _lines: list[bytes] = field(default_factory=list)

    def prepare(self, running: Running) -> None:
        """Write the log and export it, once."""
        if not self._lines:
            self._lines.extend(asyncio.run(_export(self.records)))

    def measure(self, running: Running) -> Probed:
        """Records per second. Raises `Broken` where the export does not verify."""
        begin_s = time.perf_counter()
        report = verify(self._lines)
        took_s = time.perf_counter() - begin_s
        figures = {"records_per_s": report.records / took_s, "records": float(report.records)}
        return Probed(figures, Outcome(latency_ms=[took_s * 1e3]))


async def _export(records: int) -> Sequence[bytes]:
    parts = AuditParts()
    for first in range(1, records + 1, _BATCH):
        events = [
            admin_event(number, before={"name": "old"}, after={"name": f"name {number}"})
            for number in range(first, min(first + _BATCH, records + 1))
        ]
        await parts.sink.write("auth-benchmark", first + len(events) - 1, events)
        await parts.log.seal_all()
    return await parts.exported()
