"""Label values are few, whatever is counted: what is too many becomes `other`.

Nothing but this stands between a caller's words and the number of time series, so it holds for
every metric and every process: a label that a metric does not have is left out, a label has at most
so many values, a metric at most so many series. The first ones stay; a restart begins anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

from helixflow.signals import Labels, Metric
from helixflow.telemetry.metrics import METRICS

OTHER = "other"

VALUES_MAX: Mapping[str, int] = MappingProxyType(
    {
        "kind": 16,
        "limit": 16,
        "model": 200,
        "outcome": 64,
        "reason": 64,
        "region": 32,
        "role": 16,
        "route": 128,
        "service_class": 8,
        "sink": 16,
        "stage": 32,
        "status": 64,
    }
)
"""How many values a label may have, over all metrics."""

SERIES_MAX = 2000
"""Of one metric; a histogram's series has some twenty lines."""

_LENGTH_MAX = 128

Values: TypeAlias = tuple[str, ...]
"""In the order of the metric's labels; empty for a label that was not given."""


class LabelBounds:
    """What was seen so far."""

    def __init__(self, series_max: int = SERIES_MAX) -> None:
        self._values: dict[str, set[str]] = {name: set() for name in VALUES_MAX}
        self._series: dict[Metric, set[Values]] = {}
        self._series_max = series_max

    def values(self, metric: Metric, labels: Labels) -> Values:
        """The label values under which something is counted."""
        names = METRICS[metric].labels
        given = dict(labels)
        values = tuple(self._value(name, given.get(name, "")) for name in names)
        seen = self._series.setdefault(metric, set())
        if values not in seen:
            if len(seen) >= self._series_max:
                return (OTHER,) * len(names)
            seen.add(values)
        return values

    def _value(self, name: str, value: str) -> str:
        if not value:
            return ""
        seen = self._values[name]
        if value in seen:
            return value
        if len(seen) >= VALUES_MAX[name] or len(value) > _LENGTH_MAX:
            return OTHER
        seen.add(value)
        return value
