"""API keys, as verification reads them.

Failure behavior: see database.py; every method raises `Unavailable` where the database is away.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import bindparam, or_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from helixflow.identity.ports import Found
from helixflow.ids import KeyId
from helixflow.storage.database import Database
from helixflow.storage.key_rows import BY_MAC, found
from helixflow.storage.revision import REVISION, revision_of
from helixflow.storage.tables import api_keys


class SqlKeyStore:
    """`identity.ports.KeyStore` over SQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, mac: bytes) -> Found:
        """See `KeyStore.find`."""
        return found(await self._database.first(BY_MAC, {"wanted": mac}))

    async def revision(self) -> int:
        """See `KeyStore.revision`."""
        return revision_of(await self._database.first(REVISION))

    async def touch(self, used: Mapping[KeyId, float]) -> None:
        """See `KeyStore.touch`; a time never goes back."""
        later = or_(
            api_keys.c.last_used_at.is_(None), api_keys.c.last_used_at < bindparam("used_at")
        )
        note = (
            update(api_keys)
            .where(api_keys.c.id == bindparam("used_key"), later)
            .values(last_used_at=bindparam("used_at"))
        )
        rows = [{"used_key": key, "used_at": at} for key, at in sorted(used.items())]

        async def write(connection: AsyncConnection) -> None:
            await connection.execute(note, rows)

        if rows:
            await self._database.write(write)
