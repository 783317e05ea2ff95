"""Signals that a test can read."""

from __future__ import annotations

from collections import Counter

from helixflow.signals import Event, Labels, Metric


class RecordingSignals:
    """`helixflow.signals.Signals` that keeps everything, in order."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[Metric, Labels]] = Counter()
        self.observed: list[tuple[Metric, float, Labels]] = []
        self.gauges: dict[tuple[Metric, Labels], float] = {}
        self.events: list[Event] = []

    def count(self, metric: Metric, labels: Labels = (), by: float = 1.0) -> None:
        """See `Signals.count`."""
        self.counts[metric, labels] += by  # type: ignore[assignment]

    def observe(self, metric: Metric, value: float, labels: Labels = ()) -> None:
        """See `Signals.observe`."""
        self.observed.append((metric, value, labels))

    def gauge(self, metric: Metric, value: float, labels: Labels = ()) -> None:
        """See `Signals.gauge`."""
        self.gauges[metric, labels] = value

    def record(self, event: Event) -> None:
        """See `Signals.record`."""
        self.events.append(event)

    def labels(self, metric: Metric) -> list[dict[str, str]]:
        """The labels of every series of a counter, in the order in which they appeared."""
        return [dict(labels) for name, labels in self.counts if name is metric]
