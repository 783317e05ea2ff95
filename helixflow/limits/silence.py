"""What becomes of the concurrency slots of an Ingress that fell silent.

Its slots stay taken while a Model replica still runs or queues a request of it, so that no more
run than the limit allows; they are freed when all replicas say that none does, or when no request
of it can still run because its deadline is over.

Failure behavior: a fleet that cannot say what it runs (`None`) frees nothing; it is asked again.
A store that is away is asked again too. Nothing here is on the path of a request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import structlog

from helixflow.clock import Clock
from helixflow.limits.ports import LimitStore, LimitStoreAway

_log = structlog.get_logger(__name__)

_SILENT_MAX = 10_000

Running: TypeAlias = Callable[[str], Awaitable[int | None]]
"""How many requests of a holder the Model replicas hold; None where that is not known."""


class Silence:
    """Watches for holders that gave no sign of life.

    Args:
        running: asks the Model replicas.
        silent_s: a holder is silent after this.
        request_s: the longest that a request may last.
    """

    def __init__(
        self,
        store: LimitStore,
        running: Running,
        clock: Clock,
        *,
        silent_s: float,
        request_s: float,
    ) -> None:
        self._store = store
        self._running = running
        self._clock = clock
        self._silent_s = silent_s
        self._request_s = request_s
        self._since: dict[str, float] = {}

    async def step(self) -> None:
        """Look once, and free what can be freed."""
        try:
            silent = (await self._store.silent(self._silent_s))[:_SILENT_MAX]
            now = self._clock.monotonic()
            self._since = {holder: self._since.get(holder, now) for holder in silent}
            for holder in silent:
                if await self._is_gone(holder):
                    await self._store.bury(holder)
                    self._since.pop(holder, None)
                    _log.info("slots_freed", holder=holder)
        except LimitStoreAway:
            return

    async def _is_gone(self, holder: str) -> bool:
        if self._clock.monotonic() - self._since[holder] >= self._request_s:
            return True
        return await self._running(holder) == 0
