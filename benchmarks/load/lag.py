"""How late an event loop wakes up: a starved generator must not be mistaken for a slow server."""

from __future__ import annotations

import asyncio
import time

from benchmarks.stats.histogram import Histogram

_PERIOD_S = 0.02


async def watch(lag_ms: Histogram) -> None:
    """Add to `lag_ms`, fifty times a second, by how much a timer came late. Runs until cancelled.

    A timer has a resolution of one millisecond; lags below that say nothing.
    """
    while True:
        asked = time.monotonic()
        await asyncio.sleep(_PERIOD_S)
        lag_ms.add(max(0.0, time.monotonic() - asked - _PERIOD_S) * 1e3)
