"""The port through which every part counts and reports.

Parts know only `Signals`; `telemetry/` implements it. Counting never waits and never raises: a
signal that cannot be kept is dropped, the request goes on.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol, TypeAlias


class Metric(StrEnum):
    """Names of what is counted or measured, with the unit last (Prometheus conventions)."""

    MODEL_STATE_CHANGES = "helixflow_model_state_changes_total"
    REFUSALS = "helixflow_refusals_total"
    REQUEST_SECONDS = "helixflow_request_duration_seconds"
    REQUESTS = "helixflow_requests_total"
    TIME_TO_FIRST_FRAME_SECONDS = "helixflow_time_to_first_frame_seconds"
    TOKENS = "helixflow_tokens_total"
    VERDICT_LOOKUPS = "helixflow_verdict_lookups_total"


Labels: TypeAlias = tuple[tuple[str, str], ...]
"""Label names and values. Never a tenant, user, key or request id."""


class Signals(Protocol):
    """Where a part reports what happens in it."""

    def count(self, metric: Metric, labels: Labels = (), by: float = 1.0) -> None:
        """Add `by` to a counter."""
        ...

    def observe(self, metric: Metric, value: float, labels: Labels = ()) -> None:
        """Put a value (in the metric's unit) into a histogram."""
        ...


class NullSignals:
    """Keeps nothing."""

    def count(self, metric: Metric, labels: Labels = (), by: float = 1.0) -> None:
        """See `Signals.count`."""

    def observe(self, metric: Metric, value: float, labels: Labels = ()) -> None:
        """See `Signals.observe`."""
