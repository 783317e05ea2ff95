"""The limits' calls between deployments: Ingress to RateLimiter, RateLimiter to Model replicas.

Failure behavior: a RateLimiter that does not answer in time is `LimitStoreAway` to the Ingress,
whose ledger goes on from what it holds. A Model replica that cannot be asked makes the answer
"unknown", and nothing is freed on it. Telemetry that cannot be asked what was used before makes that
unknown too: windows stay full until they are over, or it can.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle

from deployments.calls import LOST
from deployments.names import MODEL, lean, model_app
from deployments.telemetry_calls import RayTelemetry
from helixflow.errors import Unavailable
from helixflow.inference.quota import Scope
from helixflow.limits.ports import Answer, Ask, CounterId, LimitStoreAway
from helixflow.limits.wire import answer_of, exchange_wire
from helixflow.routing.registry import Snapshot
from helixflow.telemetry.past_use import Question


class RayLender:
    """RateLimiter, as `limits.ports.Lender`."""

    def __init__(self, limiter: DeploymentHandle[Any], call_s: float) -> None:
        self._exchange = lean(limiter).exchange
        self._call_s = call_s

    async def exchange(
        self, holder: str, number: int, acked: int, groups: Sequence[Sequence[Ask]]
    ) -> Answer:
        """See `Lender.exchange`."""
        try:
            async with asyncio.timeout(self._call_s):
                asked = exchange_wire(holder, number, acked, groups)
                wire = await self._exchange.remote(asked)
        except (TimeoutError, *LOST) as error:
            raise LimitStoreAway("the RateLimiter does not answer") from error
        answer = answer_of(wire)
        if answer is None:
            raise LimitStoreAway("the RateLimiter's store does not answer")
        return answer


class RayPastUse:
    """Telemetry's records of use, as `limits.ports.PastUse`."""

    def __init__(self, telemetry: RayTelemetry) -> None:
        self._telemetry = telemetry

    async def amounts(self, counter: CounterId, within_s: float) -> list[tuple[float, int]] | None:
        """See `PastUse.amounts`."""
        unit = counter.name.partition("_per_")[0]
        scope = () if counter.scope == Scope.ORGANIZATION else _pairs(counter.scope)
        try:
            uses = await self._telemetry.used(Question(counter.organization, unit, scope, within_s))
        except Unavailable:
            return None
        return None if uses is None else list(uses)


def _pairs(scope: str) -> tuple[tuple[str, str], ...]:
    """`key=k,model=m` as pairs."""
    return tuple(
        (name, value) for name, _, value in (one.partition("=") for one in scope.split(","))
    )


class RayHeld:
    """What Model replicas hold of an Ingress's requests. Handles are made once and kept."""

    def __init__(self, router: DeploymentHandle[Any], call_s: float) -> None:
        self._snapshot = lean(router).snapshot
        self._models: dict[str, DeploymentHandle[Any]] = {}
        self._call_s = call_s

    async def __call__(self, holder: str) -> int | None:
        """Requests of a holder that run or wait in any replica; None where one cannot say."""
        try:
            async with asyncio.timeout(self._call_s):
                wire = await self._snapshot.remote("", 0, 0.0)
            entries = () if wire is None else Snapshot.from_wire(wire).entries
            counts = [
                await self._held(entry.spec.name, holder)
                for entry in entries
                if entry.status.replicas
            ]
        except (TimeoutError, *LOST):
            return None
        return sum(counts)

    async def _held(self, model: str, holder: str) -> int:
        handle = self._models.get(model)
        if handle is None:
            app = model_app(model)
            handle = lean(serve.get_deployment_handle(MODEL, app_name=app, _check_exists=False))
            self._models[model] = handle
        async with asyncio.timeout(self._call_s):
            counts = await handle.broadcast("held", holder).results_async()
        return sum(int(count) for count in counts)
