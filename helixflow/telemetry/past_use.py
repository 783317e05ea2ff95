"""What somebody used of late, from the records of use, for limits whose counters were lost.

Requests count from their admission on, tokens and spend as far as they are known: what a running
request takes is booked by whoever runs it when it ends. Minutes are told for windows of up to two
hours, hours for those of up to 31 days, days for longer ones; a use is never told to be older than
it is, so that it counts for at least its window.

Failure behavior: None ("nobody can tell") while the database is away, for the first `SETTLED_S` of
this process (journals of before are still on their way to it), of less than two minutes (the newest
records may be missing), where records are not kept for as long as is asked, and for a word that it
does not know. Whoever asks asks again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from helixflow.clock import Clock
from helixflow.errors import Unavailable
from helixflow.ids import OrganizationId
from helixflow.settings import UsageSettings
from helixflow.telemetry.desk import Scope
from helixflow.telemetry.rollups import DAY_S, HOUR_S, MINUTE_S, Sums, start_of
from helixflow.telemetry.usage_ports import UsageReader
from helixflow.telemetry.usage_query import Field, UsageQuery

PastUseWire: TypeAlias = tuple[int, str, str, tuple[tuple[str, str], ...], float]
"""`(version, organization, unit, scope, within_s)`; a scope is pairs such as `("key", "key_...")`."""

UsesWire: TypeAlias = tuple[tuple[float, int], ...] | None
"""Pairs of age in seconds and amount; None where nobody can tell."""

VERSION = 1
SETTLED_S = 60.0
SHORTEST_S = 120.0

_BUCKETS_MAX = 1_000
_MINUTES_TO_S = 2.0 * HOUR_S + MINUTE_S
_HOURS_TO_S = 31.0 * DAY_S
_FIELDS = {
    "key": Field.API_KEY_ID,
    "model": Field.MODEL,
    "project": Field.PROJECT_ID,
    "user": Field.USER_ID,
}


@dataclass(frozen=True, slots=True)
class Question:
    """Whose use of what is asked for.

    Attributes:
        organization: nothing outside it is looked at.
        unit: `requests`, `tokens` or `spend` (in billionths of a US dollar).
        scope: what is looked at, by `key`, `model`, `project`, `user`; empty for all of it.
        within_s: how far back, in seconds.
    """

    organization: str
    unit: str
    scope: tuple[tuple[str, str], ...]
    within_s: float

    def to_wire(self) -> PastUseWire:
        return (VERSION, self.organization, self.unit, self.scope, self.within_s)

    @staticmethod
    def from_wire(wire: PastUseWire) -> Question:
        _, organization, unit, scope, within_s = wire
        pairs = tuple((name, value) for name, value in scope)
        return Question(organization, unit, pairs, within_s)


class PastUse:
    """Answers from the records of use.

    Args:
        reader: the records.
        settings: how long they are kept.
        clock: the records' times are dates by it.
    """

    def __init__(self, reader: UsageReader, settings: UsageSettings, clock: Clock) -> None:
        self._reader = reader
        self._settings = settings
        self._clock = clock
        self._settled_at = clock.monotonic() + SETTLED_S

    async def amounts(self, question: Question) -> UsesWire:
        """What was used, oldest first."""
        width_s, kept_days = self._width(question.within_s)
        known = all(name in _FIELDS for name, _ in question.scope)
        if not known or question.unit not in ("requests", "tokens", "spend"):
            return None
        early = self._clock.monotonic() < self._settled_at
        if early or question.within_s < SHORTEST_S:
            return None
        if kept_days and kept_days * DAY_S < question.within_s + width_s:
            return None
        now = self._clock.now()
        query = UsageQuery(
            Scope(OrganizationId(question.organization), None),
            start_of(now - question.within_s, width_s),
            start_of(now, width_s) + width_s,
            width_s,
            only=tuple((_FIELDS[name], (value,)) for name, value in question.scope),
        )
        try:
            groups = await self._reader.groups(query, _BUCKETS_MAX)
        except Unavailable:
            return None
        return tuple(
            (max(0.0, now - group.start - width_s), amount)
            for group in groups
            if (amount := _amount(question.unit, group.sums)) > 0
        )

    def _width(self, within_s: float) -> tuple[int, int]:
        """The buckets that tell it, and for how many days such are kept (0: for ever)."""
        if within_s <= _MINUTES_TO_S:
            return MINUTE_S, self._settings.rows_days
        if within_s <= _HOURS_TO_S:
            return HOUR_S, self._settings.hours_days
        return DAY_S, self._settings.days_days


def _amount(unit: str, sums: Sums) -> int:
    if unit == "requests":
        return sums.requests
    return sums.cost.total if unit == "spend" else sums.input_tokens + sums.output_tokens
