"""Key look-ups of an Ingress that does not know the key: Authenticator, KeyAuthority, store.

Every key in use comes once, in an order in which callers of Zipf's popularity come for the first
time, so that each look-up is a cold one; then everybody is known, and warm requests are counted.
All of it in this process: the hop from Ingress to Auth is not in it.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from benchmarks.identity.full_store import fill, open_store
from benchmarks.identity.popularity import Popularity
from benchmarks.load.outcome import Outcome
from benchmarks.scenarios.ports import Probed
from benchmarks.stats.spread import quantile
from benchmarks.systems.ports import Running
from helixflow.clock import SystemClock
from helixflow.identity.authenticator import Authenticator
from helixflow.settings import IdentitySettings
from helixflow.signals import NullSignals

_WARM_REQUESTS = 100_000
_FIRST = 50
# A slow machine must not come back to callers whose verdict has expired.
_SETTINGS = IdentitySettings(verdict_s=3600.0)


@dataclass(slots=True)
class ColdKeys:
    """Implements `Probe` for a store of `total` keys, `active` of them in use."""

    total: int
    active: int
    _credentials: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"k{self.total}"

    @property
    def title(self) -> str:
        return f"{self.total:,} keys, {self.active:,} in use"

    def prepare(self, running: Running) -> None:
        """Fill the store."""
        self._credentials = asyncio.run(fill(running, self.name, self.total, self.active))

    def measure(self, running: Running) -> Probed:
        """One cold look-up of each key in use, then warm requests."""
        return asyncio.run(self._measure(running))

    async def _measure(self, running: Running) -> Probed:
        prepared = await open_store(running, self.name)
        clock, popularity = SystemClock(), Popularity(len(self._credentials))
        authenticator = Authenticator(prepared.authority, _SETTINGS, clock, NullSignals())
        try:
            # Connections and prepared statements are made by the first look-ups.
            for _ in range(_FIRST):
                await prepared.authority.verify(b"\x00" * 32)
            cpu_s, cold_ms = time.process_time(), []
            for caller in popularity.first_uses():
                begin = time.perf_counter()
                await authenticator.authenticate(self._credentials[caller])
                cold_ms.append((time.perf_counter() - begin) * 1e3)
            cpu_s = time.process_time() - cpu_s
        finally:
            await prepared.stores.database.close()
        figures = {
            "look_up_p50_ms": quantile(cold_ms, 0.5),
            "look_up_p99_ms": quantile(cold_ms, 0.99),
            "look_up_cpu_ms": cpu_s * 1e3 / len(cold_ms),
            "warm_us": self._warm_us(authenticator, popularity),
        }
        return Probed(figures, Outcome(latency_ms=cold_ms))

    def _warm_us(self, authenticator: Authenticator, popularity: Popularity) -> float:
        """CPU of a warm request's authentication, microseconds."""
        drawn = [self._credentials[caller] for caller in popularity.draw(_WARM_REQUESTS)]
        begin = time.thread_time_ns()
        known = [authenticator.cached(credential) for credential in drawn]
        spent_us = (time.thread_time_ns() - begin) / 1e3
        if any(principal is None for principal in known):
            raise RuntimeError("a caller is not warm")
        return spent_us / len(drawn)
