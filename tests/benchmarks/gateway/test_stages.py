from __future__ import annotations

import pytest

from benchmarks.gateway.stages import Sums, figures, sums_of

PAGE = """# HELP helixflow_stage_duration_seconds One stage.
# TYPE helixflow_stage_duration_seconds histogram
helixflow_stage_duration_seconds_bucket{le="0.1",stage="parse"} 4.0
helixflow_stage_duration_seconds_sum{stage="parse"} 0.002
helixflow_stage_duration_seconds_count{stage="parse"} 4.0
helixflow_stage_duration_seconds_sum{stage="first_token"} 0.5
helixflow_stage_duration_seconds_count{stage="first_token"} 4.0
helixflow_request_seconds_sum{model="m",outcome="ok"} 9.0
"""


def test_a_page_tells_of_its_stages_and_of_nothing_else() -> None:
    assert sums_of(PAGE) == {"parse": Sums(0.002, 4.0), "first_token": Sums(0.5, 4.0)}


def test_what_the_stages_do_not_explain_is_outside_of_them() -> None:
    before = {"parse": Sums(1.0, 10.0)}
    after = {"parse": Sums(1.001, 20.0), "reserve": Sums(0.002, 10.0), "settle": Sums(3.0, 0.0)}
    told = figures(before, after, whole_us=1000.0)
    assert told == {
        "whole_us": 1000.0,
        "parse_us": pytest.approx(100.0),
        "reserve_us": pytest.approx(200.0),
        "outside_us": pytest.approx(700.0),
    }
