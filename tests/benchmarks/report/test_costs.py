from __future__ import annotations

from benchmarks.report.costs import cost_tables
from benchmarks.report.markdown import render
from benchmarks.results import Described, Measurement, Run, Visit


def a_run() -> Run:
    run = Run("x", scenarios=[Described("gateway", "G", {"serve": "S", "us": "U"}, {"c32": "32"})])
    for visit in range(2):
        for system, cpu_ms in (("serve", {"Model": 1.0}), ("us", {"Model": 2.0, "Auth": 0.5})):
            run.visits.append(
                Visit(
                    "gateway", system, visit, 0, memory_mib=300.0,
                    processes={"Model": (2, 250.0), "raylet": (1, 50.0)},
                )
            )  # fmt: skip
            run.measurements.append(
                Measurement("gateway", system, "c32", visit, 0, {"answered": 1.0}, {}, cpu_ms)
            )
    return run


def test_cpu_is_shown_by_process_and_system() -> None:
    cpu, _ = cost_tables(a_run())
    assert "| Model | 1.00 [1.00 - 1.00] | 2.00 [2.00 - 2.00] |" in cpu
    assert "| Auth |  | 0.500 [0.500 - 0.500] |" in cpu


def test_memory_is_shown_by_process() -> None:
    _, memory = cost_tables(a_run())
    assert "| U | 300 [300 - 300] | Model x2 250, raylet 50 |" in memory
    assert "What it costs" in render(a_run())


def test_what_was_not_measured_has_no_table() -> None:
    run = a_run()
    run.visits, run.measurements = [], []
    assert cost_tables(run) == []
