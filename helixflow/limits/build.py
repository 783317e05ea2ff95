"""The store of limits that a configuration asks for."""

from __future__ import annotations

from pathlib import Path

from helixflow.clock import Clock
from helixflow.limits.journal import Journal
from helixflow.limits.memory import MemoryLimitStore
from helixflow.limits.ports import LimitStore, PastUse
from helixflow.limits.redis import RedisLimitStore
from helixflow.settings import LimitsSettings

_JOURNAL = "limits"


def open_store(
    settings: LimitsSettings, home: Path, clock: Clock, past: PastUse | None = None
) -> LimitStore:
    """The store, not yet asked anything. Raises `ConfigError` for a URL that cannot be one.

    Args:
        home: the stack's folder; the memory store keeps its journal there.
        past: what was used before, where the store has lost its memory.
    """
    if settings.store != "memory":
        return RedisLimitStore(settings.store, settings, past, clock)
    journal = Journal(home / _JOURNAL, settings.journal_bytes_max)
    return MemoryLimitStore(clock, settings, journal, past)
