"""Settles reservations: at once where the use is known, else when the replica has said it.

A request that is left early (a hang-up, a deadline) has generated something that only its replica
can count. Its reservation, slots included, is kept until the replica has said it, which is soon or
never (`Dispatcher.left`); where it is never, the estimate is what was used.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable

from helixflow.gateway.ports import Dispatcher
from helixflow.ids import RequestId
from helixflow.inference.usage import Usage
from helixflow.limits.ports import Reservation


class Settling:
    """One process's. For one event loop."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._open: set[asyncio.Task[None]] = set()

    def settle(self, reservation: Reservation, usage: Usage | None, request_id: RequestId) -> None:
        """Settle the reservation of a request that is over, now or soon. `usage` None: not known."""
        told = None if usage is not None else self._dispatcher.left(request_id)
        if told is None:
            reservation.settle(usage)
            return
        # A context of its own: the request's is cancelled, and Ray cancels what is begun in it.
        late = asyncio.get_running_loop().create_task(
            _settle_late(reservation, told), context=contextvars.Context()
        )
        self._open.add(late)
        late.add_done_callback(self._open.discard)


async def _settle_late(reservation: Reservation, told: Awaitable[Usage | None]) -> None:
    usage = None
    try:
        usage = await told
    finally:
        reservation.settle(usage, whole=False)
