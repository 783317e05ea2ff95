"""Router: the registry of models, and the one that brings their apps up and down.

Failure behavior: while it is away, every Ingress keeps its copy of the registry and running models
go on; when it returns it adopts the apps that run.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
import uuid
from typing import Any

from ray import serve

from deployments.fleet import ServeFleet
from deployments.recording import start_recorder
from deployments.telemetry import find_or_create
from helixflow.clock import SystemClock
from helixflow.inference.model_spec import ModelSpec
from helixflow.routing.reconcile import Reconciler
from helixflow.routing.registry import Registry, SnapshotWire
from helixflow.settings import RoutingSettings
from helixflow.telemetry.logs import configure_logging


class Router:
    """The Serve shell around `Registry` and `Reconciler`."""

    async def __init__(self, specs: list[str], tree: dict[str, Any]) -> None:  # type: ignore[misc]
        configure_logging(tree["telemetry"]["log_level"])
        models = [ModelSpec.from_json(spec) for spec in specs]
        self._registry = Registry(uuid.uuid4().hex, int(time.time()), models)
        self._fleet = ServeFleet(tree, serve.get_replica_context().app_name)
        settings, clock = RoutingSettings(**tree["routing"]), SystemClock()
        self._recorder = start_recorder(tree, "router", clock, find_or_create(tree))
        self._reconciler = Reconciler(self._registry, self._fleet, settings, clock, self._recorder)
        self._task = asyncio.get_running_loop().create_task(
            self._reconciler.run(), context=contextvars.Context()
        )

    async def snapshot(self, epoch: str, revision: int, wait_s: float) -> SnapshotWire | None:
        """The registry, as soon as it differs from the named revision; None after `wait_s`."""
        snapshot = await self._registry.wait(epoch, revision, min(wait_s, 30.0))
        return None if snapshot is None else snapshot.to_wire()

    async def report(self, model: str, replica: str, stage: str, done: float, failure: str) -> None:
        """What a model replica says about its loading."""
        self._fleet.report(model, stage, done, failure)

    async def check_health(self) -> None:
        """Called by Serve; raising replaces this replica."""
        if self._task.done():
            raise RuntimeError("the reconciler ended")

    async def __del__(self) -> None:
        self._task.cancel()
        await self._recorder.close()
