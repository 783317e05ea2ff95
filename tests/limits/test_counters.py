from __future__ import annotations

from helixflow.inference.quota import LimitName, Scope
from helixflow.limits.counters import Measure, lines_for, measure_of

from .caller import caller, quota

RPM = LimitName.REQUESTS_PER_MINUTE


def scopes(*quotas: object, model: str = "m", subject: str = "") -> list[tuple[str, int]]:
    lines = lines_for(caller(*quotas, subject=subject), model)  # type: ignore[arg-type]
    return [(line.counter.scope, line.limit) for line in lines]


def test_a_scope_is_named_by_whose_use_it_counts() -> None:
    assert scopes(
        quota(RPM, 1),
        quota(RPM, 2, Scope.KEY),
        quota(RPM, 3, Scope.MODEL),
        quota(RPM, 4, Scope.PROJECT),
        quota(RPM, 5, Scope.USER),
        quota(RPM, 6, Scope.MODEL, Scope.PROJECT),
        quota(RPM, 7, Scope.KEY, Scope.ORGANIZATION),
        subject="user_1",
    ) == [
        ("organization", 1), ("key=key_1", 2), ("model=m", 3), ("project=proj_1", 4),
        ("user=user_1", 5), ("model=m,project=proj_1", 6),
    ]  # fmt: skip


def test_a_scope_that_the_caller_does_not_have_makes_the_limit_not_hold() -> None:
    assert scopes(quota(RPM, 5, Scope.USER)) == []
    assert scopes(quota(RPM, 5, Scope.MODEL), quota(RPM, 6), model="") == [("organization", 6)]


def test_a_limit_of_one_model_stands_above_that_of_each() -> None:
    each, other = quota(RPM, 5, Scope.MODEL), quota(RPM, 9, Scope.MODEL, model="x")
    mine = quota(RPM, 50, Scope.MODEL, model="m")
    assert scopes(each, mine, other) == scopes(mine, each, other) == [("model=m", 50)]
    assert scopes(each, mine, other, model="x") == [("model=x", 9)]


def test_a_limit_that_names_a_model_counts_that_model_alone() -> None:
    assert scopes(quota(RPM, 5, Scope.KEY, model="m")) == [("key=key_1,model=m", 5)]


def test_of_two_limits_in_one_place_the_stricter_holds() -> None:
    (line,) = lines_for(caller(quota(RPM, 5, hard=True), quota(RPM, 3)), "m")
    assert (line.limit, line.hard) == (3, True)


def test_every_limit_counts_something() -> None:
    assert {measure_of(name.value) for name in LimitName} == set(Measure)
    (line,) = lines_for(caller(quota(RPM, 5)), "m")
    assert line.measure is Measure.REQUESTS
