"""Two workers share the suite: one takes what starts real models, the other all else.

The one stack and the engines that run inside a test are one piece of work and the first one, so no
two models compete for the cores. Every other file goes to whichever worker is free.
"""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadGroupScheduling

MACHINE = "machine"
"""The group of all tests that start a real model: marked `stack` or `engine`."""


def group(items: list[pytest.Item]) -> None:
    """Those with a model first, of these the stack's first, and all of them in one group."""
    items.sort(key=_turn)
    for item in items:
        if _turn(item) < len(_MARKS):
            item.add_marker(pytest.mark.xdist_group(MACHINE))


_MARKS = ("stack", "engine")


def _turn(item: pytest.Item) -> int:
    marked = [place for place, name in enumerate(_MARKS) if item.get_closest_marker(name)]
    return min(marked, default=len(_MARKS))


class Scheduling(LoadGroupScheduling):
    """Groups as they are marked, the other tests file by file, all as they are collected."""

    def _split_scope(self, nodeid: str) -> str:
        scope: str = super()._split_scope(nodeid)
        return scope.partition("::")[0]
