"""The place of metrics where nobody reads them."""

from __future__ import annotations

from helixflow.telemetry.deltas import Deltas


class UnreadMetrics:
    """`MetricsIntake` that keeps nothing."""

    def absorb(self, source: str, role: str, deltas: Deltas) -> None:
        """See `MetricsIntake.absorb`."""

    def forget(self, source: str) -> None:
        """See `MetricsIntake.forget`."""
