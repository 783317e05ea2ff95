"""Who calls how often: Zipf's law, the same draws for the same seed."""

from __future__ import annotations

import random
from itertools import accumulate

EXPONENT = 1.0


class Popularity:
    """Callers 0, 1, ... `count - 1`; caller `n` comes in proportion to `1 / (n + 1)`."""

    def __init__(self, count: int, seed: int = 1) -> None:
        self._callers = range(count)
        self._weights = [1.0 / (rank + 1) ** EXPONENT for rank in self._callers]
        self._cumulated = list(accumulate(self._weights))
        self._random = random.Random(seed)

    def draw(self, count: int) -> list[int]:
        """Who makes the next `count` requests."""
        return self._random.choices(self._callers, cum_weights=self._cumulated, k=count)

    def first_uses(self) -> list[int]:
        """Every caller once, in an order in which they may come for the first time.

        A draw without replacement: exponential arrivals with these rates (Efraimidis and Spirakis,
        "Weighted random sampling with a reservoir", 2006).
        """
        arrivals = [(self._random.expovariate(rate), n) for n, rate in enumerate(self._weights)]
        return [caller for _, caller in sorted(arrivals)]


def spread_out(active: int, total: int) -> list[int]:
    """The places, among `total` rows, of `active` rows with even distances between them."""
    return [index * total // active for index in range(active)]
