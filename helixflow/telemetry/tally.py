"""Counting in memory: counters, histograms and levels of one process, as deltas.

Failure behavior: at most `series_max` series (a metric with its labels) are kept at a time; what
belongs to more of them is dropped, and how often is counted itself. For one thread.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TypeAlias

from helixflow.signals import Labels, Metric
from helixflow.telemetry.deltas import Deltas
from helixflow.telemetry.metrics import Bounds, bounds_of

_Series: TypeAlias = tuple[Metric, Labels]


class _Cell:
    """A histogram since the last `take`."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0


class Tally:
    """What was counted since the last `take`."""

    def __init__(self, series_max: int) -> None:
        self._series_max = series_max
        self._counters: dict[_Series, float] = {}
        self._cells: dict[_Series, _Cell] = {}
        self._levels: dict[_Series, float] = {}
        self._changed: set[_Series] = set()
        self._dropped = 0

    @property
    def changed(self) -> bool:
        """Whether there is something to take."""
        return bool(self._counters or self._cells or self._changed or self._dropped)

    def count(self, metric: Metric, labels: Labels = (), by: float = 1.0) -> None:
        """See `Signals.count`."""
        series = (metric, labels)
        known = self._counters.get(series)
        if known is None:
            if not self._has_room():
                return
            known = 0.0
        self._counters[series] = known + by

    def observe(self, metric: Metric, value: float, labels: Labels = ()) -> None:
        """See `Signals.observe`."""
        series = (metric, labels)
        cell = self._cells.get(series)
        if cell is None:
            if not self._has_room():
                return
            cell = self._cells[series] = _Cell(bounds_of(metric))
        cell.counts[bisect_left(cell.bounds, value)] += 1
        cell.sum += value

    def gauge(self, metric: Metric, value: float, labels: Labels = ()) -> None:
        """See `Signals.gauge`."""
        series = (metric, labels)
        if series not in self._levels and not self._has_room():
            return
        self._levels[series] = value
        self._changed.add(series)

    def take(self, *, levels: bool = False) -> Deltas:
        """What changed since the last time; with `levels`, the levels that did not change too."""
        counters, self._counters = self._counters, {}
        cells, self._cells = self._cells, {}
        changed, self._changed = self._changed, set()
        if self._dropped:
            counters[Metric.SERIES_DROPPED, ()] = self._dropped
            self._dropped = 0
        return Deltas(
            tuple((metric.value, labels, by) for (metric, labels), by in counters.items()),
            tuple(
                (metric.value, labels, cell.bounds, tuple(cell.counts), cell.sum)
                for (metric, labels), cell in cells.items()
            ),
            tuple(
                (metric.value, labels, level)
                for (metric, labels), level in self._levels.items()
                if levels or (metric, labels) in changed
            ),
        )

    def _has_room(self) -> bool:
        if len(self._counters) + len(self._cells) + len(self._levels) < self._series_max:
            return True
        self._dropped += 1
        return False
