"""The store's side of a counter of requests at a time: how many each holder counts for.

A level goes down only by its holder's own word (ports.py): what a holder may be running while its
exchange is on the way is always counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from helixflow.limits.counter import Decision, Move
from helixflow.limits.ports import Ask
from helixflow.limits.sizing import level_amount

_RETRY_S = 1.0


class Levels:
    """Levels by holder, above 0.

    Attributes:
        unknown_until: until then nobody gets more than it runs: who else runs what is not known.
    """

    __slots__ = ("_by_holder", "_total", "unknown_until")

    def __init__(self) -> None:
        self._by_holder: dict[str, int] = {}
        self._total = 0
        self.unknown_until = 0.0

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_holder)

    def of(self, holder: str) -> int:
        """What a holder counts for."""
        return self._by_holder.get(holder, 0)

    def decide(self, holder: str, ask: Ask, now: float) -> Decision | None:
        """See `Counter.decide`."""
        if now < self.unknown_until:
            return (ask.used, 0.0) if ask.need <= ask.used else None
        free = ask.limit - self._total + self.of(holder)
        amount = level_amount(ask.used, ask.need, ask.want, free, ask.waiting)
        return None if amount is None else (amount, 0.0)

    def moves(self, holder: str, ask: Ask, decision: Decision | None, now: float) -> list[Move]:
        """See `Counter.moves`: `("l", level)`, or nothing where the level stays."""
        granted = 0 if decision is None else decision[0]
        level = max(granted, ask.used, min(self.of(holder), ask.want))
        return [] if level == self.of(holder) else [("l", level)]

    def apply(self, holder: str, move: Move, now: float) -> None:
        """See `Counter.apply`: the holder counts for exactly that."""
        level: int = move[1]
        self._total += level - self.of(holder)
        if level:
            self._by_holder[holder] = level
        else:
            self._by_holder.pop(holder, None)

    def left(self, limit: int, now: float) -> int:
        """See `Counter.left`."""
        return 0 if now < self.unknown_until else limit - self._total

    def reset_s(self, now: float) -> float:
        """See `Counter.reset_s`: nobody knows how long requests run."""
        return max(0.0, self.unknown_until - now)

    def retry_after_s(self, need: int, limit: int, now: float) -> float:
        """See `Counter.retry_after_s`."""
        return max(_RETRY_S, self.unknown_until - now)

    def others(self, holder: str) -> Iterable[str]:
        """See `Counter.others`."""
        return [other for other in self._by_holder if other != holder]

    def empty(self, now: float) -> bool:
        """See `Counter.empty`."""
        return not self._by_holder and now >= self.unknown_until

    def dump(self) -> list[tuple[str, int]]:
        """See `Counter.dump`."""
        return list(self._by_holder.items())

    def load(self, dump: Iterable[tuple[str, int]]) -> None:
        """See `Counter.load`."""
        self._by_holder = dict(dump)
        self._total = sum(self._by_holder.values())
