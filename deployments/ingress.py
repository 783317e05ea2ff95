"""Ingress: the front door. Holds copies only, and opens no database.

Failure behavior: while Auth, Router or the database is away, callers that are known and models
that run are served on from the copies. A replica that is lost takes its own connections with it;
HAProxy sends the next request to another one.
"""

from __future__ import annotations

import asyncio
import contextvars
import secrets
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle
from starlette.types import ASGIApp

from deployments.calls import RayAuth, RayDispatcher, RayRegistrySource
from deployments.limit_calls import RayLender
from deployments.recording import start_recorder
from deployments.telemetry_calls import RayTelemetry
from helixflow.clock import SystemClock
from helixflow.direct.doors import Doors
from helixflow.gateway.denials import Denials
from helixflow.gateway.http.app import build_face
from helixflow.gateway.http.meter import METER
from helixflow.gateway.local import LocalFace, ModelsWire
from helixflow.gateway.nearest import NearestDispatcher
from helixflow.gateway.pipeline import Pipeline
from helixflow.gateway.ports import Dispatcher
from helixflow.gateway.published import Published
from helixflow.gateway.sign_ins import SignIns
from helixflow.gateway.tracing import Tracing
from helixflow.gateway.upkeep import (
    follow_identity,
    follow_news,
    follow_published,
    follow_registry,
    report_uses,
)
from helixflow.identity.authenticator import Authenticator
from helixflow.identity.last_used import LastUsed
from helixflow.identity.policy_copies import PolicyCopies
from helixflow.inference.frame import FrameWire
from helixflow.inference.request import CallWire
from helixflow.limits.ledger import Ledger
from helixflow.routing.registry import Catalog
from helixflow.settings import (
    GatewaySettings,
    HttpSettings,
    IdentitySettings,
    LimitsSettings,
    RoutingSettings,
    TelemetrySettings,
)
from helixflow.telemetry.authentication_failures import AuthenticationFailures
from helixflow.telemetry.content.keeper import Keeper
from helixflow.telemetry.logs import configure_logging

_STOP_S = 2.0


@serve.ingress()
class Ingress:
    """The Serve shell around the pipeline and its faces."""

    async def __init__(  # type: ignore[misc]
        self,
        auth: DeploymentHandle[Any],
        router: DeploymentHandle[Any],
        limiter: DeploymentHandle[Any],
        tree: dict[str, Any],
    ) -> None:
        logs = tree["telemetry"]
        configure_logging(logs["log_level"], log_requests=logs["log_requests"])
        clock = SystemClock()
        self._recorder = signals = start_recorder(tree, "ingress", clock)
        METER.report_to(signals)
        self._gateway = GatewaySettings(**tree["gateway"])
        self._http = HttpSettings(**tree["http"])
        identity, routing = IdentitySettings(**tree["identity"]), RoutingSettings(**tree["routing"])
        call_s = self._gateway.control_call_s
        office, source = RayAuth(auth, call_s), RayRegistrySource(router, call_s)
        authenticator = Authenticator(office, identity, clock, signals, call_s, office.verify_token)
        published = Published(office, authenticator, clock)
        last_used = LastUsed(clock)
        catalog = Catalog(self._gateway.loading_retry_after_s)
        telemetry = TelemetrySettings(**tree["telemetry"])
        self._records = RayTelemetry(telemetry)
        self._keeper = Keeper(self._records, telemetry.content, clock, signals)
        self._failures = AuthenticationFailures(signals, telemetry.shipping, clock)
        denials = Denials(signals, clock, self._failures)
        self._desk = SignIns(published, denials)
        holder, limits = secrets.token_hex(12), LimitsSettings(**tree["limits"])
        lender = RayLender(limiter, call_s)
        self._ledger = Ledger(lender, holder, limits, clock, signals, wait_s=call_s)
        dispatcher: Dispatcher = RayDispatcher()
        self._doors = Doors(Path(tree["run_dir"]), clock)
        if routing.direct:
            dispatcher = NearestDispatcher(self._doors, dispatcher, catalog)
        self._pipeline = Pipeline(
            authenticator=authenticator,
            policies=PolicyCopies(office, identity.policy_sets_max, call_s),
            last_used=last_used,
            catalog=catalog,
            limiter=self._ledger,
            dispatcher=dispatcher,
            settings=self._gateway,
            clock=clock,
            signals=signals,
            denials=denials,
            tracing=Tracing(telemetry.traces, clock),
            contents=self._keeper,
            holder=holder,
        )
        self._clock = clock
        self._local = LocalFace(self._pipeline, self._gateway, clock, self._http.body_bytes_max)
        loop = asyncio.get_running_loop()
        self._upkeep = [
            loop.create_task(work, context=contextvars.Context())
            for work in (
                follow_registry(source, catalog, routing),
                follow_identity(authenticator, identity),
                follow_news(office, authenticator, identity),
                follow_published(published),
                report_uses(last_used, office, identity),
                self._ledger.run(),
                self._failures.run(),
                self._keeper.run(),
            )
        ]

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """Called by Serve once the replica is built."""
        return build_face(
            self._pipeline, self._http, self._gateway, self._clock, self._desk, self._records
        )

    async def answer(self, wire: CallWire) -> AsyncGenerator[FrameWire, None]:
        """A generation, for Python handles (helixflow/handle.py)."""
        frames = self._local.answer(wire)
        try:
            async for frame in frames:
                yield frame
        finally:
            await frames.aclose()

    async def list_models(self, credential: str | None) -> ModelsWire:
        """The models that the caller may see, for Python handles."""
        return await self._local.models(credential)

    async def check_health(self) -> None:
        """Called by Serve; raising replaces this replica."""
        if any(task.done() for task in self._upkeep):
            raise RuntimeError("the upkeep of the copies ended")

    async def __del__(self) -> None:
        for task in self._upkeep:
            task.cancel()
        await asyncio.wait(self._upkeep, timeout=_STOP_S)
        await self._keeper.close()
        await self._ledger.close()
        self._failures.tell(everything=True)
        self._doors.close()
        await self._recorder.close()
