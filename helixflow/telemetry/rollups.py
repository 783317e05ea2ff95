"""Sums of usage per hour and per day (UTC), kept equal to the sums of the rows at any time.

A row that changes changes its sums by the difference; one that moves (a fallback to another model)
leaves one sum and joins another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from helixflow.inference.price import Cost
from helixflow.telemetry.usage import UsageRow

MINUTE_S = 60
HOUR_S = 3600
DAY_S = 86_400
WIDTHS_S = (HOUR_S, DAY_S)
_FREE = Cost()


@dataclass(frozen=True, slots=True)
class Dimensions:
    """By what usage is told apart. Attributes as in `Admitted`."""

    organization: str
    project: str
    key: str
    subject: str
    model: str
    region: str
    operation: str
    service_class: str


@dataclass(frozen=True, slots=True)
class Slot:
    """A sum: whose, of which hour or day; `start_at` is epoch seconds, `width_s` seconds."""

    width_s: int
    start_at: int
    of: Dimensions


@dataclass(frozen=True, slots=True)
class Sums:
    """What is summed: requests, tokens, billionths of a US dollar. Differences may be negative."""

    requests: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    cost: Cost = _FREE

    def plus(self, other: Sums, times: int = 1) -> Sums:
        """Both together; `times` of -1 takes the other away."""
        return Sums(
            self.requests + times * other.requests,
            self.input_tokens + times * other.input_tokens,
            self.cached_tokens + times * other.cached_tokens,
            self.output_tokens + times * other.output_tokens,
            Cost(
                self.cost.input + times * other.cost.input,
                self.cost.cached_input + times * other.cost.cached_input,
                self.cost.output + times * other.cost.output,
            ),
        )


_NOTHING = Sums()


def changes(
    pairs: Iterable[tuple[UsageRow | None, UsageRow]],
) -> Mapping[Slot, Sums]:
    """By how much sums change when rows become others; None is a row that was not there."""
    sums: dict[Slot, Sums] = {}
    for before, after in pairs:
        for row, times in ((before, -1), (after, 1)):
            if row is not None and row.admitted is not None:
                _add(sums, row, times)
    return {slot: by for slot, by in sums.items() if by != _NOTHING}


def start_of(at: float, width_s: int) -> int:
    """The beginning of the hour or day (or minute) that a time is in."""
    return int(at // width_s) * width_s


def _add(sums: dict[Slot, Sums], row: UsageRow, times: int) -> None:
    if row.admitted is None:
        return
    admitted, usage = row.admitted.what, row.usage
    of = Dimensions(
        admitted.organization, admitted.project, admitted.key, admitted.subject, admitted.model,
        admitted.region, admitted.operation, admitted.service_class,
    )  # fmt: skip
    one = Sums(1, usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens, row.cost)
    for width_s in WIDTHS_S:
        slot = Slot(width_s, start_of(row.admitted.at, width_s), of)
        sums[slot] = sums.get(slot, _NOTHING).plus(one, times)
