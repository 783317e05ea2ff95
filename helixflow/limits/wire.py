"""Exchanges with a store in another process, as plain tuples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from helixflow.ids import OrganizationId
from helixflow.limits.ports import Ask, CounterId, End, Grant

AskWire: TypeAlias = tuple[
    str, str, str, int, int, int, int, float, tuple[tuple[int, int, bool], ...], int
]
ExchangeWire: TypeAlias = tuple[int, str, int, int, tuple[tuple[AskWire, ...], ...]]
"""`(version, holder, number, acked, groups of asks)`."""

GrantWire: TypeAlias = tuple[int, float, int, float, float]
AnswerWire: TypeAlias = tuple[int, tuple[tuple[GrantWire, ...], ...]]
"""`(version, groups of grants)`."""

_VERSION = 1


def exchange_to_wire(
    holder: str, number: int, acked: int, groups: Sequence[Sequence[Ask]]
) -> ExchangeWire:
    """The arguments of `LimitStore.exchange`."""
    asks = tuple(tuple(_ask(ask) for ask in group) for group in groups)
    return (_VERSION, holder, number, acked, asks)


def exchange_from_wire(wire: ExchangeWire) -> tuple[str, int, int, list[tuple[Ask, ...]]]:
    """The arguments that `exchange_to_wire` was given."""
    _, holder, number, acked, groups = wire
    return holder, number, acked, [tuple(_asked(ask) for ask in group) for group in groups]


def answer_to_wire(answer: Sequence[Sequence[Grant]]) -> AnswerWire:
    """What `LimitStore.exchange` returned."""
    return (_VERSION, tuple(tuple(_grant(grant) for grant in group) for group in answer))


def answer_from_wire(wire: AnswerWire) -> list[tuple[Grant, ...]]:
    """What `answer_to_wire` was given."""
    _, groups = wire
    return [tuple(Grant(*grant) for grant in group) for group in groups]


def _ask(ask: Ask) -> AskWire:
    counter = ask.counter
    return (
        counter.organization, counter.name, counter.scope, ask.limit, ask.lease, ask.need, ask.want,
        ask.life_s, tuple((end.lease, end.spent, end.last) for end in ask.ends), ask.used,
    )  # fmt: skip


def _asked(wire: AskWire) -> Ask:
    organization, name, scope, limit, lease, need, want, life_s, ends, used = wire
    counter = CounterId(OrganizationId(organization), name, scope)
    return Ask(counter, limit, lease, need, want, life_s, tuple(End(*end) for end in ends), used)


def _grant(grant: Grant) -> GrantWire:
    return (
        grant.amount, grant.life_s, grant.remaining, grant.reset_s, grant.retry_after_s,
    )  # fmt: skip
