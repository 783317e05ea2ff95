"""What limits cost and how exact they are, as probes of the harness."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from benchmarks.limits.measures import accuracy, cost
from benchmarks.load.outcome import Outcome
from benchmarks.scenarios.ports import Probed
from benchmarks.systems.ports import Running


@dataclass(frozen=True, slots=True)
class LimitsCost:
    """Implements `Probe`: requests of Zipf's callers, far from their limits.

    Attributes:
        quotas: limits of each request.
        active: callers that send requests.
        counters: counters of others that the store holds.
        seconds: simulated seconds that are measured.
        warm_s: simulated seconds before them; as many as are measured where there are none.
    """

    name: str
    quotas: int
    active: int
    counters: int
    seconds: int
    warm_s: int = 0

    @property
    def title(self) -> str:
        """See `Probe.title`."""
        warm = f", after {self.warm_s} s" if self.warm_s else ""
        return (
            f"limits per request {self.quotas}, callers {self.active:,}, "
            f"counters of others {self.counters:,}{warm}"
        )

    def prepare(self, running: Running) -> None:
        """Nothing: every repeat fills a store of its own."""

    def measure(self, running: Running) -> Probed:
        """CPU of reserve, headers and settle, and exchanges with the store."""
        got = asyncio.run(
            cost(self.quotas, self.active, self.counters, self.seconds, self.warm_s or self.seconds)
        )
        figures = {
            "limits_us": got.ingress_us,
            "limits_store_us": got.store_us,
            "limits_exchanges": got.exchanges,
            "limits_exchanges_known": got.known_exchanges,
            "limits_waits": got.misses,
            "limits_new": got.new,
        }
        return Probed(figures, Outcome())


@dataclass(frozen=True, slots=True)
class LimitsAccuracy:
    """Implements `Probe`: everybody comes at once, spread over so many Ingress ledgers."""

    name: str
    ledgers: int
    limit: int
    offered: int = 4_000

    @property
    def title(self) -> str:
        """See `Probe.title`."""
        return f"accuracy, ledgers {self.ledgers}, limit {self.limit:,}"

    def prepare(self, running: Running) -> None:
        """Nothing: every repeat has counters of its own."""

    def measure(self, running: Running) -> Probed:
        """How many were admitted of those that were offered."""
        got = asyncio.run(accuracy(self.ledgers, self.limit, self.offered))
        figures = {
            "limits_ledgers": float(got.ledgers),
            "limits_limit": float(got.limit),
            "limits_offered": float(got.offered),
            "limits_at_once": float(got.at_once),
            "limits_admitted": float(got.admitted),
            "limits_over": float(got.over),
            "limits_unused": float(got.unused),
            "limits_unavailable": float(got.unavailable),
        }
        return Probed(figures, Outcome())
