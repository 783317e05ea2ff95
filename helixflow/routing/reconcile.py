"""Bringing the fleet to what the registry says: decide (pure), then do.

Failure behavior: a step that fails (the machine room does not answer) changes nothing and is tried
again after the rhythm's pause; models that run are not touched by it. A model that failed to load
is tried again after a pause that doubles with each failure.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from helixflow.clock import Clock
from helixflow.inference.model_spec import ModelSpec
from helixflow.routing.ports import Fleet, ModelState, ModelStatus
from helixflow.routing.registry import Registry
from helixflow.settings import RoutingSettings
from helixflow.signals import Metric, Signals

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done: specs to deploy (again), and names of apps to take down."""

    start: tuple[ModelSpec, ...] = ()
    stop: tuple[str, ...] = ()


def plan(desired: Sequence[ModelSpec], recorded: Mapping[str, str]) -> Plan:
    """Compare what is wanted with what is deployed, by fingerprint.

    An app whose fingerprint is right is never deployed again, so it is never restarted.
    """
    wanted = {spec.name for spec in desired}
    return Plan(
        start=tuple(spec for spec in desired if recorded.get(spec.name) != spec.fingerprint),
        stop=tuple(sorted(name for name in recorded if name not in wanted)),
    )


@dataclass(slots=True)
class Retries:
    """When a failed model is tried again: after 60 s, then twice as long each time, to 15 min."""

    first_s: float = 60.0
    max_s: float = 900.0
    _waits: dict[str, tuple[float, float]] = field(default_factory=dict)

    def due(self, statuses: Mapping[str, ModelStatus], now: float) -> list[str]:
        """Names of the failed models whose pause is over at `now` (monotonic seconds)."""
        due = []
        for name, status in statuses.items():
            if status.state is ModelState.READY:
                self._waits.pop(name, None)
            elif status.state is ModelState.FAILED:
                at, pause = self._waits.get(name, (now + self.first_s, self.first_s))
                if now >= at:
                    due.append(name)
                    pause = min(2 * pause, self.max_s)
                    at = now + pause
                self._waits[name] = (at, pause)
        for name in self._waits.keys() - statuses.keys():
            del self._waits[name]
        return due


class Reconciler:
    """The Router's loop over a fleet."""

    def __init__(
        self,
        registry: Registry,
        fleet: Fleet,
        settings: RoutingSettings,
        clock: Clock,
        signals: Signals,
    ) -> None:
        self._registry = registry
        self._fleet = fleet
        self._settings = settings
        self._clock = clock
        self._signals = signals
        self._retries = Retries()
        self._tell()

    async def step(self) -> None:
        """Take over the states, then deploy and take down what differs.

        In this order, so that a spec that cannot be deployed does not hide the others' states.
        """
        recorded = await self._fleet.recorded()
        statuses = await self._fleet.statuses()
        if self._registry.update(statuses):
            self._signals.count(Metric.MODEL_STATE_CHANGES)
            self._tell()
        specs = self._registry.specs
        todo = plan(specs, recorded)
        due = self._retries.due(statuses, self._clock.monotonic())
        again = tuple(spec for spec in specs if spec.name in due and spec not in todo.start)
        if again:
            _log.info("trying models again: %s", ", ".join(spec.name for spec in again))
        if todo.stop:
            await self._fleet.stop(todo.stop)
        if todo.start or again:
            await self._fleet.start((*todo.start, *again))

    def _tell(self) -> None:
        for entry in self._registry.snapshot.entries:
            ready = entry.status.state is ModelState.READY
            labels = (("model", entry.spec.name),)
            replicas = float(entry.status.replicas) if ready else 0.0
            self._signals.gauge(Metric.MODEL_READY_REPLICAS, replicas, labels)

    @property
    def settled(self) -> bool:
        """Whether every model is ready or has failed: then nobody waits for a quick look."""
        return all(
            entry.status.state in (ModelState.READY, ModelState.FAILED)
            for entry in self._registry.snapshot.entries
        )

    async def run(self) -> None:
        """Step forever; ends by cancellation."""
        last = ""
        while True:
            try:
                await self.step()
                last = ""
            except Exception as error:  # whatever failed, the loop must go on
                # One traceback per kind of failure: the loop turns twice a second.
                if repr(error) != last:
                    last = repr(error)
                    _log.exception("reconciling failed; trying again")
            pause = self._settings.reconcile_s * (4 if self.settled else 1)
            await asyncio.sleep(pause)
