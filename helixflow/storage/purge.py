"""What has served its time is deleted, a bounded part at a time.

Failure behavior: see database.py. Nothing depends on it but the size of the tables.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Table, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from helixflow.storage.database import Database
from helixflow.storage.tables import answered, refresh_tokens, revoked_tokens, signing_keys

ANSWERS_KEPT_S = 86_400.0
_ROWS_MAX = 1000


class SqlPurge:
    """Deletes expired tokens, answers and signing keys. It is no change of identity."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self, now: float) -> int:
        """Delete up to a thousand rows of each kind; how many it were. `now` is epoch seconds."""
        over: list[tuple[Table, ColumnElement[bool]]] = [
            (answered, answered.c.created_at <= now - ANSWERS_KEPT_S),
            (refresh_tokens, refresh_tokens.c.expires_at <= now),
            (revoked_tokens, revoked_tokens.c.expires_at <= now),
            (signing_keys, signing_keys.c.verifies_until <= now),
        ]

        async def work(connection: AsyncConnection) -> int:
            count = 0
            for table, expired in over:
                some = select(table.c.id).where(expired).limit(_ROWS_MAX)
                deleted = await connection.execute(delete(table).where(table.c.id.in_(some)))
                count += deleted.rowcount
            return count

        return await self._database.write(work)
