"""What is measured of limits, in process. Times are the thread's own CPU time."""

from __future__ import annotations

import asyncio
import math
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
        known_exchanges: of these, those that no request of a new caller waited for.
        misses: requests per 1,000 that had to wait for one.
        new: requests per 1,000 of new callers: those that sent nothing for `idle_s`, after which
            all that is held for them has gone back.
    """

    ingress_us: float
    store_us: float
    exchanges: float
    known_exchanges: float
    misses: float
    new: float


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

    @property
    def unused(self) -> int:
        """How many too few, of those that came."""
        return max(0, min(self.limit, self.offered) - self.admitted)


@dataclass(slots=True)
class _Tally:
    """What is counted of requests, and of exchanges that they waited for."""

    requests: int = 0
    misses: int = 0
    new: int = 0
    new_exchanges: int = 0


async def cost(quotas: int, active: int, counters: int, seconds: int, warm_s: int) -> Cost:
    """Zipf's callers, far from their limits, after a warm-up."""
    bench = Bench()
    await bench.fill(counters)
    principals = callers(active, some_quotas(quotas))
    popularity = Popularity(active)
    seen: dict[int, float] = {}
    samples: list[float] = []
    for second in range(warm_s + seconds):
        if second in (0, warm_s):
            tally, store_s, exchanges = _Tally(), bench.store.cpu_s, bench.store.exchanges
        before, spent = bench.store.cpu_s, 0.0
        for n in popularity.draw(_BLOCK):
            bench.clock.pass_time(1 / RATE_PER_S)
            known = bench.store.exchanges
            began = time.thread_time()
            await bench.request(principals[n])
            spent += time.thread_time() - began
            _count(tally, bench, seen, n, bench.store.exchanges - known)
        began = time.thread_time()
        await bench.beat()
        spent += time.thread_time() - began - (bench.store.cpu_s - before)
        samples.append(spent / _BLOCK * 1e6)
    exchanges = bench.store.exchanges - exchanges
    per_1000 = 1_000 / tally.requests
    return Cost(
        quantile(samples[warm_s:], 0.5),
        (bench.store.cpu_s - store_s) / tally.requests * 1e6,
        exchanges * per_1000,
        (exchanges - tally.new_exchanges) * per_1000,
        tally.misses * per_1000,
        tally.new * per_1000,
    )


def _count(tally: _Tally, bench: Bench, seen: dict[int, float], caller: int, waited: int) -> None:
    now = bench.clock.monotonic()
    is_new = seen.get(caller, -math.inf) + bench.settings.idle_s <= now
    seen[caller] = now
    tally.requests += 1
    tally.misses += waited > 0
    tally.new += is_new
    tally.new_exchanges += waited if is_new else 0


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
