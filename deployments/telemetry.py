"""Telemetry: the actor where the events and counts of all processes come together.

One for the whole cluster: named, detached, begun anew forever. It ends with Ray, not with an
application, so that what model apps record has a place to go while the others are deployed anew.
Auth and the Router see to it that it is there (`find_or_create`); where the settings changed, it is
replaced.

Failure behavior: while it is away, journals keep events and callers get `telemetry_unavailable`.
What was in its queues when it died is shipped again. Where its parts cannot be built (a database
that is away), each call tries again. A hub that ended by itself ends the process, for Ray to begin
another one.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
from collections.abc import Callable
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from deployments.names import NAMESPACE, TELEMETRY
from deployments.station import build_station
from deployments.telemetry_calls import require_ray
from helixflow.clock import SystemClock
from helixflow.inference.desk import DeskAnswerWire, DeskCallWire
from helixflow.settings import TelemetrySettings
from helixflow.telemetry.content.ports import KeepWire, KeptWire
from helixflow.telemetry.logs import configure_logging
from helixflow.telemetry.past_use import PastUseWire, UsesWire
from helixflow.telemetry.station import Station
from helixflow.telemetry.wire import AckWire, BatchWire

_log = logging.getLogger(__name__)

_BROKEN = 70
_CALL_S = 10.0


class Telemetry:
    """The Ray shell around a `Station`."""

    def __init__(self, tree: dict[str, Any]) -> None:
        configure_logging(tree["telemetry"]["log_level"])
        self._tree = tree
        self._station: Station | None = None
        self._opening = asyncio.Lock()

    async def ship(self, batch: BatchWire) -> AckWire:
        """See `HubPort.ship`."""
        return await (await self._open()).ship(batch)

    async def keep(self, batch: KeepWire) -> KeptWire:
        """See `content.ports.VaultPort.keep`."""
        return await (await self._open()).keep(batch)

    async def ask(self, call: DeskCallWire) -> DeskAnswerWire:
        """The answer to a question, or the refusal in its place."""
        return await (await self._open()).ask(call)

    async def used(self, question: PastUseWire) -> UsesWire:
        """What somebody used of late; None where nobody can tell."""
        return await (await self._open()).used(question)

    async def settings(self) -> str:
        """A digest of the settings that it runs by."""
        return settings_digest(self._tree)

    async def close(self) -> None:
        """Write what was taken and finish; called before Ray ends, or before it is replaced."""
        async with self._opening:
            if self._station is not None:
                await self._station.close()

    async def _open(self) -> Station:
        async with self._opening:
            if self._station is None:
                station = await build_station(self._tree, SystemClock())
                station.start()
                self._station = station
            elif not self._station.healthy and not self._station.closed:
                _log.critical("the hub ended; this process ends, for another one to begin")
                os._exit(_BROKEN)
            return self._station


def settings_digest(tree: dict[str, Any]) -> str:
    """A digest of what the actor is built from."""
    told = {name: tree[name] for name in ("home", "telemetry")}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def find_or_create(tree: dict[str, Any]) -> Callable[[], Any]:
    """What finds the actor, creates it where there is none, and replaces one with other settings.

    It blocks, and raises RayError or ConnectionError where that takes another try.
    """
    close_s = TelemetrySettings(**tree["telemetry"]).hub.close_s

    def find() -> Any:
        require_ray()
        actor = _get_or_create(tree)
        if ray.get(actor.settings.remote(), timeout=_CALL_S) == settings_digest(tree):
            return actor
        _log.info("telemetry's settings changed; its actor is replaced")
        ray.get(actor.close.remote(), timeout=3 * close_s)
        ray.kill(actor, no_restart=True)
        raise ConnectionError("telemetry is being replaced")

    return find


def _get_or_create(tree: dict[str, Any]) -> Any:
    # Its files are where its creator's are: beside the identity database, on the first node.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    return (
        ray.remote(Telemetry)
        .options(
            name=TELEMETRY,
            namespace=NAMESPACE,
            get_if_exists=True,
            lifetime="detached",
            max_restarts=-1,
            # Whoever calls has a deadline, and tries again by itself.
            max_task_retries=0,
            num_cpus=0,
            scheduling_strategy=here,
        )
        .remote(tree)
    )
