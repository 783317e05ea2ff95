"""What an Ingress process says to the store at once, and whose words those are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from helixflow.limits.holding import Holding, Lease
from helixflow.limits.ports import Ask, End
from helixflow.limits.slots import Slots

Held: TypeAlias = Holding | Slots
Demand: TypeAlias = tuple[Held, int]
"""A counter, and how much of it is to be taken (one, of slots)."""

Wish: TypeAlias = tuple[Sequence[Demand], int]
"""What a request would take, and how many there are that would take about the same."""

ASKS_MAX = 1_024
"""Asks in one exchange; what is over waits for the next."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An ask of an exchange, and whose it is."""

    held: Held
    ask: Ask
    standby: bool = False


@dataclass(slots=True)
class Exchange:
    """What is said to the store at once.

    Attributes:
        number: rises with each.
        acked: the last one that was answered.
        asked_at: when; what is granted lives from then on.
        entries: asks by group.
        ends: what is said about leases.
    """

    number: int
    acked: int
    asked_at: float
    entries: list[list[Entry]] = field(default_factory=list)
    ends: list[tuple[Lease, End]] = field(default_factory=list)

    @property
    def groups(self) -> list[tuple[Ask, ...]]:
        """What the store is given."""
        return [tuple(entry.ask for entry in group) for group in self.entries]

    @property
    def asks(self) -> int:
        """How many asks there are."""
        return sum(len(group) for group in self.entries)
