"""Prometheus: the counts of all processes added up, and the page that it scrapes.

The only home of prometheus_client. Processes send deltas (`telemetry/deltas.py`), each once; this
registry adds counters and histograms up and keeps each process's gauges until the process is
forgotten. It lives in the Telemetry actor's memory.

Failure behavior: when the actor restarts, all counters begin at zero, which Prometheus takes for a
reset; nothing is lost but what had not been scraped. What is no metric of this version, or no
number, is passed over.
"""

from __future__ import annotations

import asyncio
import math
from bisect import bisect_left
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.core import (
    Metric as Family,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from helixflow.signals import Labels, Metric
from helixflow.telemetry.deltas import Deltas
from helixflow.telemetry.desk import Arguments, Operation, Visit
from helixflow.telemetry.label_bounds import LabelBounds, Values
from helixflow.telemetry.metrics import METRICS, Bounds, MetricKind, Over

_SOURCES_MAX = 4096


@dataclass(slots=True)
class _Histogram:
    """Counts per bucket, not cumulative, the last one for what is above all bounds."""

    counts: list[int]
    total: float = 0.0


@dataclass(slots=True)
class _Process:
    """A process that reports: what it is, and its levels."""

    role: str
    gauges: dict[tuple[Metric, Values], float] = field(default_factory=dict)


_Sums: TypeAlias = dict[Values, float]


class PrometheusRegistry:
    """`telemetry.ports.MetricsIntake`. For one thread."""

    def __init__(self, sources_max: int = _SOURCES_MAX) -> None:
        self._sources_max = sources_max
        self._bounds = LabelBounds()
        self._counters: dict[Metric, _Sums] = {}
        self._histograms: dict[Metric, dict[Values, _Histogram]] = {}
        self._processes: OrderedDict[str, _Process] = OrderedDict()

    def absorb(self, source: str, role: str, deltas: Deltas) -> None:
        """See `MetricsIntake.absorb`."""
        process = self._process(source, role)
        for name, labels, by in deltas.counters:
            metric = _known(name, MetricKind.COUNTER)
            if metric is not None and 0 <= by < math.inf:
                sums = self._counters.setdefault(metric, {})
                values = self._bounds.values(metric, labels)
                sums[values] = sums.get(values, 0.0) + by
        for name, labels, bounds, counts, total in deltas.histograms:
            metric = _known(name, MetricKind.HISTOGRAM)
            if metric is not None and math.isfinite(total) and len(counts) == len(bounds) + 1:
                self._add(metric, labels, bounds, counts, total)
        for name, labels, level in deltas.gauges:
            metric = _known(name, MetricKind.GAUGE)
            if metric is not None and math.isfinite(level):
                process.gauges[metric, self._bounds.values(metric, labels)] = level

    def forget(self, source: str) -> None:
        """See `MetricsIntake.forget`."""
        self._processes.pop(source, None)

    async def page(self) -> bytes:
        """Prometheus' text format. Written down in a thread: a big page takes a while."""
        families = _Families(list(self._families()))
        return await asyncio.to_thread(generate_latest, families)

    def _process(self, source: str, role: str) -> _Process:
        process = self._processes.get(source)
        if process is None:
            process = self._processes[source] = _Process(role)
            if len(self._processes) > self._sources_max:
                self._processes.popitem(last=False)
        self._processes.move_to_end(source)
        return process

    def _add(
        self,
        metric: Metric,
        labels: Labels,
        bounds: Bounds,
        counts: Sequence[int],
        total: float,
    ) -> None:
        ours = METRICS[metric].buckets
        series = self._histograms.setdefault(metric, {})
        values = self._bounds.values(metric, labels)
        held = series.setdefault(values, _Histogram([0] * (len(ours) + 1)))
        for place, count in enumerate(counts):
            # A process of another version may have other bounds: the next one of ours above it.
            if bounds == ours:
                held.counts[place] += count
            elif place < len(bounds):
                held.counts[bisect_left(ours, bounds[place])] += count
            else:
                held.counts[-1] += count
        held.total += total

    def _families(self) -> Iterator[Family]:
        """All metrics that have a value, in the order of the table."""
        gauges = self._levels()
        for metric, info in METRICS.items():
            if info.kind is MetricKind.COUNTER:
                counter = CounterMetricFamily(metric.value, info.help, labels=info.labels)
                for values, number in self._counters.get(metric, {}).items():
                    counter.add_metric(values, number)
                yield counter
            elif info.kind is MetricKind.HISTOGRAM:
                histogram = HistogramMetricFamily(metric.value, info.help, labels=info.labels)
                for values, held in self._histograms.get(metric, {}).items():
                    histogram.add_metric(values, _cumulated(info.buckets, held), held.total)
                yield histogram
            else:
                gauge = GaugeMetricFamily(metric.value, info.help, labels=info.labels)
                for values, level in gauges.get(metric, {}).items():
                    gauge.add_metric(values, level)
                yield gauge

    def _levels(self) -> dict[Metric, _Sums]:
        """Each gauge over all processes."""
        roles = Counter(process.role for process in self._processes.values())
        levels: dict[Metric, _Sums] = {Metric.PROCESSES: {}}
        for role, number in roles.items():
            values = self._bounds.values(Metric.PROCESSES, (("role", role),))
            levels[Metric.PROCESSES][values] = number
        for process in self._processes.values():
            for (metric, values), level in process.gauges.items():
                over = levels.setdefault(metric, {})
                if METRICS[metric].over is Over.SUM:
                    over[values] = over.get(values, 0.0) + level
                else:
                    over[values] = max(over.get(values, level), level)
        return levels


class MetricsAsked(Arguments, frozen=True, kw_only=True):
    """`metrics.read` takes nothing."""


def metrics_operations(registry: PrometheusRegistry) -> tuple[Operation, ...]:
    """To be given to the records desk."""

    async def read(_: Visit, __: MetricsAsked) -> bytes:
        return await registry.page()

    return (Operation("metrics.read", "metrics:read", MetricsAsked, read),)


class _Families(Collector):
    """What was collected."""

    def __init__(self, families: list[Family]) -> None:
        self._collected = families

    def collect(self) -> list[Family]:
        """See `Collector.collect`."""
        return self._collected


def _known(name: str, kind: MetricKind) -> Metric | None:
    """The metric of that name, where it is one and of that kind."""
    metric = _BY_NAME.get(name)
    return metric if metric is not None and METRICS[metric].kind is kind else None


_BY_NAME = {metric.value: metric for metric in Metric}


def _cumulated(bounds: Bounds, held: _Histogram) -> list[tuple[str, float]]:
    """As Prometheus counts: each bucket with all below it."""
    total, buckets = 0, []
    for bound, count in zip((*bounds, math.inf), held.counts, strict=True):
        total += count
        buckets.append(("+Inf" if bound == math.inf else repr(bound), float(total)))
    return buckets
