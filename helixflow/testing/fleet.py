"""A fleet without machines."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from helixflow.inference.model_spec import ModelSpec
from helixflow.routing.ports import ModelState, ModelStatus

_PENDING = ModelStatus(ModelState.PENDING)


class FakeFleet:
    """`Fleet` in memory: what is started is pending until the test says otherwise.

    Attributes:
        deployed: the fingerprint of each deployed model.
        states: what a test says about a model; it is pending where that says nothing.
        started, stopped: names, in order, one list per call.
        failures: raised by the next calls of `recorded`, one each.
    """

    def __init__(self, deployed: Mapping[str, str] | None = None) -> None:
        self.deployed: dict[str, str] = dict(deployed or {})
        self.states: dict[str, ModelStatus] = {}
        self.started: list[list[str]] = []
        self.stopped: list[list[str]] = []
        self.failures: list[Exception] = []
        self._looks: asyncio.Queue[None] = asyncio.Queue()

    async def recorded(self) -> Mapping[str, str]:
        """See `Fleet.recorded`."""
        if self.failures:
            raise self.failures.pop(0)
        return dict(self.deployed)

    async def start(self, specs: Sequence[ModelSpec]) -> None:
        """See `Fleet.start`."""
        self.started.append([spec.name for spec in specs])
        self.deployed.update({spec.name: spec.fingerprint for spec in specs})

    async def stop(self, names: Sequence[str]) -> None:
        """See `Fleet.stop`."""
        self.stopped.append(list(names))
        for name in names:
            del self.deployed[name]

    async def statuses(self) -> Mapping[str, ModelStatus]:
        """See `Fleet.statuses`."""
        self._looks.put_nowait(None)
        return {name: self.states.get(name, _PENDING) for name in self.deployed}

    async def next_look(self) -> None:
        """Wait until somebody has asked for the states once more."""
        await self._looks.get()
