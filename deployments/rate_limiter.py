"""RateLimiter: the authority on how much may be used.

Failure behavior: while it is away, every Ingress goes on from the leases that it holds, and spend
limits refuse when those are used up. With the memory store its grants are journaled before they
are answered, and replayed when it returns; that store is for exactly one replica. With a Redis it
answers within the store's deadline that it is away, and any number of replicas share it. Where the
store has lost its memory, it asks Telemetry what was used.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from pathlib import Path
from typing import Any

from ray.serve.handle import DeploymentHandle

from deployments.limit_calls import RayHeld, RayPastUse
from deployments.recording import start_recorder
from deployments.telemetry_calls import RayTelemetry
from helixflow.clock import SystemClock
from helixflow.limits.build import open_store
from helixflow.limits.ports import LimitStoreAway
from helixflow.limits.silence import Silence
from helixflow.limits.wire import AnswerWire, ExchangeWire, answer_wire, exchange_of
from helixflow.settings import GatewaySettings, LimitsSettings, TelemetrySettings
from helixflow.telemetry.logs import configure_logging

_log = logging.getLogger(__name__)


class RateLimiter:
    """The Serve shell around a `LimitStore`."""

    async def __init__(  # type: ignore[misc]
        self, router: DeploymentHandle[Any], tree: dict[str, Any]
    ) -> None:
        configure_logging(tree["telemetry"]["log_level"])
        clock = SystemClock()
        settings, gateway = LimitsSettings(**tree["limits"]), GatewaySettings(**tree["gateway"])
        past = RayPastUse(RayTelemetry(TelemetrySettings(**tree["telemetry"])))
        self._store = open_store(settings, Path(tree["home"]), clock, past)
        silence = Silence(
            self._store,
            RayHeld(router, gateway.control_call_s),
            clock,
            silent_s=settings.buried_s,
            request_s=gateway.request_s,
        )
        self._recorder = start_recorder(tree, "rate_limiter", clock)
        self._watch = asyncio.get_running_loop().create_task(
            _watch(silence, settings.heartbeat_s), context=contextvars.Context()
        )

    async def exchange(self, wire: ExchangeWire) -> AnswerWire:
        """Book ends and give leases; see `LimitStore.exchange`."""
        try:
            return answer_wire(await self._store.exchange(*exchange_of(wire)), wire[0])
        except LimitStoreAway:
            return answer_wire(None)

    async def check_health(self) -> None:
        """Called by Serve; raising replaces this replica."""
        if self._watch.done():
            raise RuntimeError("the watch over silent holders ended")

    async def __del__(self) -> None:
        self._watch.cancel()
        await self._store.close()
        await self._recorder.close()


async def _watch(silence: Silence, period_s: float) -> None:
    while True:
        await asyncio.sleep(period_s)
        try:
            await silence.step()
        except Exception:
            _log.exception("looking after silent holders failed; trying again")
