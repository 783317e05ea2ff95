"""Limits in one process: ledgers, a memory store, callers, and a clock that goes on with the requests.

No network and no engine: what is measured is what limits themselves cost. The clock goes on as at
`RATE_PER_S` requests per second, with a heartbeat each second, so that leases end and are renewed as
they would be on an Ingress.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

from helixflow.clock import Clock
from helixflow.errors import QuotaExceeded
from helixflow.ids import KeyId, OrganizationId, ProjectId, RequestId
from helixflow.inference.model_spec import Price
from helixflow.inference.principal import Principal
from helixflow.inference.quota import LimitName, Quota, Scope
from helixflow.inference.request import ParsedBody
from helixflow.inference.usage import Usage
from helixflow.limits.ledger import Ledger
from helixflow.limits.memory import MemoryLimitStore
from helixflow.limits.ports import Answer, Ask, CounterId
from helixflow.settings import LimitsSettings
from helixflow.signals import NullSignals
from helixflow.testing.gateway import some_spec
from helixflow.testing.identity import some_principal

RATE_PER_S = 300.0
PLENTY = 10**12
BODY = ParsedBody(
    model="echo-1",
    stream=False,
    choices=1,
    max_tokens=64,
    logprobs=0,
    schema_bytes=0,
    prompt_bytes=400,
)
SPEC = some_spec(price=Price(input_usd=1.0, output_usd=2.0))
USED = Usage(100, 32)
_REQUEST = RequestId("req_bench")
_FILL = 500


class PacedClock:
    """`Clock` that goes on by a request at a time."""

    def __init__(self) -> None:
        self._at = 1_000.0

    def now(self) -> float:
        """See `Clock.now`."""
        return self._at

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self._at

    def pass_time(self, seconds: float) -> None:
        """Go on."""
        self._at += seconds


class MeteredStore:
    """A memory store that counts its exchanges and the CPU seconds that they take."""

    def __init__(self, clock: Clock, settings: LimitsSettings) -> None:
        self._store = MemoryLimitStore(clock, settings)
        self.exchanges = 0
        self.asks = 0
        self.cpu_s = 0.0

    async def exchange(
        self, holder: str, number: int, acked: int, groups: Sequence[Sequence[Ask]]
    ) -> Answer:
        """See `LimitStore.exchange`."""
        begun = time.thread_time()
        try:
            return await self._store.exchange(holder, number, acked, groups)
        finally:
            self.cpu_s += time.thread_time() - begun
            self.exchanges += 1
            self.asks += sum(len(group) for group in groups)

    async def silent(self, after_s: float) -> list[str]:
        """See `LimitStore.silent`."""
        return await self._store.silent(after_s)

    async def bury(self, holder: str) -> None:
        """See `LimitStore.bury`."""
        await self._store.bury(holder)


class Bench:
    """A store and ledgers over it."""

    def __init__(self, ledgers: int = 1, settings: LimitsSettings | None = None) -> None:
        self.settings = settings or LimitsSettings()
        self.clock = PacedClock()
        self.store = MeteredStore(self.clock, self.settings)
        self.ledgers = [
            Ledger(self.store, f"ingress-{n}", self.settings, self.clock, NullSignals())
            for n in range(ledgers)
        ]

    async def fill(self, counters: int) -> None:
        """Let the store hold so many counters of other callers."""
        names = [
            CounterId(OrganizationId("org_x"), "tokens_per_day", f"key={n}")
            for n in range(counters)
        ]
        for number, begin in enumerate(range(0, counters, _FILL), 1):
            some = names[begin : begin + _FILL]
            await self.store.exchange(
                "filler", number, 0, [[Ask(id_, 10**9, number, 1, 1, 5.0) for id_ in some]]
            )

    async def request(self, principal: Principal, ledger: int = 0) -> bool:
        """One request as the pipeline makes it; whether it was admitted."""
        try:
            reserved = await self.ledgers[ledger].reserve(_REQUEST, principal, SPEC, BODY)
        except QuotaExceeded:
            return False
        _ = reserved.headers
        reserved.settle(USED)
        return True

    async def beat(self) -> None:
        """A heartbeat of every ledger, and the exchange that it brings."""
        for ledger in self.ledgers:
            ledger.beat()
        for _ in range(8):
            await asyncio.sleep(0)


def callers(count: int, quotas: Sequence[Quota]) -> list[Principal]:
    """Callers of one organization, with keys of their own."""
    base = some_principal(OrganizationId("org_bench"), ProjectId("proj_bench"))
    return [replace(base, key=KeyId(f"key_{n}"), quotas=tuple(quotas)) for n in range(count)]


def some_quotas(count: int, amount: int = PLENTY) -> list[Quota]:
    """So many limits, at most 20: five of a key first, then of wider and of paired scopes."""
    names = (
        LimitName.REQUESTS_PER_MINUTE,
        LimitName.TOKENS_PER_MINUTE,
        LimitName.CONCURRENT_REQUESTS,
        LimitName.TOKENS_PER_DAY,
        LimitName.SPEND_PER_MONTH,
    )
    scopes = ((Scope.KEY,), (Scope.PROJECT,), (Scope.ORGANIZATION,), (Scope.MODEL, Scope.PROJECT))
    return [Quota(name, scope, amount) for scope in scopes for name in names][:count]
