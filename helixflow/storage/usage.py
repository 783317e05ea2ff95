"""Usage rows, their sums and the sink's marks: written together, or not at all.

Failure behavior: see database.py. A `take` that was not committed is simply done again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, and_, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from helixflow.storage.database import Database
from helixflow.storage.keyed import delete_by_key
from helixflow.storage.sink_marks import forget_marks, lock_sink, read_mark, write_mark
from helixflow.storage.telemetry_tables import usage_requests, usage_rollups
from helixflow.storage.usage_rows import row_of, values_of
from helixflow.telemetry.rollups import DAY_S, HOUR_S, Slot, Sums, changes
from helixflow.telemetry.usage import LOST, UsageRow, merge
from helixflow.telemetry.usage_ports import Kept

_SINK = "usage"
_ROWS_MAX = 1000
_IDS_MAX = 500
_SLOT = (
    "width_s", "start_at", "organization_id", "project_id", "key_id", "subject_id", "model",
    "region", "operation", "service_class",
)  # fmt: skip
_SUMS = (
    "requests", "input_tokens", "cached_tokens", "output_tokens", "input_nano_usd",
    "cached_input_nano_usd", "output_nano_usd",
)  # fmt: skip
_OPEN = text("ended_at IS NULL AND NOT lost")  # as the index says it


class SqlUsage:
    """`telemetry.usage_ports.UsageStore` over SQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def high_water(self, source: str) -> int:
        """See `Sink.high_water`."""
        return await self._database.read(lambda connection: read_mark(connection, _SINK, source))

    async def take(self, source: str, last: int, rows: Sequence[UsageRow], now: float) -> None:
        """See `UsageStore.take`."""

        async def work(connection: AsyncConnection) -> None:
            await lock_sink(connection, _SINK)
            if last <= await read_mark(connection, _SINK, source):
                return
            await _amend(connection, rows)
            await write_mark(connection, _SINK, source, last, now)

        await self._database.write(work)

    async def give_up(self, before: float) -> int:
        """See `UsageStore.give_up`. No sum changes: tokens are as they are known."""
        table = usage_requests
        some = select(table.c.id).where(table.c.first_at < before, _OPEN).limit(_ROWS_MAX)
        change = update(table).where(table.c.id.in_(some), _OPEN).values(lost=True, outcome=LOST)

        async def work(connection: AsyncConnection) -> int:
            await lock_sink(connection, _SINK)
            return (await connection.execute(change)).rowcount

        return await self._database.write(work)

    async def forget(self, kept: Kept) -> int:
        """See `UsageStore.forget`. Marks go with the rows: what is replayed later is merged."""

        async def work(connection: AsyncConnection) -> int:
            await lock_sink(connection, _SINK)
            rows, sums = usage_requests, usage_rollups
            count = await _delete(connection, (rows.c.id,), rows.c.first_at < kept.rows)
            for width_s, before in ((HOUR_S, kept.hours), (DAY_S, kept.days)):
                old = and_(sums.c.width_s == width_s, sums.c.start_at + width_s <= int(before))
                count += await _delete(connection, tuple(sums.c[name] for name in _SLOT), old)
            return count + await forget_marks(connection, kept.rows, _ROWS_MAX)

        return await self._database.write(work)


async def _amend(connection: AsyncConnection, rows: Sequence[UsageRow]) -> None:
    """Merge rows into those that are there, and their differences into the sums."""
    fresh: dict[str, UsageRow] = {}
    for row in rows:
        there = fresh.get(row.id)
        fresh[row.id] = row if there is None else merge(there, row)
    if not fresh:
        return
    held = await _held(connection, list(fresh))
    pairs = []
    for row_id, row in fresh.items():
        before = held.get(row_id)
        after = row if before is None else merge(before, row)
        if after != before:
            pairs.append((before, after))
    if not pairs:
        return
    insert = _insert(connection, usage_requests)
    names = [column.name for column in usage_requests.c if not column.primary_key]
    replace = {name: insert.excluded[name] for name in names}
    await connection.execute(
        insert.on_conflict_do_update(index_elements=("id",), set_=replace),
        [values_of(after) for _, after in pairs],
    )
    await _add(connection, changes(pairs))


async def _held(connection: AsyncConnection, ids: list[str]) -> dict[str, UsageRow]:
    held: dict[str, UsageRow] = {}
    for begin in range(0, len(ids), _IDS_MAX):
        some = usage_requests.c.id.in_(ids[begin : begin + _IDS_MAX])
        for record in await connection.execute(select(usage_requests).where(some)):
            held[record.id] = row_of(record)
    return held


async def _add(connection: AsyncConnection, by: Mapping[Slot, Sums]) -> None:
    """Add differences to the sums; a sum of no request is removed."""
    if not by:
        return
    table = usage_rollups
    insert = _insert(connection, table)
    added = {name: table.c[name] + insert.excluded[name] for name in _SUMS}
    await connection.execute(
        insert.on_conflict_do_update(index_elements=_SLOT, set_=added),
        # In one order always: two writers that each wait for the other's row would never end.
        [
            _slot(slot) | _sums(sums)
            for slot, sums in sorted(by.items(), key=lambda item: tuple(_slot(item[0]).values()))
        ],
    )
    emptied = [tuple(_slot(slot).values()) for slot, sums in by.items() if sums.requests < 0]
    key = tuple(table.c[name] for name in _SLOT)
    await delete_by_key(connection, key, emptied, table.c.requests == 0)


def _slot(slot: Slot) -> dict[str, Any]:
    of = slot.of
    place = (
        slot.width_s, slot.start_at, of.organization, of.project, of.key, of.subject, of.model,
        of.region, of.operation, of.service_class,
    )  # fmt: skip
    return dict(zip(_SLOT, place, strict=True))


def _sums(sums: Sums) -> dict[str, int]:
    cost = sums.cost
    numbers = (
        sums.requests, sums.input_tokens, sums.cached_tokens, sums.output_tokens, cost.input,
        cost.cached_input, cost.output,
    )  # fmt: skip
    return dict(zip(_SUMS, numbers, strict=True))


def _insert(connection: AsyncConnection, table: Table) -> Any:
    """Both dialects' `insert` know `on_conflict_do_update`; SQLAlchemy's own does not."""
    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)


async def _delete(
    connection: AsyncConnection, key: Sequence[Column[Any]], old: ColumnElement[bool]
) -> int:
    """Delete some of the old rows of a table, by their whole key."""
    found = (await connection.execute(select(*key).where(old).limit(_ROWS_MAX))).all()
    return await delete_by_key(connection, key, [tuple(row) for row in found])
