"""What the store's two kinds of counters have in common: windows (account.py), levels (levels.py)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, TypeAlias

from helixflow.limits.ports import Ask

Decision: TypeAlias = tuple[int, float]
"""What an ask gets if its whole group is met: the amount, and its life in seconds."""

Move: TypeAlias = tuple[Any, ...]
"""One change of a counter by a holder, as plain values: a letter for its kind, then what it takes."""

SOON_S = 0.05
"""The least that a refusal tells to wait."""


class Counter(Protocol):
    """One counter, in the store. Pure: `now` is on one clock that never steps.

    Attributes:
        unknown_until: until then nothing is given, because its past is not known.
    """

    unknown_until: float

    def decide(self, holder: str, ask: Ask, now: float) -> Decision | None:
        """What the ask gets if its whole group is met; None where its own need is not met."""
        ...

    def moves(self, holder: str, ask: Ask, decision: Decision | None, now: float) -> list[Move]:
        """What changes by an ask: with what it got, or None where its group is refused."""
        ...

    def apply(self, holder: str, move: Move, now: float) -> None:
        """Do what `moves` said, also again after a restart."""
        ...

    def left(self, limit: int, now: float) -> int:
        """What nobody holds."""
        ...

    def reset_s(self, now: float) -> float:
        """Seconds until nothing counts, if nothing more is spent."""
        ...

    def retry_after_s(self, need: int, limit: int, now: float) -> float:
        """Seconds until `need`, which is not there, can be there at the earliest; above 0."""
        ...

    def others(self, holder: str) -> Iterable[str]:
        """Who else has leases or a level of it."""
        ...

    def empty(self, now: float) -> bool:
        """Whether forgetting the counter changes nothing."""
        ...

    def dump(self) -> Any:
        """Everything as plain values, for a snapshot."""
        ...

    def load(self, dump: Any) -> None:
        """Replace everything by what `dump` gave."""
        ...
