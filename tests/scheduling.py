"""Two workers share the suite: one takes what starts real models, the other all else.

The one stack and the engines that run inside a test are one piece of work and the first one, so no
two models compete for the cores. Every other file goes to whichever worker is free.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).parents[1]
MACHINE = "machine"
_MARKS = ("engine", "stack")


def turn(item: pytest.Item) -> int:
    """What has a model first, of this the stack last: it runs until its worker ends."""
    marked = [place for place, name in enumerate(_MARKS) if item.get_closest_marker(name)]
    return max(marked, default=len(_MARKS))


@cache
def has_a_model(file: str) -> bool:
    """Whether a file marks its tests so. The scheduler is told names only."""
    text = (ROOT / file).read_text(encoding="utf-8")
    return any(f"pytest.mark.{name}" in text for name in _MARKS)


class Scheduling(LoadScopeScheduling):
    """All files with a model together, the others one by one, as they are collected."""

    def __init__(self, config: pytest.Config, log: Any) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return MACHINE if has_a_model(file) else file
