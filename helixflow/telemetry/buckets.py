"""The buckets of every histogram: fixed, so that what processes count can be added up."""

from __future__ import annotations

from helixflow.signals import Metric
from helixflow.telemetry.metrics import METRICS, SECONDS, Bounds

__all__ = ["SECONDS", "Bounds", "bounds_of"]


def bounds_of(metric: Metric) -> Bounds:
    """The bounds of a metric's buckets; those of seconds where it is no histogram."""
    return METRICS[metric].buckets or SECONDS
