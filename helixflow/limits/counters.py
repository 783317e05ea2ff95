"""Which counters a request of a caller counts in: from its quotas to counter ids.

A quota that names a model holds for that model alone, and stands above one of the same name and
scopes that holds for each model. Where two that are equally precise remain, the smaller one holds,
and it is hard if either is.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from helixflow.inference.principal import Principal
from helixflow.inference.quota import LimitName, Quota, Scope
from helixflow.limits.ports import CounterId


class Measure(Enum):
    """What a counter counts."""

    REQUESTS = "requests"
    SLOTS = "slots"
    SPEND = "spend"
    TOKENS = "tokens"


_MEASURES = {
    LimitName.CONCURRENT_REQUESTS.value: Measure.SLOTS,
    LimitName.REQUESTS_PER_DAY.value: Measure.REQUESTS,
    LimitName.REQUESTS_PER_HOUR.value: Measure.REQUESTS,
    LimitName.REQUESTS_PER_MINUTE.value: Measure.REQUESTS,
    LimitName.SPEND_PER_DAY.value: Measure.SPEND,
    LimitName.SPEND_PER_MONTH.value: Measure.SPEND,
    LimitName.TOKENS_PER_DAY.value: Measure.TOKENS,
    LimitName.TOKENS_PER_HOUR.value: Measure.TOKENS,
    LimitName.TOKENS_PER_MINUTE.value: Measure.TOKENS,
}


@dataclass(frozen=True, slots=True)
class Line:
    """A counter that a request counts in.

    Attributes:
        counter: which.
        limit: how much it allows.
        hard: whether no debt is allowed.
    """

    counter: CounterId
    limit: int
    hard: bool

    @property
    def measure(self) -> Measure:
        """What it counts."""
        return measure_of(self.counter.name)


def measure_of(name: str) -> Measure:
    """What a limit of that name counts."""
    return _MEASURES[name]


def lines_for(principal: Principal, model: str) -> tuple[Line, ...]:
    """The counters of a caller's request to a model (by registry name), each once.

    Quotas of a scope that the caller does not have are passed over. Without a model (empty), they
    are those that hold whatever the model is.
    """
    found: dict[CounterId, tuple[bool, Line]] = {}
    for quota in principal.quotas:
        if quota.model and quota.model != model:
            continue
        scope = _scope(quota, principal, model)
        if scope is None:
            continue
        counter = CounterId(principal.organization, quota.name.value, scope)
        line = Line(counter, quota.amount, quota.hard)
        precise = bool(quota.model)
        if counter in found:
            precise, line = _stricter(found[counter], (precise, line))
        found[counter] = (precise, line)
    return tuple(line for _, line in found.values())


def _scope(quota: Quota, principal: Principal, model: str) -> str | None:
    """Whose use is counted, as text; None where the caller does not have such a scope."""
    values = {
        Scope.KEY: principal.key,
        Scope.MODEL: model,
        Scope.PROJECT: principal.project,
        Scope.USER: principal.subject,
    }
    scopes = set(quota.scopes) - {Scope.ORGANIZATION}
    if quota.model:
        scopes.add(Scope.MODEL)
    if not all(values[scope] for scope in scopes):
        return None
    named = [f"{scope.value}={values[scope]}" for scope in sorted(scopes)]
    return ",".join(named) or Scope.ORGANIZATION.value


def _stricter(one: tuple[bool, Line], other: tuple[bool, Line]) -> tuple[bool, Line]:
    if one[0] != other[0]:
        return one if one[0] else other
    (precise, first), (_, second) = one, other
    limit, hard = min(first.limit, second.limit), first.hard or second.hard
    return (precise, Line(first.counter, limit, hard))
