"""The Telemetry actor as processes ship to it and ask it.

Failure behavior: each call is over within its deadline, and every failure of it (the actor is not
there yet, is begun anew, or does not answer) is `Unavailable` (`telemetry_unavailable`). An actor
that is gone is looked for again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError

from deployments.names import NAMESPACE, TELEMETRY
from helixflow.errors import Refusal, Unavailable
from helixflow.inference.desk import DeskAnswer, DeskCall
from helixflow.settings import TelemetrySettings
from helixflow.telemetry.content.ports import KeepWire, KeptWire
from helixflow.telemetry.past_use import Question, UsesWire
from helixflow.telemetry.wire import AckWire, BatchWire

# Beyond the desk's own deadline, which has a better message.
_SPARE_S = 1.0


def find() -> Any:
    """The actor. Raises ValueError where there is none, ConnectionError outside Ray. It blocks."""
    require_ray()
    return ray.get_actor(TELEMETRY, namespace=NAMESPACE)


def require_ray() -> None:
    """Raises ConnectionError in a process that is in no cluster: Ray would start one of its own."""
    if not ray.is_initialized():
        raise ConnectionError("this process is in no Ray cluster")


class RayTelemetry:
    """`telemetry.ports.HubPort`, `content.ports.VaultPort` and `gateway.ports.Desk` over the actor.
    For one event loop.

    Args:
        look: finds the actor; it blocks, and raises where there is none.
    """

    def __init__(self, settings: TelemetrySettings, look: Callable[[], Any] = find) -> None:
        self._ship_s = settings.shipping.call_s
        self._ask_s = settings.hub.query_s + _SPARE_S
        self._keep_s = settings.content.call_s
        self._look = look
        self._actor: Any = None
        self._looking: asyncio.Task[Any] | None = None

    async def ship(self, batch: BatchWire) -> AckWire:
        """See `HubPort.ship`."""
        ack: AckWire = await self._call("ship", batch, self._ship_s)
        return ack

    async def keep(self, batch: KeepWire) -> KeptWire:
        """See `content.ports.VaultPort.keep`."""
        fates: KeptWire = await self._call("keep", batch, self._keep_s)
        return fates

    async def call(self, call: DeskCall) -> DeskAnswer:
        """What comes of a question. Raises the `Refused` that the desk answers with."""
        return DeskAnswer.from_wire(await self._call("ask", call.to_wire(), self._ask_s))

    async def used(self, question: Question) -> UsesWire:
        """What somebody used of late; None where nobody can tell."""
        uses: UsesWire = await self._call("used", question.to_wire(), self._ask_s)
        return uses

    async def _call(self, method: str, argument: object, limit_s: float) -> Any:
        try:
            async with asyncio.timeout(limit_s):
                actor = self._actor or await self._found()
                return await getattr(actor, method).remote(argument)
        except RayActorError as error:
            self._actor = None
            raise _away() from error
        except (TimeoutError, ValueError, ConnectionError, RayError) as error:
            raise _away() from error

    async def _found(self) -> Any:
        # One thread at a time, however many calls wait for it: Ray may let it hang for long.
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(asyncio.to_thread(self._look))
        self._actor = await asyncio.shield(self._looking)
        return self._actor


def _away() -> Unavailable:
    return Unavailable(
        Refusal.TELEMETRY_UNAVAILABLE, "Telemetry does not answer.", retry_after_s=1.0
    )
