"""An identity store with as many keys as asked for, of which some are in use.

Rows are written past the repositories, which would take an hour for a million: they are what
`ApiKeys.create` stores, without its events. Only the keys in use have a text; the others are copies
that the database itself makes of one of them, with random bytes where the hash of a key would be.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import TextClause, insert, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from benchmarks.identity.popularity import spread_out
from benchmarks.systems.in_process import HOME, URL
from benchmarks.systems.ports import Running
from helixflow.clock import SystemClock
from helixflow.identity.bootstrap import to_store
from helixflow.identity.keys import PEPPER_PURPOSE, KeyKind, mint
from helixflow.identity.ports import Installation, Unit
from helixflow.settings import StorageSettings
from helixflow.storage.key_rows import KEYS
from helixflow.storage.prepare import Prepared, prepare
from helixflow.storage.tables import api_keys

_BATCH = 1_000
_PARTS_WHILE_IT_RUNS = 20
_CACHE_KIB = 262_144
_FILL_S = 900.0
_RANDOM_HEX = {
    "sqlite": "lower(hex(randomblob(16)))",
    "postgresql": "encode(uuid_send(gen_random_uuid()), 'hex')",
}
_RANDOM_BYTES = {
    "sqlite": "randomblob(32)",
    "postgresql": "sha256(uuid_send(gen_random_uuid()))",
}


async def open_store(running: Running, name: str, call_s: float = 2.0) -> Prepared:
    """The store of that name, ready for look-ups. Close its database."""
    settings = StorageSettings(url=running.private[URL].format(database=name), call_s=call_s)
    home = Path(running.private[HOME]) / f"{name}-home"
    return await prepare(settings, home, SystemClock(), {})


async def fill(running: Running, name: str, total: int, active: int) -> list[str]:
    """A store of `total` keys; the texts of the `active` ones, which lie all over it."""
    if not running.private[URL].startswith("sqlite"):
        await _create_database(running.private[URL].format(database="postgres"), name)
    return await _fill(await open_store(running, name, _FILL_S), total, active)


async def fill_home(home: Path, total: int, active: int) -> list[str]:
    """The same for the store of the platform whose home folder this is; it may run."""
    settings = StorageSettings(call_s=_FILL_S)
    prepared = await prepare(settings, home, SystemClock(), {})
    return await _fill(prepared, total, active, _PARTS_WHILE_IT_RUNS)


async def _fill(prepared: Prepared, total: int, active: int, at_once: int = 0) -> list[str]:
    """`at_once` parts are one transaction, all for 0: whoever else writes waits for its end."""
    try:
        known = await prepared.stores.units.read(_installation)
        keys = _Keys(prepared, known, total, active)
        parts = keys.parts()
        step = at_once or len(parts)
        for begin in range(0, len(parts), step):
            await prepared.stores.database.write(partial(keys.add, parts[begin : begin + step]))
        await prepared.stores.database.write(_analyze)
    finally:
        await prepared.stores.database.close()
    return keys.texts


class _Keys:
    """Rows of `api_keys`. `texts` fills up while they are added."""

    def __init__(
        self, prepared: Prepared, known: Installation | None, total: int, active: int
    ) -> None:
        assert known is not None
        self._pepper = prepared.ring.derive(PEPPER_PURPOSE)
        self._known = known
        self._total = total
        self._active = active
        self.texts: list[str] = []

    def parts(self) -> list[tuple[int, int]]:
        """How many are in use, and how many others follow them, part by part: those in use lie all
        over."""
        count = min(self._active, -(-self._total // _BATCH))
        used = [*spread_out(count, self._active), self._active]
        places = [*spread_out(count, self._total), self._total]
        return [
            (used[n + 1] - used[n], places[n + 1] - places[n] - used[n + 1] + used[n])
            for n in range(count)
        ]

    async def add(self, parts: Sequence[tuple[int, int]], connection: AsyncConnection) -> None:
        """Add these parts."""
        copy = _copy(connection.dialect.name)
        if connection.dialect.name == "sqlite":
            await connection.execute(text(f"PRAGMA cache_size = -{_CACHE_KIB}"))
        for used, copies in parts:
            rows = [self._in_use() for _ in range(used)]
            await connection.execute(insert(api_keys), rows)
            if copies > 0:
                await connection.execute(copy, {"count": copies, "original": rows[0]["id"]})

    def _in_use(self) -> dict[str, Any]:
        made, known = mint(KeyKind.PROJECT), self._known
        self.texts.append(made.secret.reveal())
        return KEYS.values(
            to_store(
                made, self._pepper, known.organization, known.project, "a service",
                known.created_at,
            )
        )  # fmt: skip


def _copy(dialect: str) -> TextClause:
    """Inserts `count` copies of the key `original`, each with an id and a MAC of its own."""
    own = {"id": f"'key_' || {_RANDOM_HEX[dialect]}", "mac": _RANDOM_BYTES[dialect]}
    names = [column.name for column in api_keys.columns]
    chosen = ", ".join(own.get(name, f"api_keys.{name}") for name in names)
    return text(
        "WITH RECURSIVE numbers(n) AS"
        " (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count)"
        f" INSERT INTO api_keys ({', '.join(names)})"
        f" SELECT {chosen} FROM numbers, api_keys WHERE api_keys.id = :original"
    )


async def _installation(unit: Unit) -> Installation | None:
    return await unit.installation()


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
