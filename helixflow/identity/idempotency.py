"""POST once: the same idempotency key gives the same answer, and the change happens one time.

The change and the note of its answer are one unit of work. An answer may hold a key's text that is
shown only once, so it is sealed under the master key while it is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from helixflow.clock import Clock
from helixflow.crypto.master_key import KeyRing
from helixflow.errors import Conflict, InvalidRequest, Refusal
from helixflow.identity.events import Actor
from helixflow.identity.ports import Store, Unit
from helixflow.identity.records import Answered

T = TypeVar("T")

KEY_LENGTH_MAX = 255
_PURPOSE = "idempotency"


class Joined:
    """A `Store` within a unit of work that somebody else began: all of it commits together."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    async def read(self, work: Callable[[Unit], Awaitable[T]]) -> T:
        """See `Store.read`."""
        return await work(self._unit)

    async def write(self, work: Callable[[Unit], Awaitable[T]]) -> T:
        """See `Store.write`."""
        return await work(self._unit)


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a body; `repeated` where it was given before."""

    status: int
    body: bytes
    repeated: bool = False


Change: TypeAlias = Callable[[Store], Awaitable[Answer]]
"""Does what was asked, with services on the store that it is given, and says the answer."""


class Once:
    """Remembers the answers to requests that came with an idempotency key."""

    def __init__(self, store: Store, ring: KeyRing, clock: Clock) -> None:
        self._store = store
        self._ring = ring
        self._clock = clock

    async def run(self, actor: Actor, key: str, request: bytes, change: Change) -> Answer:
        """The answer to a request, `request` being all of it that matters (route and body).

        Raises `Conflict` where the key was used for another request. A change that raises is
        not remembered: it left nothing behind and may be tried again.
        """
        if not key or len(key) > KEY_LENGTH_MAX:
            raise InvalidRequest(
                Refusal.INVALID_VALUE,
                f"It must have 1 to {KEY_LENGTH_MAX} characters.",
                param="Idempotency-Key",
            )
        named = f"{actor.organization}\n{actor.id}\n{key}".encode("utf-8", "surrogatepass")
        place, asked = hashlib.sha256(named).hexdigest(), hashlib.sha256(request).digest()

        async def work(unit: Unit) -> Answer:
            known = await unit.answered.get(actor.organization, place)
            if known is not None:
                return self._repeat(known, asked)
            answer = await change(Joined(unit))
            await unit.answered.add(
                Answered(
                    id=place,
                    organization=actor.organization,
                    request=asked,
                    status=answer.status,
                    body=self._ring.seal(_PURPOSE, answer.body, place.encode()),
                    created_at=self._clock.now(),
                )
            )
            return answer

        return await self._store.write(work)

    def _repeat(self, known: Answered, asked: bytes) -> Answer:
        if known.request != asked:
            raise Conflict(
                Refusal.CONFLICT,
                "This key was used for another request.",
                param="Idempotency-Key",
            )
        body = self._ring.unseal(_PURPOSE, known.body, known.id.encode())
        return Answer(known.status, body, repeated=True)
