from __future__ import annotations

from benchmarks.report.markdown import render
from benchmarks.report.reach import goals
from benchmarks.report.tables import table
from benchmarks.results import Described, Measurement, Run, Visit

SCENARIO = Described(
    "gateway", "Gateway", {"serve": "floor", "helixflow": "HelixFlow"}, {"c32": "32 connections"}
)


def measured(
    system: str, visit: int, rate: float, errors: dict[str, int] | None = None
) -> Measurement:
    figures = {"requests_per_s": rate, "answered": rate, "generator_lag_p99_ms": 1.5}
    return Measurement("gateway", system, "c32", visit, 0, figures, errors or {})


def a_run() -> Run:
    return Run(
        "2026-01-01T00:00:00+00:00",
        scenarios=[SCENARIO],
        visits=[
            Visit("gateway", "serve", 0, 0, ready_s=10.0, facts={"authentication": False}),
            Visit("gateway", "serve", 1, 3, ready_s=11.0),
            Visit("gateway", "helixflow", 0, 1, ready_s=12.0),
            Visit("gateway", "helixflow", 1, 2, fault="did not start"),
            Visit("real_model", "helixflow", 0, 4, first_token_s=40.0),
            Visit("real_model", "helixflow", 1, 5, first_token_s=70.0),
        ],
        measurements=[
            measured("serve", 1, 1100.0),
            measured("serve", 0, 1000.0),
            measured("helixflow", 0, 900.0),
            measured("helixflow", 1, 880.0, {"timeout": 2}),
        ],
    )


def test_repeats_come_in_the_order_of_their_visits() -> None:
    assert a_run().series("gateway", "serve", "c32", "requests_per_s") == [1000.0, 1100.0]


def test_the_report_shows_both_and_their_ratio() -> None:
    text = render(a_run(), ["gateway.png"])
    row = next(line for line in text.splitlines() if line.startswith("| requests/s |"))
    assert "1,050 [1,000 - 1,100]" in row
    assert "890 [880 - 900]" in row
    assert "0.850 [0.800 - 0.900]" in row
    assert "![gateway.png](gateway.png)" in text


def test_wrong_answers_and_faults_are_in_the_report() -> None:
    text = render(a_run())
    assert "HelixFlow: timeout 2" in text
    assert "did not start" in text
    assert '{"authentication": false}' in text


def test_goals_are_judged_by_the_median_and_a_spread_across_is_said() -> None:
    found = {goal.what: goal for goal in goals(a_run())}
    floor = found["requests/s beside the bare one-hop Serve app, 32 connections, everything on"]
    assert floor.verdict == "reached"
    assert found["from start to the first token"].verdict == "reached (repeats on both sides)"
    assert found["tokens/s beside bare vLLM, 8 streams"].verdict == "not measured"


def test_a_goal_that_is_missed_is_said_loudly() -> None:
    run = a_run()
    run.measurements = [measured("serve", 0, 1000.0), measured("helixflow", 0, 500.0)]
    found = {goal.what: goal for goal in goals(run)}
    floor = found["requests/s beside the bare one-hop Serve app, 32 connections, everything on"]
    assert floor.verdict == "**not reached**"


def test_overload_connections_and_the_soak_have_goals() -> None:
    def seen(scenario: str, load: str, round_: int = 0, **figures: float) -> Measurement:
        return Measurement(scenario, "helixflow", load, 0, round_, figures)

    run = Run("2026-01-01T00:00:00+00:00")
    run.measurements = [
        seen("overload", "below", latency_p99_ms=200.0),
        seen("overload", "flood", latency_p99_ms=300.0, refused_p99_ms=20.0),
        seen("overload", "after", latency_p99_ms=210.0),
        seen("connections", "c32", requests_per_s=1000.0),
        seen("connections", "c5000", requests_per_s=950.0),
        *(seen("soak", "c8", n, memory_mib=900.0 + 100.0 * n, open_files=80.0) for n in range(11)),
    ]
    found = {goal.what: goal for goal in goals(run)}
    for what, value in (
        ("p99 of admitted requests, 2x beside 0.8x", 1.5),
        ("the same right after the flood", 1.05),
        ("a refusal's p99 at 2x", 20.0),
        ("requests/s at very many connections beside 32", 0.95),
        ("open files after the soak beside its start", 1.0),
    ):
        measured_ = found[what].measured
        assert measured_ is not None
        assert (measured_.median, found[what].verdict) == (value, "reached")
    assert found["memory after the soak beside its start"].verdict == "**not reached**"


def test_a_run_without_measurements_has_a_report() -> None:
    text = render(Run("2026-01-01T00:00:00+00:00", scenarios=[SCENARIO]))
    assert "Nothing was measured." in text


def test_a_table_is_markdown() -> None:
    assert table(["a", "b"], [["x", "1"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |"


def look_up(system: str, load: str, round_: int, p50_ms: float) -> Measurement:
    figures = {"look_up_p50_ms": p50_ms, "look_up_p99_ms": 2 * p50_ms, "answered": 10.0}
    figures["warm_us"] = 1.0
    return Measurement("identity_keys", system, load, 0, round_, figures)


def test_look_ups_are_judged_at_the_largest_store_and_by_their_growth() -> None:
    scenario = Described(
        "identity_keys", "Keys", {"sqlite": "SQLite"}, {"k1000": "1,000", "k100000": "100,000"}
    )
    run = Run("2026-01-01T00:00:00+00:00", scenarios=[scenario])
    for round_ in (0, 1):
        run.measurements.append(look_up("sqlite", "k1000", round_, 1.0))
        run.measurements.append(look_up("sqlite", "k100000", round_, 2.0))
    found = {goal.what: goal.verdict for goal in goals(run)}
    assert found["cold key look-up p50, SQLite, 100,000 keys"] == "reached"
    assert found["cold key look-up p99, SQLite, 100,000 keys"] == "**not reached**"
    beside = "cold key look-up, SQLite, 100,000 keys beside 1,000 keys"
    assert found[beside] == "**not reached**"
    assert found["warm key, SQLite, 100,000 keys beside 1,000 keys"] == "reached"
    assert found["cold key look-up p50, PostgreSQL, 1,000 keys"] == "not measured"
    text = render(run)
    assert "| cold look-up p50, ms | 2.00 [2.00 - 2.00] |" in text
    assert "40 right answers; wrong ones: none." in text
