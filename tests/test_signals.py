from __future__ import annotations

import re

from helixflow.signals import Event, EventKind, Metric, NullSignals, Signals
from helixflow.testing.signals import RecordingSignals


def test_metrics_have_the_platforms_prefix() -> None:
    for metric in Metric:
        assert re.fullmatch(r"helixflow_[a-z_]+", metric.value)


_EVENT = Event(EventKind.REQUEST_ENDED, 1.0, "req_1", {"model": "echo-1"})


def test_null_signals_keep_nothing() -> None:
    signals: Signals = NullSignals()
    signals.count(Metric.REQUESTS, (("outcome", "ok"),), 2)
    signals.observe(Metric.REQUEST_SECONDS, 0.5)
    signals.gauge(Metric.REQUESTS, 1.0)
    signals.record(_EVENT)


def test_recorded_signals_can_be_read() -> None:
    signals = RecordingSignals()
    labels = (("outcome", "ok"),)
    signals.count(Metric.REQUESTS, labels)
    signals.count(Metric.REQUESTS, labels, 2)
    signals.observe(Metric.REQUEST_SECONDS, 0.5)
    assert signals.counts[Metric.REQUESTS, labels] == 3
    assert signals.labels(Metric.REQUESTS) == [{"outcome": "ok"}]
    assert signals.labels(Metric.TOKENS) == []
    signals.gauge(Metric.REQUESTS, 4.0, labels)
    signals.record(_EVENT)
    assert signals.gauges == {(Metric.REQUESTS, labels): 4.0}
    assert signals.events == [_EVENT]
    assert signals.observed == [(Metric.REQUEST_SECONDS, 0.5, ())]
