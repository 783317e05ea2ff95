"""An exchange with the limit store between processes: versioned plain tuples.

Limiter and Ingress replicas are of one app and change together; the version is for the time of a
rolling update, when an older Ingress still talks to a newer RateLimiter. One of version 1 says
nothing of `waiting` and `renews`, and is told of no recalls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from helixflow.ids import OrganizationId
from helixflow.limits.ports import Answer, Ask, CounterId, End, Grant

AskWire: TypeAlias = tuple[
    str,
    str,
    str,
    int,
    int,
    int,
    int,
    float,
    tuple[tuple[int, int, bool], ...],
    *tuple[int, ...],
]
"""`(organization, name, scope, limit, lease, need, want, life_s, ends, used, waiting,
renews)`."""

GrantWire: TypeAlias = tuple[int, float, int, float, float]
"""`(amount, life_s, remaining, reset_s, retry_after_s)`."""

ExchangeWire: TypeAlias = tuple[int, str, int, int, tuple[tuple[AskWire, ...], ...]]
"""`(version, holder, number, acked, groups)`."""

AnswerWire: TypeAlias = tuple[
    int, tuple[tuple[GrantWire, ...], ...] | None, *tuple[tuple[tuple[str, str, str], ...], ...]
]
"""`(version, grants, recalled)`: a counter is `(organization, name, scope)`; without grants where
the store is away."""

VERSION = 2


def exchange_wire(
    holder: str, number: int, acked: int, groups: Sequence[Sequence[Ask]]
) -> ExchangeWire:
    """What a holder asks, for another process."""
    asks = tuple(tuple(_ask_wire(ask) for ask in group) for group in groups)
    return (VERSION, holder, number, acked, asks)


def exchange_of(wire: ExchangeWire) -> tuple[str, int, int, list[list[Ask]]]:
    """The arguments of `Lender.exchange` that `exchange_wire` described."""
    _, holder, number, acked, groups = wire
    return holder, number, acked, [[_ask_of(ask) for ask in group] for group in groups]


def answer_wire(answer: Answer | None, version: int = VERSION) -> AnswerWire:
    """What the store answered, for whoever asked in that version; None where it is away."""
    if answer is None:
        return (VERSION, None)
    grants = tuple(tuple(_grant_wire(grant) for grant in group) for group in answer.grants)
    recalled = tuple((each.organization, each.name, each.scope) for each in answer.recalled)
    return (VERSION, grants, recalled) if version > 1 else (VERSION, grants)


def answer_of(wire: AnswerWire) -> Answer | None:
    """The answer that `answer_wire` described."""
    _, groups, *told = wire
    if groups is None:
        return None
    return Answer(
        [tuple(Grant(*grant) for grant in group) for group in groups],
        tuple(
            CounterId(OrganizationId(where), name, scope)
            for where, name, scope in (told[0] if told else ())
        ),
    )


def _ask_wire(ask: Ask) -> AskWire:
    counter = ask.counter
    ends = tuple((end.lease, end.spent, end.last) for end in ask.ends)
    return (
        counter.organization, counter.name, counter.scope, ask.limit, ask.lease, ask.need,
        ask.want, ask.life_s, ends, ask.used, ask.waiting, ask.renews,
    )  # fmt: skip


def _ask_of(wire: AskWire) -> Ask:
    organization, name, scope, limit, lease, need, want, life_s, ends, *levels = wire
    counter = CounterId(OrganizationId(organization), name, scope)
    said = tuple(End(number, spent, last) for number, spent, last in ends)
    return Ask(counter, limit, lease, need, want, life_s, said, *levels)


def _grant_wire(grant: Grant) -> GrantWire:
    return (grant.amount, grant.life_s, grant.remaining, grant.reset_s, grant.retry_after_s)
