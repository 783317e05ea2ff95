from __future__ import annotations

import pytest

from helixflow.signals import Metric
from helixflow.telemetry.deltas import Deltas, decode, encode
from helixflow.telemetry.metrics import SECONDS
from helixflow.telemetry.tally import Tally

LABELS = (("model", "echo-1"),)


def test_counts_add_up_until_they_are_taken() -> None:
    tally = Tally(10)
    assert not tally.changed
    tally.count(Metric.REQUESTS, LABELS)
    tally.count(Metric.REQUESTS, LABELS, 2)
    tally.count(Metric.REQUESTS)
    assert tally.changed
    taken = tally.take()
    assert taken.counters == (
        ("helixflow_requests_total", LABELS, 3),
        ("helixflow_requests_total", (), 1),
    )
    assert not tally.take()


def test_a_value_falls_into_the_bucket_whose_bound_it_does_not_pass() -> None:
    tally = Tally(10)
    for value in (0.0, SECONDS[0], SECONDS[0] + 1e-9, SECONDS[-1] + 1):
        tally.observe(Metric.REQUEST_SECONDS, value)
    ((name, labels, bounds, counts, total),) = tally.take().histograms
    assert (name, labels, bounds) == ("helixflow_request_duration_seconds", (), SECONDS)
    assert (counts[0], counts[1], counts[-1], sum(counts)) == (2, 1, 1, 4)
    assert total == pytest.approx(2 * SECONDS[0] + SECONDS[-1] + 1)


def test_a_level_is_told_when_it_was_set_and_when_all_are_wanted() -> None:
    tally = Tally(10)
    tally.gauge(Metric.REQUESTS, 1.0)
    tally.gauge(Metric.REQUESTS, 4.0)
    row = ("helixflow_requests_total", (), 4.0)
    assert tally.take().gauges == (row,)
    assert not tally.changed
    assert tally.take().gauges == ()
    assert tally.take(levels=True).gauges == (row,)


def test_series_have_a_bound_and_what_is_dropped_is_counted() -> None:
    tally = Tally(2)
    tally.gauge(Metric.REQUESTS, 1.0)
    tally.count(Metric.REQUESTS)
    for labels in ((), LABELS):
        tally.count(Metric.TOKENS, labels)
        tally.observe(Metric.REQUEST_SECONDS, 1.0, labels)
        tally.gauge(Metric.TOKENS, 1.0, labels)
    tally.count(Metric.REQUESTS)
    taken = tally.take()
    assert taken.counters == (
        ("helixflow_requests_total", (), 2),
        ("helixflow_series_dropped_total", (), 6),
    )
    tally.count(Metric.TOKENS)
    assert tally.take().counters == (("helixflow_tokens_total", (), 1),)


def test_deltas_travel_as_bytes() -> None:
    tally = Tally(10)
    tally.count(Metric.REQUESTS, LABELS)
    tally.observe(Metric.REQUEST_SECONDS, 1.0, LABELS)
    tally.gauge(Metric.TOKENS, 2.0)
    taken = tally.take()
    assert decode(encode(taken)) == taken
    assert not Deltas()
    with pytest.raises(ValueError):
        decode(b"{}")
