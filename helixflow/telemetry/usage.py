"""A request's usage: one row by its id, merged from what Ingress and Model say of it.

`merge` is a join: the events of a request may come in any order and any number of times, and the
row is the same. Of what is said twice differently, the later word of an Ingress counts, and the
best of the Model: an answer before a failure, then the one with the most tokens. The Model's count
wins over the Ingress's, except where it is of a failure and the Ingress had an answer.

A request counts from its admission on, in the time of its admission, and is amended as more is
known. One that nobody ended within a time is `lost`, with the last tokens that are known; should
its end come after all, it is amended once more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeAlias, TypeVar

from helixflow.inference.facts import OK, Admitted, Ended, Generated, Value
from helixflow.inference.price import Cost
from helixflow.inference.usage import Usage
from helixflow.signals import Event, EventKind

RUNNING = "running"
"""The outcome of a request that nobody ended yet."""
LOST = "lost"
"""The outcome of a request that nobody ended in time: its Ingress died."""

WORD_LENGTH_MAX = 128
"""Of whatever a row names; what is longer is cut."""

T = TypeVar("T")
Rank: TypeAlias = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Said(Generic[T]):
    """What an event said, and when (epoch seconds)."""

    at: float
    what: T


@dataclass(frozen=True, slots=True)
class UsageRow:
    """What is known of a request.

    Attributes:
        id: the request's.
        first_at: the earliest time that any of its events names, epoch seconds.
        admitted, ended, generated: the parts, as far as they came.
        lost: whether it was given up.
    """

    id: str
    first_at: float
    admitted: Said[Admitted] | None = None
    ended: Said[Ended] | None = None
    generated: Said[Generated] | None = None
    lost: bool = False

    @property
    def outcome(self) -> str:
        """`running`, `lost`, `ok`, `canceled`, or the word of a `Refusal`."""
        if self.ended is not None:
            return self.ended.what.outcome
        return LOST if self.lost else RUNNING

    @property
    def usage(self) -> Usage:
        """The tokens that count, as far as they are known."""
        told = None if self.ended is None else self.ended.what
        if self.generated is None:
            usage = None if told is None else told.usage
        elif self.generated.what.outcome != OK and told and told.outcome == OK and told.usage:
            usage = told.usage
        else:
            usage = self.generated.what.usage
        return usage or Usage()

    @property
    def cost(self) -> Cost:
        """At the price of the admission; nothing before it is known."""
        return Cost() if self.admitted is None else self.admitted.what.price.cost(self.usage)


def row_of(event: Event) -> UsageRow | None:
    """What an event alone tells of a request; None for one that is about no request.

    Raises ValueError where its facts are not such.
    """
    read = _READERS.get(event.kind)
    return None if read is None else read(event)


def merge(one: UsageRow, other: UsageRow) -> UsageRow:
    """What two rows of one request tell together. Associative, commutative and idempotent."""
    return UsageRow(
        one.id,
        min(one.first_at, other.first_at),
        _better(one.admitted, other.admitted, _later),
        _better(one.ended, other.ended, _later),
        _better(one.generated, other.generated, _rank),
        one.lost or other.lost,
    )


def give_up(row: UsageRow) -> UsageRow:
    """The row of a request that nobody ended in time."""
    return replace(row, lost=True)


def _better(
    one: Said[T] | None, other: Said[T] | None, rank: Callable[[Said[T]], Rank]
) -> Said[T] | None:
    if one is None or other is None or one == other:
        return one or other
    return max(one, other, key=rank)


def _later(said: Said[Admitted] | Said[Ended]) -> Rank:
    return (said.at, _settled(said.what.facts()))


def _rank(said: Said[Generated]) -> Rank:
    generated, usage = said.what, said.what.usage
    return (
        generated.outcome == OK,
        usage.completion_tokens,
        usage.prompt_tokens,
        -usage.cached_tokens,
        said.at,
        _settled(generated.facts()),
    )


def _settled(facts: Mapping[str, Value]) -> Rank:
    """Any order of facts, as long as it is always the same one."""
    return tuple(sorted((name, repr(value)) for name, value in facts.items()))


def _admission(event: Event) -> UsageRow:
    admitted = Admitted.read(_cut(event.facts))
    if not admitted.organization:
        raise ValueError("an admission names its organization")
    return UsageRow(event.id, event.at, admitted=Said(event.at, admitted))


def _end(event: Event) -> UsageRow:
    """Without what a row does not hold."""
    ended = Ended.read(_cut(event.facts))
    kept = Ended(ended.outcome, _sane(ended.usage), ended.duration_s, ended.first_token_s)
    return UsageRow(event.id, event.at, ended=Said(event.at, kept))


def _generation(event: Event) -> UsageRow:
    """Without what a row does not hold."""
    generated = Generated.read(_cut(event.facts))
    kept = Generated(generated.model, generated.outcome, _sane(generated.usage) or Usage())
    return UsageRow(event.id, event.at, generated=Said(event.at, kept))


_READERS: Mapping[EventKind, Callable[[Event], UsageRow]] = {
    EventKind.REQUEST_ADMITTED: _admission,
    EventKind.REQUEST_ENDED: _end,
    EventKind.REQUEST_GENERATED: _generation,
}


def _cut(facts: Mapping[str, Value]) -> dict[str, Value]:
    """Words as a database keeps them: no longer than a column, without the null character."""
    return {
        name: value[:WORD_LENGTH_MAX].replace("\0", "") if isinstance(value, str) else value
        for name, value in facts.items()
    }


def _sane(usage: Usage | None) -> Usage | None:
    """No token is counted below zero, none is cached that was not read."""
    if usage is None:
        return None
    prompt, completion = max(0, usage.prompt_tokens), max(0, usage.completion_tokens)
    return Usage(prompt, completion, min(max(0, usage.cached_tokens), prompt))
