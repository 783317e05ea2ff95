"""The records desk of a face that has no Telemetry behind it.

Failure behavior: every question is `Unavailable` (`telemetry_unavailable`).
"""

from __future__ import annotations

from helixflow.errors import Refusal, Unavailable
from helixflow.inference.desk import DeskAnswer, DeskCall


class NoRecords:
    """`gateway.ports.Desk`."""

    async def call(self, call: DeskCall) -> DeskAnswer:
        """See `Desk.call`."""
        raise Unavailable(
            Refusal.TELEMETRY_UNAVAILABLE, "No records are kept here.", retry_after_s=60.0
        )
