"""CPU that identity adds to a warm request, in this process: what the pipeline calls, nothing else.

Measured in blocks: one with the steps, one where an empty function stands in their place, in
alternating order; what they differ by is what was added. Time is the thread's own CPU time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from benchmarks.identity.popularity import Popularity
from benchmarks.load.outcome import Outcome
from benchmarks.scenarios.ports import Probed
from benchmarks.stats.spread import quantile
from benchmarks.systems.ports import Running
from helixflow.clock import Clock
from helixflow.errors import Refusal, Unauthenticated
from helixflow.gateway.pipeline import Pipeline
from helixflow.identity.authenticator import Authenticator
from helixflow.identity.keys import KeyKind, mint
from helixflow.identity.last_used import LastUsed
from helixflow.identity.permissions import INFERENCE, Permission
from helixflow.identity.policy_copies import PolicyCopies
from helixflow.identity.policy_texts import policy_set
from helixflow.identity.ports import PolicySet, Verdict
from helixflow.ids import (
    OrganizationId,
    ProjectId,
    mint_key_id,
    mint_organization_id,
    mint_project_id,
)
from helixflow.inference.principal import Principal
from helixflow.limits.ports import Unlimited
from helixflow.settings import GatewaySettings, IdentitySettings
from helixflow.signals import NullSignals
from helixflow.testing.gateway import FakeDispatcher, some_catalog, some_spec

ACTIVE = 10_000
_BLOCK = 1_000
_RATE_PER_S = 300.0
_WARM_UP = 10

Step: TypeAlias = Callable[[str, str], Awaitable[None]]
Requests: TypeAlias = Sequence[tuple[str, str]]


class PacedClock:
    """`Clock` that goes on with the requests, as if `_RATE_PER_S` of them came in a second.

    A tight loop would ask more often in one second than an Ingress ever does, and decisions that
    hold for a second would look cheaper than they are. The monotonic clock stands still, so that
    no verdict expires: renewing one is not a warm request.
    """

    def __init__(self, begin: float = 1_750_000_000.0) -> None:
        self._now = begin

    def now(self) -> float:
        """See `Clock.now`."""
        self._now += 1.0 / _RATE_PER_S
        return self._now

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return 1_000.0


class Callers:
    """Keys, addresses, and the verdicts about them. Implements `Authority` and `PolicySource`."""

    def __init__(self, count: int, policies: dict[str, str]) -> None:
        self._policies = policy_set(policies)
        organization, project = mint_organization_id(), mint_project_id()
        self.keys = [mint(KeyKind.PROJECT) for _ in range(count)]
        self.credentials = [key.secret.reveal() for key in self.keys]
        self.addresses = [f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in range(count)]
        self._principals = {
            key.digest: Principal(
                organization, project, mint_key_id(), f"caller {n}", INFERENCE,
                policies=self._policies.fingerprint,
            )
            for n, key in enumerate(self.keys)
        }  # fmt: skip

    async def verify(self, digest: bytes) -> Verdict:
        """See `Authority.verify`."""
        found = self._principals.get(digest)
        if found is None:
            return Verdict(None, Unauthenticated(Refusal.INVALID_API_KEY, "unknown"), 1)
        return Verdict(found, None, 1)

    async def revision(self) -> int:
        """See `Authority.revision`."""
        return 1

    async def policies(self, organization: OrganizationId, project: ProjectId) -> PolicySet:
        """See `PolicySource.policies`."""
        return self._policies


class WarmIngress:
    """The pipeline of an Ingress that knows all of its callers."""

    def __init__(self, callers: Callers, clock: Clock) -> None:
        settings = IdentitySettings()
        self._callers = callers
        self._spec = some_spec()
        self._pipeline = Pipeline(
            authenticator=Authenticator(callers, settings, clock, NullSignals()),
            policies=PolicyCopies(callers, settings.policy_sets_max),
            last_used=LastUsed(clock),
            catalog=some_catalog(),
            limiter=Unlimited(),
            dispatcher=FakeDispatcher(),
            settings=GatewaySettings(),
            clock=clock,
            signals=NullSignals(),
        )

    async def warm(self) -> None:
        """Ask about everybody once."""
        for credential, address in zip(
            self._callers.credentials, self._callers.addresses, strict=True
        ):
            await self._pipeline.authenticate(credential, address)
            await self.request(credential, address)

    async def request(self, credential: str, address: str) -> None:
        """What identity does for a warm generation (`Exchange`, before and after its parsing)."""
        pipeline = self._pipeline
        principal = pipeline.authenticator.cached(credential, address)
        if principal is None:
            raise RuntimeError("a caller is not warm")
        pipeline.last_used.note(principal.key)
        pipeline.authorize(principal, Permission.MODEL_INVOKE)
        if principal.policies:
            await pipeline.permit(principal, self._spec, address)


async def nothing(credential: str, address: str) -> None:
    """The empty baseline."""


async def thread_us(step: Step, requests: Requests) -> float:
    """CPU of a block of requests, microseconds for each."""
    begin = time.thread_time_ns()
    for credential, address in requests:
        await step(credential, address)
    return (time.thread_time_ns() - begin) / 1e3 / len(requests)


async def added_us(step: Step, blocks: Sequence[Requests]) -> list[float]:
    """What `step` adds to an empty request, one figure for each block."""
    found = []
    for number, requests in enumerate(blocks):
        order = (step, nothing) if number % 2 == 0 else (nothing, step)
        spent = {each: await thread_us(each, requests) for each in order}
        found.append(spent[step] - spent[nothing])
    return found


@dataclass(frozen=True, slots=True)
class WarmPath:
    """Implements `Probe` for one set of policies (Cedar texts by their ids)."""

    name: str
    title: str
    policies: dict[str, str]
    blocks: int

    def prepare(self, running: Running) -> None:
        """Nothing: every repeat makes its callers anew."""

    def measure(self, running: Running) -> Probed:
        """The CPU added to a request: the mean of all blocks, and the slowest of a hundred."""
        return asyncio.run(self._measure())

    async def _measure(self) -> Probed:
        callers, popularity = Callers(ACTIVE, self.policies), Popularity(ACTIVE)
        ingress = WarmIngress(callers, PacedClock())
        await ingress.warm()
        blocks = [
            [(callers.credentials[n], callers.addresses[n]) for n in popularity.draw(_BLOCK)]
            for _ in range(_WARM_UP + self.blocks)
        ]
        added = (await added_us(ingress.request, blocks))[_WARM_UP:]
        figures = {
            "added_us": sum(added) / len(added),
            "added_block_p99_us": quantile(added, 0.99),
            "requests": float(_BLOCK * len(added)),
        }
        return Probed(figures, Outcome(latency_ms=[each / 1e3 for each in added]))


NO_POLICY: dict[str, str] = {}
NO_CONTEXT = {
    "pol_secret": 'forbid (principal, action == Action::"model:invoke", resource)'
    ' when { resource.dataClass == "secret" && principal.project != "proj_legal" };'
}
HOUR_AND_ADDRESS = {
    "pol_office": 'forbid (principal, action == Action::"model:invoke", resource)'
    ' unless { context has source && context.source.isInRange(ip("10.0.0.0/8")) };',
    "pol_night": 'forbid (principal, action == Action::"model:invoke", resource)'
    " when { context.time.hour == 25 };",
}
SECOND_AND_ADDRESS = HOUR_AND_ADDRESS | {
    "pol_until": 'forbid (principal, action == Action::"model:invoke", resource)'
    " when { context.time.epoch >= 4102444800 };"
}
"""Every caller has an address of its own: what is said of it holds for nobody else."""
SECOND_OF_ADDRESS = {
    "pol_both": 'forbid (principal, action == Action::"model:invoke", resource)'
    " when { context.time.epoch >= 4102444800 && context has source"
    ' && context.source.isInRange(ip("10.0.0.0/8")) };'
}
"""The worst case: one policy whose decisions hold for one caller, for one second."""
