"""Model: one engine and its queue. The app of each model is one deployment of this class.

Failure behavior: a replica whose engine died fails its health check and is replaced; the engine's
processes end with the replica, whatever ends it (engine/tether.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from ray import serve

from deployments.names import ROUTER, lean
from deployments.recording import start_recorder
from deployments.scaling import DIRECT_REQUESTS
from helixflow.clock import SystemClock
from helixflow.direct.door import Door
from helixflow.direct.place import folder_of
from helixflow.engine.build import build_engine
from helixflow.engine.replica import ModelReplica
from helixflow.errors import ModelLoadError
from helixflow.inference.frame import FrameWire
from helixflow.inference.model_spec import ModelSpec
from helixflow.inference.request import EngineRequestWire
from helixflow.settings import EngineSettings
from helixflow.telemetry.logs import configure_logging

# Long for a call, but a process that imports vLLM is slow to send one.
_REPORT_S = 5.0


class Model:
    """The Serve shell around a `ModelReplica`."""

    async def __init__(self, spec: str, tree: dict[str, Any], app: str) -> None:  # type: ignore[misc]
        logs = tree["telemetry"]
        configure_logging(logs["log_level"], log_requests=logs["log_requests"])
        self._spec = ModelSpec.from_json(spec)
        self._router = lean(serve.get_deployment_handle(ROUTER, app_name=app))
        self._loop = asyncio.get_running_loop()
        self._reports: set[asyncio.Task[None]] = set()
        settings = EngineSettings(**tree["engine"])
        engine = build_engine(self._spec, settings, Path(tree["models_dir"]), Path(tree["run_dir"]))
        clock = SystemClock()
        self._recorder = start_recorder(tree, "model", clock)
        name = serve.get_replica_context().replica_id.unique_id
        self._replica = ModelReplica(self._spec, engine, clock, self._recorder, name)
        self._drain_s = float(tree["stack"]["drain_s"])
        self._door = Door(folder_of(Path(tree["run_dir"]), self._spec.name), self._replica)
        try:
            await self._replica.start(self._progress)
        except ModelLoadError as error:
            await self._report("", 0.0, str(error))
            raise
        if tree["routing"]["direct"]:
            await self._door.open()
        await self._report("ready", 1.0, "")

    async def unary(self, wire: EngineRequestWire) -> FrameWire:
        """A whole answer as one frame."""
        return await self._replica.unary(wire)

    async def stream(self, wire: EngineRequestWire) -> AsyncGenerator[FrameWire, None]:
        """An answer's frames."""
        frames = self._replica.stream(wire)
        try:
            async for frame in frames:
                yield frame
        finally:
            await frames.aclose()

    async def running(self) -> int:
        """Sequences that are being generated right now."""
        return self._replica.load().running

    async def held(self, holder: str) -> int:
        """Requests of an Ingress process that this replica runs or has waiting."""
        return self._replica.held(holder)

    async def check_health(self) -> None:
        """Called by Serve; raising replaces this replica."""
        await self._replica.health()

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Called by Serve, which sees no request that comes in by the door (scaling.py)."""
        return {DIRECT_REQUESTS: float(self._door.ongoing)}

    async def __del__(self) -> None:
        await self._door.close(self._drain_s)
        await self._replica.stop()
        await self._recorder.close()

    def _progress(self, stage: str, done: float) -> None:
        self._loop.call_soon_threadsafe(self._send, stage, done)

    def _send(self, stage: str, done: float) -> None:
        task = self._loop.create_task(self._report(stage, done, ""))
        self._reports.add(task)
        task.add_done_callback(self._reports.discard)

    async def _report(self, stage: str, done: float, failure: str) -> None:
        replica = serve.get_replica_context().replica_id.unique_id
        try:
            async with asyncio.timeout(_REPORT_S):
                await self._router.report.remote(self._spec.name, replica, stage, done, failure)
        except Exception:  # a Router that is away must not stop a model from loading
            return
