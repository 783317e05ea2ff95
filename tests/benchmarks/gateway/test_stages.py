from __future__ import annotations

import pytest

from benchmarks.gateway.stages import figures
from benchmarks.load.crew import LoadFailed
from helixflow.signals import Metric
from helixflow.telemetry.scrape import Scrape


def page(**stages: tuple[float, int]) -> Scrape:
    name = Metric.STAGE_SECONDS
    lines = [f"# TYPE {name} histogram"]
    for stage, (seconds, count) in stages.items():
        lines += [
            f'{name}_bucket{{stage="{stage}",le="+Inf"}} {count}',
            f'{name}_sum{{stage="{stage}"}} {seconds}',
            f'{name}_count{{stage="{stage}"}} {count}',
        ]
    return Scrape.of("\n".join(lines) + "\n", 0.0)


def test_what_the_stages_do_not_explain_is_outside_of_them() -> None:
    before = page(parse=(1.0, 10), settle=(3.0, 4))
    after = page(parse=(1.001, 20), settle=(3.0, 4), reserve=(0.002, 10))
    assert figures(before, after, whole_us=1000.0) == {
        "whole_us": 1000.0,
        "parse_us": pytest.approx(100.0),
        "reserve_us": pytest.approx(200.0),
        "outside_us": pytest.approx(700.0),
    }


def test_pages_without_stages_measure_nothing() -> None:
    with pytest.raises(LoadFailed, match="no stage"):
        figures(page(), page(), whole_us=1000.0)
