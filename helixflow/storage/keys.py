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
from helixflow.storage.key_rows import FIND, found
from helixflow.storage.revision import read_revision
from helixflow.storage.tables import api_keys

_BY_MAC = FIND.where(api_keys.c.mac == bindparam("wanted"))


class SqlKeyStore:
    """`identity.ports.KeyStore` over SQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, mac: bytes) -> Found:
        """See `KeyStore.find`."""

        async def look(connection: AsyncConnection) -> Found:
            row = (await connection.execute(_BY_MAC, {"wanted": mac})).first()
            return Found(None, await read_revision(connection)) if row is None else found(row)

        return await self._database.read(look)

    async def revision(self) -> int:
        """See `KeyStore.revision`."""
        return await self._database.read(read_revision)

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
