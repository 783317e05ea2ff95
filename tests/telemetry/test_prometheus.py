"""The page is read back by Prometheus's own parser."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from helixflow.errors import Forbidden
from helixflow.inference.desk import DeskCall
from helixflow.settings import HubSettings
from helixflow.signals import Labels, Metric
from helixflow.telemetry.deltas import Deltas
from helixflow.telemetry.desk import Desk
from helixflow.telemetry.label_bounds import OTHER, SERIES_MAX, VALUES_MAX, LabelBounds
from helixflow.telemetry.metrics import METRICS
from helixflow.telemetry.prometheus import PrometheusRegistry, metrics_operations
from helixflow.telemetry.tally import Tally
from helixflow.testing.identity import some_principal

M: Labels = (("model", "m"),)
OK: Labels = (("model", "m"), ("outcome", "ok"))


async def samples(registry: PrometheusRegistry) -> list[Sample]:
    page = (await registry.page()).decode()
    return [sample for family in text_string_to_metric_families(page) for sample in family.samples]


async def values(registry: PrometheusRegistry, name: str) -> dict[tuple[str, ...], float]:
    """Samples of one name: their label values that are not empty, and their numbers."""
    return {
        tuple(value for _, value in sorted(sample.labels.items()) if value): sample.value
        for sample in await samples(registry)
        if sample.name == name
    }


async def test_counts_of_all_processes_are_added_up() -> None:
    registry = PrometheusRegistry()
    for source in ("a", "b"):
        tally = Tally(100)
        tally.count(Metric.REQUESTS, OK, 2)
        registry.absorb(source, "ingress", tally.take())
    registry.absorb("a", "ingress", Deltas(((Metric.REQUESTS.value, OK, 1.0),)))
    assert await values(registry, "helixflow_requests_total") == {("m", "ok"): 5}
    registry.forget("a")
    assert await values(registry, "helixflow_requests_total") == {("m", "ok"): 5}


async def test_levels_are_summed_or_the_highest_and_go_with_their_process() -> None:
    registry = PrometheusRegistry()
    for source, running, used in (("a", 3.0, 0.2), ("b", 4.0, 0.9)):
        tally = Tally(100)
        tally.gauge(Metric.RUNNING_SEQUENCES, running, M)
        tally.gauge(Metric.KV_CACHE_USAGE, used, M)
        registry.absorb(source, "model", tally.take())
    assert await values(registry, "helixflow_running_sequences") == {("m",): 7}
    assert await values(registry, "helixflow_kv_cache_usage_ratio") == {("m",): 0.9}
    assert await values(registry, "helixflow_processes") == {("model",): 2}
    registry.forget("b")
    assert await values(registry, "helixflow_running_sequences") == {("m",): 3}
    assert await values(registry, "helixflow_kv_cache_usage_ratio") == {("m",): 0.2}


@given(st.lists(st.floats(0, 1000), max_size=20))
async def test_a_histogram_on_the_page_is_cumulative_and_whole(seconds: list[float]) -> None:
    registry, tally = PrometheusRegistry(), Tally(100)
    for each in seconds:
        tally.observe(Metric.QUEUE_WAIT_SECONDS, each, M)
    registry.absorb("a", "model", tally.take())
    found = [one for one in await samples(registry) if "queue_wait" in one.name]
    buckets = [one for one in found if one.name.endswith("_bucket")]
    for bucket in buckets:
        bound = float(bucket.labels["le"])
        assert bucket.value == sum(each <= bound for each in seconds)
    if seconds:
        assert [float(one.labels["le"]) for one in buckets] == [
            *METRICS[Metric.QUEUE_WAIT_SECONDS].buckets, math.inf,
        ]  # fmt: skip
        rest = {one.name.rpartition("_")[2]: one.value for one in found if one not in buckets}
        assert rest["count"] == len(seconds)
        assert rest["sum"] == pytest.approx(sum(seconds))


async def test_another_versions_buckets_are_put_into_ours() -> None:
    registry = PrometheusRegistry()
    row = (Metric.QUEUE_WAIT_SECONDS.value, M, (0.002, 7.0, 9999.0), (1, 2, 4, 8), 5.0)
    registry.absorb("a", "model", Deltas(histograms=(row,)))
    found = await values(registry, "helixflow_queue_wait_seconds_bucket")
    assert found["0.001", "m"] == 0
    assert found["0.0025", "m"] == 1
    assert found["10.0", "m"] == 3
    assert found["+Inf", "m"] == 15


async def test_what_is_no_metric_or_no_number_is_passed_over() -> None:
    registry = PrometheusRegistry()
    registry.absorb(
        "a",
        "model",
        Deltas(
            (
                ("helixflow_future_total", (), 1.0),
                (Metric.QUEUED_REQUESTS.value, (), 1.0),
                (Metric.REQUESTS.value, OK, math.nan),
                (Metric.REQUESTS.value, OK, -1.0),
            ),
            (
                (Metric.QUEUE_WAIT_SECONDS.value, M, (1.0,), (1,), 1.0),
                (Metric.QUEUE_WAIT_SECONDS.value, M, (1.0,), (1, 1), math.inf),
            ),
            ((Metric.KV_CACHE_USAGE.value, M, math.nan),),
        ),
    )
    assert [one.name for one in await samples(registry)] == ["helixflow_processes"]


async def test_a_hundred_thousand_keys_and_users_add_no_series() -> None:
    registry = PrometheusRegistry()
    registry.absorb("a", "ingress", Deltas(((Metric.REQUESTS.value, OK, 1.0),)))
    before = len(await samples(registry))
    for number in range(100_000):
        stray = (*OK, ("key", f"key_{number}"), ("user", f"user_{number}"))
        registry.absorb("a", "ingress", Deltas(((Metric.REQUESTS.value, stray, 1.0),)))
    assert len(await samples(registry)) == before
    assert await values(registry, "helixflow_requests_total") == {("m", "ok"): 100_001}


async def test_a_label_has_few_values_whatever_comes_and_none_is_lost() -> None:
    registry = PrometheusRegistry()
    for number in range(1000):
        labels = (("model", f"m{number}"), ("outcome", "ok"))
        registry.absorb("a", "ingress", Deltas(((Metric.REQUESTS.value, labels, 1.0),)))
    found = await values(registry, "helixflow_requests_total")
    assert len(found) == VALUES_MAX["model"] + 1
    assert found[OTHER, "ok"] == 1000 - VALUES_MAX["model"]


def test_a_metric_has_few_series() -> None:
    bounds = LabelBounds(series_max=10)
    seen = {
        bounds.values(Metric.REQUESTS, (("model", f"m{number % 7}"), ("outcome", f"o{number % 5}")))
        for number in range(35)
    }
    assert len(seen) == 11
    assert (OTHER,) * 3 in seen
    assert bounds.values(Metric.REQUESTS, (("model", "x" * 129),))[0] == OTHER
    assert SERIES_MAX * 20 < 100_000  # lines of a page that one metric can have


async def test_processes_that_never_said_goodbye_do_not_pile_up() -> None:
    registry = PrometheusRegistry(sources_max=3)
    for number in range(9):
        registry.absorb(f"s{number}", "model", Deltas())
    assert await values(registry, "helixflow_processes") == {("model",): 3}


async def test_every_metric_stands_on_the_page_with_its_kind_and_its_help() -> None:
    page = (await PrometheusRegistry().page()).decode()
    for metric, info in METRICS.items():
        assert f"# HELP {metric.value} {info.help}\n" in page
        assert f"# TYPE {metric.value} {info.kind.value}\n" in page


async def test_label_values_cannot_break_the_page() -> None:
    registry = PrometheusRegistry()
    wild = 'a"} 7\n# \\ ümlaut'
    registry.absorb("a", "ingress", Deltas(((Metric.TOKENS.value, (("model", wild),), 1.0),)))
    assert await values(registry, "helixflow_tokens_total") == {(wild,): 1}


async def test_the_desk_gives_the_page_to_who_may_read_it() -> None:
    registry = PrometheusRegistry()
    desk = Desk(metrics_operations(registry), HubSettings())
    reader = some_principal(permissions=frozenset({"metrics:read"}))
    answer = await desk.answer(DeskCall("metrics.read", reader))
    assert answer.body == await registry.page()
    with pytest.raises(Forbidden):
        await desk.answer(DeskCall("metrics.read", some_principal()))
