"""An identity store with as many keys as asked for, of which some are in use.

Rows are written in batches past the repositories, which would take an hour for a million: they are
what `ApiKeys.create` stores, without its events. Only the keys in use have a text; the others have
random bytes where the hash of one would be.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from benchmarks.identity.popularity import spread_out
from benchmarks.systems.in_process import HOME, URL
from benchmarks.systems.ports import Running
from helixflow.clock import SystemClock
from helixflow.identity.bootstrap import to_store
from helixflow.identity.keys import PEPPER_PURPOSE, KeyKind, NewKey, mint
from helixflow.identity.ports import Installation, Unit
from helixflow.ids import mint_key_id
from helixflow.settings import StorageSettings
from helixflow.storage.key_rows import KEYS
from helixflow.storage.prepare import Prepared, prepare
from helixflow.storage.tables import api_keys

_BATCH = 10_000
_FILL_S = 900.0


async def open_store(running: Running, name: str, call_s: float = 2.0) -> Prepared:
    """The store of that name, ready for look-ups. Close its database."""
    settings = StorageSettings(url=running.private[URL].format(database=name), call_s=call_s)
    home = Path(running.private[HOME]) / f"{name}-home"
    return await prepare(settings, home, SystemClock(), {})


async def fill(running: Running, name: str, total: int, active: int) -> list[str]:
    """A store of `total` keys; the texts of the `active` ones, which lie all over it."""
    if not running.private[URL].startswith("sqlite"):
        await _create_database(running.private[URL].format(database="postgres"), name)
    prepared = await open_store(running, name, _FILL_S)
    try:
        rows = _Rows(prepared, await prepared.stores.units.read(_installation), total, active)
        for batch in rows.batches():
            await prepared.stores.database.write(partial(_add, batch))
        await prepared.stores.database.write(_analyze)
    finally:
        await prepared.stores.database.close()
    return rows.texts


class _Rows:
    """Rows of `api_keys`. `texts` fills up while they are made."""

    def __init__(
        self, prepared: Prepared, known: Installation | None, total: int, active: int
    ) -> None:
        assert known is not None
        self._pepper = prepared.ring.derive(PEPPER_PURPOSE)
        self._known = known
        self._total = total
        self._places = set(spread_out(active, total))
        self._plain = self._values(mint(KeyKind.PROJECT))
        self.texts: list[str] = []

    def batches(self) -> Iterator[list[dict[str, Any]]]:
        """All rows, some thousands at a time."""
        for begin in range(0, self._total, _BATCH):
            yield [self._row(n) for n in range(begin, min(begin + _BATCH, self._total))]

    def _row(self, number: int) -> dict[str, Any]:
        if number not in self._places:
            return self._plain | {"id": mint_key_id(), "mac": os.urandom(32)}
        made = mint(KeyKind.PROJECT)
        self.texts.append(made.secret.reveal())
        return self._values(made)

    def _values(self, made: NewKey) -> dict[str, Any]:
        known = self._known
        return KEYS.values(
            to_store(
                made, self._pepper, known.organization, known.project, "a service",
                known.created_at,
            )
        )  # fmt: skip


async def _installation(unit: Unit) -> Installation | None:
    return await unit.installation()


async def _add(rows: list[dict[str, Any]], connection: AsyncConnection) -> None:
    await connection.execute(insert(api_keys), rows)


async def _analyze(connection: AsyncConnection) -> None:
    """What a database does by itself after a while."""
    await connection.execute(text("ANALYZE"))


async def _create_database(url: str, name: str) -> None:
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            await connection.execute(text(f'CREATE DATABASE "{name}"'))
    finally:
        await engine.dispose()
