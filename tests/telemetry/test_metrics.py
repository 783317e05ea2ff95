from __future__ import annotations

import re

import pytest

from helixflow.signals import Metric
from helixflow.telemetry.label_bounds import VALUES_MAX
from helixflow.telemetry.metrics import METRICS, SECONDS, MetricKind, bounds_of

BOUNDED_LABELS = {
    "kind",
    "limit",
    "model",
    "outcome",
    "reason",
    "region",
    "role",
    "route",
    "service_class",
    "sink",
    "stage",
    "status",
}
UNITS = {
    MetricKind.COUNTER: r"_total",
    MetricKind.HISTOGRAM: r"_(seconds|bytes)",
    MetricKind.GAUGE: r"_(seconds|bytes|ratio|requests|sequences|processes|events)",
}


@pytest.mark.parametrize("metric", list(Metric))
def test_every_metric_says_what_it_is(metric: Metric) -> None:
    info = METRICS[metric]
    assert re.search(f"{UNITS[info.kind]}$", metric.value)
    assert re.fullmatch(r"[A-Z].*\.", info.help)
    assert len(info.help) < 100


def test_no_metric_is_described_that_nobody_can_count() -> None:
    assert set(METRICS) == set(Metric)


def test_labels_are_few_and_of_those_that_are_bounded() -> None:
    assert {name for info in METRICS.values() for name in info.labels} <= set(VALUES_MAX)
    assert max(len(info.labels) for info in METRICS.values()) <= 3


def test_histograms_alone_have_buckets_and_they_rise() -> None:
    for info in METRICS.values():
        assert bool(info.buckets) == (info.kind is MetricKind.HISTOGRAM)
        assert list(info.buckets) == sorted(set(info.buckets))


def test_what_is_no_histogram_is_put_into_seconds() -> None:
    assert bounds_of(Metric.REQUESTS) == SECONDS
    assert bounds_of(Metric.STAGE_SECONDS) == METRICS[Metric.STAGE_SECONDS].buckets
