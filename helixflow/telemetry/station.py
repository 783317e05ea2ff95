"""Telemetry as one thing: the hub, the desk, and the parts that have work of their own.

Failure behavior: a duty that fails is logged and begun again after a pause. Should the hub itself
end, `healthy` says so: whoever holds the station ends the process, and another one begins anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from helixflow.clock import Clock
from helixflow.errors import Refusal, Unavailable
from helixflow.inference.desk import DeskAnswerWire, DeskCallWire
from helixflow.settings import HubSettings
from helixflow.telemetry.content.ports import KeepWire, KeptWire
from helixflow.telemetry.content.vault import Vault
from helixflow.telemetry.dead_letters import DeadLetters
from helixflow.telemetry.desk import Desk, Operation
from helixflow.telemetry.hub import Hub
from helixflow.telemetry.lane import Lane, Sleep
from helixflow.telemetry.past_use import PastUse, PastUseWire, Question, UsesWire
from helixflow.telemetry.ports import Closing, Duty, MetricsIntake, Sink
from helixflow.telemetry.redelivery import Redelivery
from helixflow.telemetry.tally import Tally
from helixflow.telemetry.wire import AckWire, BatchWire

_log = logging.getLogger(__name__)

_AGAIN_S = 5.0
_SERIES_MAX = 1000


def own_tally() -> Tally:
    """For what the hub and its sinks count themselves."""
    return Tally(_SERIES_MAX)


class Station:
    """For one event loop.

    Args:
        sinks: where events end; one that is also a `Duty` or `Closing` is treated as such.
        metrics: where counts end; the same.
        operations: what the desk answers.
        letters: where events go that a sink will never take.
        last: what is to be closed after all sinks.
        vault: where kept content goes; without it none is taken.
        tally: what the hub and its sinks count themselves.
        past: what was used of late; None where nobody can tell.
        sleep: how pauses are waited for.

    Attributes:
        closed: whether it was closed.
    """

    def __init__(
        self,
        *,
        sinks: Sequence[Sink],
        metrics: MetricsIntake,
        operations: Sequence[Operation],
        letters: DeadLetters,
        settings: HubSettings,
        clock: Clock,
        last: Sequence[Closing] = (),
        vault: Vault | None = None,
        tally: Tally | None = None,
        past: PastUse | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._sleep = sleep
        tally = tally or own_tally()
        lanes = [Lane(sink, letters, tally, settings, clock, sleep) for sink in sinks]
        self._hub = Hub(lanes, metrics, letters, tally, settings, clock)
        self._desk = Desk(operations, settings)
        self._past = past
        redelivery = Redelivery(lanes, letters, settings, clock, sleep)
        self._vault = vault
        self._parts: list[object] = [*sinks, metrics, redelivery, vault, *last]
        self.closed = False
        self._work: asyncio.Task[None] | None = None
        self._duties: list[asyncio.Task[None]] = []

    @property
    def healthy(self) -> bool:
        """Whether events go on to the sinks."""
        return self._work is not None and not self._work.done()

    def start(self) -> None:
        """Begin to write to the sinks; needs a running loop."""
        loop = asyncio.get_running_loop()
        self._work = loop.create_task(self._hub.run())
        duties = [part for part in self._parts if isinstance(part, Duty)]
        self._duties = [loop.create_task(self._do(duty)) for duty in duties]

    async def ship(self, batch: BatchWire) -> AckWire:
        """See `HubPort.ship`."""
        return await self._hub.ship(batch)

    async def keep(self, batch: KeepWire) -> KeptWire:
        """See `content.ports.VaultPort.keep`."""
        if self._vault is None or self.closed:
            raise Unavailable(
                Refusal.TELEMETRY_UNAVAILABLE, "No content is taken.", retry_after_s=1.0
            )
        return await self._vault.keep(batch)

    async def ask(self, call: DeskCallWire) -> DeskAnswerWire:
        """The answer to a question, or the refusal in its place."""
        return await self._desk.handle(call)

    async def used(self, question: PastUseWire) -> UsesWire:
        """What somebody used of late, for the limits; None where nobody can tell."""
        if self._past is None:
            return None
        return await self._past.amounts(Question.from_wire(question))

    async def close(self) -> None:
        """Write what was taken, then let every part finish; each step has a deadline.

        Calling it again does nothing.
        """
        if self.closed:
            return
        self.closed = True
        if not await self._hub.drain():
            _log.warning("not everything reached every sink; the journals keep it")
        tasks = [*self._duties, *([] if self._work is None else [self._work])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=self._settings.close_s)
        for part in self._parts:
            if isinstance(part, Closing):
                await self._finish(part)

    async def _finish(self, part: Closing) -> None:
        try:
            async with asyncio.timeout(self._settings.close_s):
                await part.close()
        except Exception:  # one part's trouble must not keep another one from finishing
            _log.exception("a part of telemetry could not finish")

    async def _do(self, duty: Duty) -> None:
        while True:
            try:
                await duty.run()
            except Exception:
                _log.exception("a duty of telemetry failed; it is begun again")
            await self._sleep(_AGAIN_S)
