from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from helixflow.signals import Metric
from helixflow.telemetry.label_bounds import VALUES_MAX
from helixflow.telemetry.metrics import METRICS, SECONDS, MetricKind, bounds_of
from tests.architecture.tree import Source, sources

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
    MetricKind.GAUGE: r"_(seconds|bytes|ratio|requests|replicas|sequences|processes|events)",
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


CALLS = {
    "count": MetricKind.COUNTER,
    "gauge": MetricKind.GAUGE,
    "observe": MetricKind.HISTOGRAM,
}


def calls(source: Source) -> Iterator[tuple[str, Metric]]:
    """`(method, metric)` of every call that reports a metric by its name."""
    for node in ast.walk(source.tree):
        match node:
            case ast.Call(
                func=ast.Attribute(attr=method),
                args=[ast.Attribute(value=ast.Name(id="Metric"), attr=name), *_],
            ) if method in CALLS:
                yield method, Metric[name]


def test_every_part_reports_a_metric_as_what_it_is() -> None:
    found = [
        (source.path, method, metric)
        for source in sources("helixflow", "deployments")
        for method, metric in calls(source)
    ]
    assert len(found) > 10
    assert [one for one in found if METRICS[one[2]].kind is not CALLS[one[1]]] == []


def test_every_metric_is_reported_by_some_part() -> None:
    named = {
        node.attr
        for source in sources("helixflow", "deployments")
        if not source.path.endswith("telemetry/metrics.py")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if node.value.id == "Metric"
    }
    assert {metric.name for metric in Metric} - named == set()
