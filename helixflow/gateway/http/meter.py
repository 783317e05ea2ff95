"""Every HTTP request as its client sees it: counted and timed at the socket.

The shield counts, because it sees what never reaches the face: bodies that are too large, and what
Serve itself refuses. Serve builds the shield from a name, before there is any telemetry; so the meter
of a process is kept here, and the Ingress says later to whom it reports.

Failure behavior: what is counted before `report_to` is dropped. Never waits and never raises.
"""

from __future__ import annotations

from helixflow.clock import Clock, SystemClock
from helixflow.signals import Labels, Metric, NullSignals, Signals

ELSEWHERE = "none"
"""The route of what is none of ours, and the status where there was no answer."""

_SERIES_MAX = 1024


class SocketMeter:
    """Counts the requests of one process. For one event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._signals: Signals = NullSignals()
        self._ongoing = 0
        self._labels: dict[tuple[str, int], tuple[Labels, Labels]] = {}

    def report_to(self, signals: Signals) -> None:
        """Count there from now on."""
        self._signals = signals
        signals.gauge(Metric.ONGOING_REQUESTS, float(self._ongoing))

    def open(self) -> float:
        """A request begins; give what is returned to `close`."""
        self._ongoing += 1
        self._signals.gauge(Metric.ONGOING_REQUESTS, float(self._ongoing))
        return self._clock.monotonic()

    def close(self, opened: float, route: str, status: int) -> None:
        """It is over. `route` is a route's template; `status` 0 where there was no answer."""
        self._ongoing -= 1
        signals = self._signals
        signals.gauge(Metric.ONGOING_REQUESTS, float(self._ongoing))
        told = self._labels.get((route, status)) or self._told(route, status)
        signals.count(Metric.HTTP_REQUESTS, told[0])
        signals.observe(Metric.HTTP_REQUEST_SECONDS, self._clock.monotonic() - opened, told[1])

    def _told(self, route: str, status: int) -> tuple[Labels, Labels]:
        label = ("route", route or ELSEWHERE)
        told = ((label, ("status", str(status) if status else ELSEWHERE)), (label,))
        if len(self._labels) < _SERIES_MAX:
            self._labels[route, status] = told
        return told


METER = SocketMeter(SystemClock())
"""This process's."""
