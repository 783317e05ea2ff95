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

COMINGS = 4
"""How often one comes who is refused; all of them lie within a minute."""

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
    """How many were admitted against a limit within its window.

    All that were offered come at once; who is refused comes again each second, `COMINGS` times in
    all, so that what another ledger did not use of its lease is back.

    Attributes:
        ledgers, limit, offered: what was asked for.
        at_once: admitted when all came.
        admitted: at last.
        unavailable: refused at their first coming because the store did not answer in time.
    """

    ledgers: int
    limit: int
    offered: int
    at_once: int
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
    """Everybody comes at once, spread over the ledgers, and who is refused comes again."""
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

    async def come(number: int) -> int:
        return sum(await asyncio.gather(*(one(turn % ledgers) for turn in range(number))))

    admitted = at_once = await come(offered)
    unavailable_at_once = unavailable
    for _ in range(COMINGS - 1):
        bench.clock.pass_time(1.0)
        await bench.beat()
        admitted += await come(offered - admitted)
    return Accuracy(ledgers, limit, offered, at_once, admitted, unavailable_at_once)
