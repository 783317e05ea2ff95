from __future__ import annotations

from benchmarks.report.markdown import render
from benchmarks.report.reach import goals
from benchmarks.results import Described, Measurement, Run

SCENARIO = Described(
    "limits", "Limits", {"helixflow": "HelixFlow"}, {"q5": "five", "l2_10": "a", "l1_10": "b"}
)


def accuracy(ledgers: int, round_: int, admitted: int) -> Measurement:
    figures = {
        "limits_ledgers": float(ledgers), "limits_limit": 10.0, "limits_offered": 4_000.0,
        "limits_at_once": 9.0, "limits_admitted": float(admitted), "limits_unavailable": 0.0,
        "limits_over": max(0.0, admitted - 10.0), "limits_unused": max(0.0, 10.0 - admitted),
        "answered": 0.0,
    }  # fmt: skip
    return Measurement("limits", "helixflow", f"l{ledgers}_10", 0, round_, figures, {})


def a_run(*admitted: int) -> Run:
    rounds = [accuracy(2, round_, count) for round_, count in enumerate(admitted)]
    return Run(
        "2026-01-01T00:00:00+00:00",
        scenarios=[SCENARIO],
        measurements=[*rounds, *(accuracy(1, round_, 10) for round_ in range(len(admitted)))],
    )


def test_accuracy_is_one_table_with_a_row_for_each_limit_and_number_of_ledgers() -> None:
    lines = render(a_run(10, 10)).splitlines()
    assert "| 1 | 10 | 4,000 | 9 | 10 | 0 | 0 | 2 |" in lines
    assert lines.index("| 1 | 10 | 4,000 | 9 | 10 | 0 | 0 | 2 |") == (
        lines.index("| 2 | 10 | 4,000 | 9 | 10 | 0 | 0 | 2 |") - 1
    )
    assert not any(line.startswith("| a |") for line in lines)


def test_repeats_that_differ_are_shown_as_a_range() -> None:
    assert "| 2 | 10 | 4,000 | 9 | 8 - 10 | 0 | 0 | 2 |" in render(a_run(8, 10)).splitlines()


def test_one_repeat_over_a_limit_is_a_goal_that_is_missed() -> None:
    missed = {goal.what: goal.verdict for goal in goals(a_run(12, 12, 10))}
    assert missed["admitted over a limit"].startswith("**not reached**")
    found = {goal.what: goal.verdict for goal in goals(a_run(10, 10, 10))}
    assert found["admitted over a limit"] == "reached"
    assert found["of a limit not used although enough came"] == "reached"
    assert found["exchanges per 1,000 requests, 1 caller"] == "not measured"
