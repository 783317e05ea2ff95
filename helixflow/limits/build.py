"""The store of limits that a configuration asks for."""

from __future__ import annotations

from pathlib import Path

from helixflow.clock import Clock
from helixflow.limits.journal import Journal
from helixflow.limits.memory import MemoryLimitStore
from helixflow.limits.ports import LimitStore
from helixflow.limits.redis import RedisLimitStore
from helixflow.settings import LimitsSettings

_JOURNAL = "limits"


def open_store(settings: LimitsSettings, home: Path, clock: Clock) -> LimitStore:
    """The store, not yet asked anything. Raises `ConfigError` for a URL that cannot be one.

    Args:
        home: the stack's folder; the memory store keeps its journal there.
    """
    if settings.store != "memory":
        return RedisLimitStore(settings.store, settings, clock=clock)
    journal = Journal(home / _JOURNAL, settings.journal_bytes_max)
    return MemoryLimitStore(clock, settings, journal)
