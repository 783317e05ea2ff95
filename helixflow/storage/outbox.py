"""The outbox, as whoever ships it reads it: in order, at least once.

Failure behavior: see database.py. A shipper that dies between shipping and `forget` ships the same
rows again; an event's id tells.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from helixflow.identity.events import Event
from helixflow.storage.database import Database
from helixflow.storage.records import Mapping
from helixflow.storage.tables import outbox

_EVENTS = Mapping(Event, outbox)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An event and its place in the outbox."""

    sequence: int
    event: Event


class SqlOutbox:
    """The events that were not shipped yet."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def head(self, limit: int) -> list[Outgoing]:
        """The oldest events, at most `limit`."""

        async def look(connection: AsyncConnection) -> list[Outgoing]:
            rows = await connection.execute(select(outbox).order_by(outbox.c.sequence).limit(limit))
            return [Outgoing(row.sequence, _EVENTS.value(row)) for row in rows]

        return await self._database.read(look)

    async def forget(self, up_to: int) -> None:
        """Delete what was shipped: everything up to this sequence number."""

        async def drop(connection: AsyncConnection) -> None:
            await connection.execute(delete(outbox).where(outbox.c.sequence <= up_to))

        await self._database.write(drop)
