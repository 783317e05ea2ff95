"""In which order systems take their turns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def alternating(systems: Sequence[T], visits: int) -> list[tuple[int, T]]:
    """`(visit, system)` in the order of their turns: every second visit goes backwards, and the
    last one forwards.

    B A, A B, or A B, B A, A B: a machine that becomes slower (or warmer) during the run is as slow
    for one as for the other. Neighbours that are the same system share a start.
    """
    turns: list[tuple[int, T]] = []
    for visit in range(visits):
        order = systems if (visits - visit) % 2 else systems[::-1]
        turns.extend((visit, system) for system in order)
    return turns
