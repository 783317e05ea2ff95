"""Reading a page of metrics: growth over resets, and quantiles within their buckets."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.signals import Metric
from helixflow.telemetry.deltas import Deltas
from helixflow.telemetry.metrics import FIRST_TOKEN_SECONDS
from helixflow.telemetry.prometheus import PrometheusRegistry
from helixflow.telemetry.scrape import (
    Buckets,
    Scrape,
    bucket_increases,
    increase,
    merged,
    quantile,
    sums,
)

TTFT = Metric.TIME_TO_FIRST_TOKEN_SECONDS
M = (("model", "m"),)

counts_of = st.lists(st.integers(0, 50), min_size=3, max_size=8)


def cumulative(counts: list[int]) -> Buckets:
    bounds = [*(float(place + 1) for place in range(len(counts) - 1)), math.inf]
    return tuple((b, float(sum(counts[: i + 1]))) for i, b in enumerate(bounds))


def page(counts: list[int]) -> Scrape:
    lines = [f'h_bucket{{le="{bound}",model="m"}} {n}' for bound, n in cumulative(counts)]
    return Scrape.of("\n".join(["# TYPE h histogram", *lines, ""]).replace("inf", "+Inf"), 0.0)


@given(counts_of, st.floats(0.01, 1.0))
def test_a_quantile_lies_in_the_bucket_that_holds_its_rank(counts: list[int], q: float) -> None:
    buckets = cumulative(counts)
    found = quantile(q, buckets)
    if not sum(counts):
        assert found is None
        return
    assert found is not None
    place = next(i for i, (_, n) in enumerate(buckets) if n >= q * sum(counts))
    if place == len(buckets) - 1:
        assert found == buckets[-2][0]
    else:
        assert place <= found <= place + 1


@given(counts_of, st.floats(0, 1), st.floats(0, 1))
def test_quantiles_rise(counts: list[int], a: float, b: float) -> None:
    low, high = quantile(min(a, b), cumulative(counts)), quantile(max(a, b), cumulative(counts))
    assert (low is None) == (high is None)
    assert low is None or high is None or low <= high


@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_growth_is_never_negative_and_whole_after_a_reset(old: float, new: float) -> None:
    before = Scrape(0, {"c_total": {M: old}})
    grown = increase(before, Scrape(1, {"c_total": {M: new}}), "c_total")[M]
    assert grown == (new - old if new >= old else new)


@given(counts_of, st.data())
def test_a_histogram_grows_by_what_came_in(old: list[int], data: st.DataObject) -> None:
    size = len(old)
    came = data.draw(st.lists(st.integers(0, 9), min_size=size, max_size=size))
    total = [a + b for a, b in zip(old, came, strict=True)]
    assert bucket_increases(page(old), page(total), "h") == {M: cumulative(came)}


def test_a_histogram_that_fell_begins_anew_as_a_whole() -> None:
    grown = bucket_increases(page([5, 0, 0]), page([1, 7, 0]), "h")
    assert grown == {M: cumulative([1, 7, 0])}


def test_what_prometheus_says_in_its_documentation() -> None:
    buckets = ((0.1, 10.0), (0.5, 30.0), (1.0, 40.0), (math.inf, 40.0))
    assert quantile(0.5, buckets) == pytest.approx(0.3)
    assert quantile(0.25, buckets) == pytest.approx(0.1)
    assert quantile(0.5, buckets[:-1]) is None
    assert quantile(0.5, ((0.0, 4.0), (math.inf, 4.0))) == 0.0
    assert quantile(0.5, ()) is None


def test_counts_that_fall_are_mended_and_a_missing_series_is_nothing() -> None:
    raw = {"h_bucket": {(("le", "1"),): 5.0, (("le", "2"),): 3.0, (("le", "+Inf"),): 6.0}}
    raw["h_bucket"][(("model", "m"),)] = 9.0  # has no bound: no bucket
    empty = Scrape(0, {})
    assert bucket_increases(empty, Scrape(1, raw), "h")[()] == ((1, 5), (2, 5), (math.inf, 6))
    assert increase(empty, empty, "gone") == {}
    assert merged(bucket_increases(empty, empty, "gone"), lambda _: True) == ()
    assert sums({M: 1.0, (): 2.0}, "model") == {("m",): 1.0, ("",): 2.0}


@pytest.mark.parametrize("text", ["<html>no</html>", 'a{b="', "a b c d"])
def test_what_is_no_page_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        Scrape.of(text, 0.0)


async def test_the_platforms_own_page_is_read() -> None:
    registry = PrometheusRegistry()
    counts = [0, 0, 4, *([0] * (len(FIRST_TOKEN_SECONDS) - 2))]
    registry.absorb(
        "i",
        "ingress",
        Deltas(histograms=((TTFT, M, FIRST_TOKEN_SECONDS, tuple(counts), 0.03),)),
    )
    scrape = Scrape.of((await registry.page()).decode(), 1.0)
    (buckets,) = bucket_increases(Scrape(0, {}), scrape, TTFT).values()
    assert quantile(0.5, buckets) == pytest.approx(0.0075)
