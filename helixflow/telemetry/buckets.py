"""The buckets of every histogram: fixed, so that what processes count can be added up."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

from helixflow.signals import Metric

Bounds: TypeAlias = tuple[float, ...]
"""Upper bounds (inclusive), rising; what is above the last one is counted apart."""

SECONDS: Bounds = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    120.0, 300.0, 600.0,
)  # fmt: skip
"""From a cached answer of a small part to the longest generation."""

COUNTS: Bounds = (1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16_384.0, 65_536.0, 262_144.0)
"""Tokens, bytes, items of a queue."""

_OF: Mapping[Metric, Bounds] = MappingProxyType({})


def bounds_of(metric: Metric) -> Bounds:
    """The bounds of a metric's buckets: its own, or those of its unit."""
    own = _OF.get(metric)
    if own is not None:
        return own
    return SECONDS if metric.value.endswith("_seconds") else COUNTS
