"""What is measured of limits, in process. Times are the thread's own CPU time."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from benchmarks.identity.popularity import Popularity
from benchmarks.limits.bench import RATE_PER_S, Bench, callers, some_quotas
from benchmarks.stats.spread import quantile
from helixflow.errors import Unavailable
from helixflow.inference.quota import LimitName, Quota, Scope

_BLOCK = int(RATE_PER_S)


@dataclass(frozen=True, slots=True)
class Cost:
    """What limits cost a request.

    Attributes:
        ingress_us: CPU on the Ingress, its exchanges and heartbeats included: the median second.
        store_us: CPU in the store.
        exchanges: exchanges per 1,000 requests, heartbeats included.
        misses: requests per 1,000 that had to wait for one.
    """

    ingress_us: float
    store_us: float
    exchanges: float
    misses: float


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How many of those that were offered at once were admitted against a limit.

    `unavailable` of them were refused because the store did not answer in time: where thousands
    come at once on a busy core, its deadline can pass, and fewer than the limit are admitted.
    """

    ledgers: int
    limit: int
    offered: int
    admitted: int
    unavailable: int

    @property
    def over(self) -> int:
        """How many too many."""
        return max(0, self.admitted - self.limit)


async def cost(quotas: int, active: int, counters: int, seconds: int) -> Cost:
    """Zipf's callers, far from their limits, after a warm-up of as many seconds."""
    bench = Bench()
    await bench.fill(counters)
    principals = callers(active, some_quotas(quotas))
    popularity = Popularity(active)
    samples: list[float] = []
    for second in range(2 * seconds):
        if second == seconds:
            store_s, exchanges, misses = bench.store.cpu_s, bench.store.exchanges, 0
        drawn = [principals[n] for n in popularity.draw(_BLOCK)]
        before, began = bench.store.cpu_s, time.thread_time()
        for principal in drawn:
            bench.clock.pass_time(1 / RATE_PER_S)
            known = bench.store.exchanges
            await bench.request(principal)
            if second >= seconds:
                misses += bench.store.exchanges > known
        await bench.beat()
        spent = time.thread_time() - began - (bench.store.cpu_s - before)
        samples.append(spent / _BLOCK * 1e6)
    requests = seconds * _BLOCK
    return Cost(
        quantile(samples[seconds:], 0.5),
        (bench.store.cpu_s - store_s) / requests * 1e6,
        (bench.store.exchanges - exchanges) / requests * 1_000,
        misses / requests * 1_000,
    )


async def accuracy(ledgers: int, limit: int, offered: int) -> Accuracy:
    """Everybody comes at once, spread over the ledgers."""
    bench = Bench(ledgers)
    name = LimitName.REQUESTS_PER_MINUTE
    (principal,) = callers(1, [Quota(name, (Scope.ORGANIZATION,), limit)])
    unavailable = 0

    async def one(ledger: int) -> bool:
        nonlocal unavailable
        try:
            return await bench.request(principal, ledger)
        except Unavailable:
            unavailable += 1
            return False

    admitted = sum(await asyncio.gather(*(one(turn % ledgers) for turn in range(offered))))
    return Accuracy(ledgers, limit, offered, admitted, unavailable)
