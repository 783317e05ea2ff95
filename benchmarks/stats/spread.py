"""Figures with their spread. A figure from one sample alone says that it has none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from msgspec import Struct


class Figure(Struct, frozen=True):
    """A median and the range that it was taken from: `samples` repeats from `low` to `high`."""

    median: float
    low: float
    high: float
    samples: int


def figure(values: Sequence[float]) -> Figure | None:
    """The figure of repeated measurements; None where there are none."""
    if not values:
        return None
    return Figure(median(values), min(values), max(values), len(values))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Figure | None:
    """The figure of `ours / theirs`, repeat by repeat.

    Repeats are paired as they were measured, neighbours in time, so that a machine that becomes
    slower during the run does not count as a difference. Repeats without a partner, and those
    that would divide by nothing, are left out.
    """
    pairs = zip(ours, theirs, strict=False)
    return figure([our / their for our, their in pairs if their > 0])


def quantile(values: Sequence[float], share: float) -> float:
    """The nearest-rank quantile (no interpolation: a value that was measured); 0 for none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    rank = math.ceil(share * len(ordered))
    return ordered[min(max(rank, 1), len(ordered)) - 1]
