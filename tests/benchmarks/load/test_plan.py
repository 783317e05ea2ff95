from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.load.plan import Closed, Expected, Open, Plan, Target, divide

TARGET = Target("127.0.0.1", 1, "/")


@given(st.integers(1, 500), st.integers(1, 8))
def test_no_connection_is_lost_or_doubled_among_processes(connections: int, count: int) -> None:
    plan = Plan(TARGET, ["{}"], Expected(1), Closed(connections, duration_s=1.0))
    shares = [share.pace for share in divide(plan, count)]
    assert sum(pace.connections for pace in shares if isinstance(pace, Closed)) == connections
    assert len(shares) == min(count, connections)


def test_a_divided_open_loop_keeps_its_rate_and_draws_differently() -> None:
    plan = Plan(TARGET, ["{}"], Expected(1), Open(100.0, 1.0))
    shares = [share.pace for share in divide(plan, 4)]
    assert sum(pace.rate_per_s for pace in shares if isinstance(pace, Open)) == 100.0
    assert len({pace.seed for pace in shares if isinstance(pace, Open)}) == 4


def test_processes_start_at_different_bodies() -> None:
    bodies = [str(number) for number in range(20)]
    plan = Plan(TARGET, bodies, Expected(1), Closed(2, duration_s=1.0))
    first, second = divide(plan, 2)
    assert first.bodies[0] != second.bodies[0]
    assert sorted(first.bodies) == sorted(second.bodies) == sorted(bodies)


def test_bodies_and_callers_take_turns_each_in_its_own() -> None:
    plan = Plan(
        TARGET, ["a", "b"], Expected(1), Closed(1), tokens=[5, 6], callers=["k1", "k2", "k3"]
    )
    sent = plan.requests()
    assert [body for _, body, _ in sent] == ["a", "b", "a"]
    assert [right.tokens for _, _, right in sent] == [5, 6, 5]
    assert [target.headers["authorization"] for target, _, _ in sent] == [
        "Bearer k1",
        "Bearer k2",
        "Bearer k3",
    ]


def test_processes_start_at_different_callers() -> None:
    plan = Plan(TARGET, ["{}"], Expected(1), Closed(2), callers=["k1", "k2", "k3", "k4"])
    assert [share.callers[0] for share in divide(plan, 2)] == ["k1", "k3"]


def test_a_plan_survives_the_way_to_another_process() -> None:
    for pace in (Closed(3, requests_each=2), Open(5.0, 1.0, burst=2)):
        plan = Plan(TARGET, ["{}"], Expected(7, streamed=True), pace)
        assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan
