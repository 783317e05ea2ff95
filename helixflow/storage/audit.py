"""The audit log over SQL: chains that only grow at their end, one writer at a time.

Failure behavior: see database.py; an append that fails leaves nothing. Where somebody else wrote to
a chain meanwhile it raises `Forked`, and the caller begins anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, func, or_, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from helixflow.clock import Clock
from helixflow.errors import NotFound, Refusal
from helixflow.storage.audit_tables import (
    audit_chains,
    audit_erasures,
    audit_records,
    audit_seals,
)
from helixflow.storage.database import Database
from helixflow.storage.sink_marks import lock_sink, read_mark, write_mark
from helixflow.telemetry.audit.chain import Head, beginning, follow
from helixflow.telemetry.audit.ports import (
    ChainState,
    Change,
    Erasure,
    Filters,
    Forked,
    Held,
    Mark,
    Placed,
    Stored,
    Work,
)
from helixflow.telemetry.audit.record import Kind
from helixflow.telemetry.audit.seals import Seal, StatementKind, read_seal

_SINK = "audit"
_IDS_MAX = 500
_SEALS_MAX = 1000
_DAY_MS = 86_400_000
_CHAINS = audit_chains.c
_RECORDS = audit_records.c
_SEALS = audit_seals.c
_STORED = (
    _RECORDS.sequence, _RECORDS.hash, _RECORDS.digest, _RECORDS.data, _RECORDS.checkpoint,
)  # fmt: skip
_EMPTIED = {
    "data": None, "action": None, "outcome": None, "actor": None, "target": None, "project": None,
}  # fmt: skip


class SqlAudit:
    """`telemetry.audit.ports.AuditStore` over SQL."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def high_water(self, source: str) -> int:
        """See `AuditStore.high_water`."""
        return await self._database.read(lambda connection: read_mark(connection, _SINK, source))

    async def append(
        self,
        chains: Collection[str],
        ids: Collection[tuple[str, str]],
        work: Work,
        mark: Mark | None = None,
    ) -> None:
        """See `AuditStore.append`."""

        async def run(connection: AsyncConnection) -> None:
            await lock_sink(connection, _SINK)
            if mark is not None:
                if mark.last <= await read_mark(connection, _SINK, mark.source):
                    return
                now = self._clock.now()
                await write_mark(connection, _SINK, mark.source, mark.last, now)
            if chains:
                held = await _heads(connection, chains)
                known = await _known(connection, ids)
                heads = {chain: held.get(chain) or beginning(chain) for chain in chains}
                await _apply(connection, held, work(Held(heads, known)))

        try:
            await self._database.write(run)
        except IntegrityError as error:
            raise Forked("the chain has such a record already") from error

    async def chains(self, after: str, limit: int) -> list[ChainState]:
        """See `AuditStore.chains`."""
        some = select(audit_chains).where(_CHAINS.chain > after).order_by(_CHAINS.chain)
        return [_state(row) for row in await self._rows(some.limit(limit))]

    async def chain(self, chain: str) -> ChainState | None:
        """See `AuditStore.chain`."""
        rows = await self._rows(select(audit_chains).where(_CHAINS.chain == chain))
        return _state(rows[0]) if rows else None

    async def find(self, chain: str, filters: Filters, limit: int) -> list[Stored]:
        """See `AuditStore.find`."""
        backwards = filters.before is not None

        async def look(connection: AsyncConnection) -> list[Stored]:
            where = [_RECORDS.chain == chain, _RECORDS.data.is_not(None), *_conditions(filters)]
            if filters.before is not None:
                low = await _place(connection, chain, filters.before, "before")
                where.append(_RECORDS.sequence > low)
            if filters.after is not None:
                high = await _place(connection, chain, filters.after, "after")
                where.append(_RECORDS.sequence < high)
            order = _RECORDS.sequence.asc() if backwards else _RECORDS.sequence.desc()
            chosen = select(*_STORED).where(*where).order_by(order).limit(limit)
            return [_stored(row) for row in await connection.execute(chosen)]

        found = await self._database.read(look)
        return found[::-1] if backwards else found

    async def span(self, chain: str, after: int, limit: int) -> list[Stored]:
        """See `AuditStore.span`."""
        where = (_RECORDS.chain == chain, _RECORDS.sequence > after)
        some = select(*_STORED).where(*where).order_by(_RECORDS.sequence).limit(limit)
        return [_stored(row) for row in await self._rows(some)]

    async def at(self, chain: str, sequence: int) -> Stored | None:
        """See `AuditStore.at`."""
        where = (_RECORDS.chain == chain, _RECORDS.sequence == sequence)
        rows = await self._rows(select(*_STORED).where(*where))
        return _stored(rows[0]) if rows else None

    async def first_since(self, chain: str, at_ms: int) -> int | None:
        """See `AuditStore.first_since`."""
        order = (_RECORDS.at_ms, _RECORDS.sequence)
        where = (_RECORDS.chain == chain, _RECORDS.at_ms >= at_ms)
        some = select(_RECORDS.sequence).where(*where).order_by(*order).limit(1)
        rows = await self._rows(some)
        return int(rows[0].sequence) if rows else None

    async def seals(self, chain: str, after: int, until: int, limit: int) -> list[Seal]:
        """See `AuditStore.seals`."""
        where = (
            _SEALS.chain == chain,
            _SEALS.kind != StatementKind.CHECKPOINT.value,
            _SEALS.sequence > after,
            _SEALS.sequence <= until,
        )
        some = select(_SEALS.line).where(*where).order_by(_SEALS.sequence, _SEALS.kind)
        return [read_seal(row.line) for row in await self._rows(some.limit(limit))]

    async def checkpoints(self, chain: str, begin: tuple[int, int], beyond: int) -> list[Seal]:
        """See `AuditStore.checkpoints`."""
        where = (
            _SEALS.chain == chain,
            _SEALS.kind == StatementKind.CHECKPOINT.value,
            _SEALS.first.between(*begin),
            _SEALS.sequence > beyond,
        )
        some = select(_SEALS.line).where(*where).order_by(_SEALS.first, _SEALS.number)
        return [read_seal(row.line) for row in await self._rows(some)]

    async def served(
        self, chain: str, kind: Kind, before_ms: int, limit: int
    ) -> list[tuple[int, bytes]]:
        """See `AuditStore.served`."""
        where = (
            _RECORDS.chain == chain,
            _RECORDS.kind == kind.value,
            _RECORDS.at_ms < before_ms,
            _RECORDS.data.is_not(None),
        )
        some = select(_RECORDS.sequence, _RECORDS.hash).where(*where).order_by(_RECORDS.sequence)
        return [(row.sequence, row.hash) for row in await self._rows(some.limit(limit))]

    async def removable(self, chain: str, before_ms: int, limit: int) -> Head | None:
        """See `AuditStore.removable`."""
        columns = (_RECORDS.sequence, _RECORDS.hash, _RECORDS.at_ms, _RECORDS.checkpoint)
        some = select(*columns).where(_RECORDS.chain == chain).order_by(_RECORDS.sequence)
        head = None
        for row in await self._rows(some.limit(limit)):
            if not row.checkpoint or row.at_ms >= before_ms:
                break
            head = Head(row.sequence, row.hash)
        return head

    async def thin_seals(self, before_ms: int) -> int:
        """See `AuditStore.thin_seals`. At most a thousand at a time."""
        old = (_SEALS.kind == StatementKind.SEAL.value, _SEALS.at_ms < before_ms)
        days = (_SEALS.chain, _SEALS.at_ms // _DAY_MS)
        kept = select(_SEALS.chain, func.max(_SEALS.sequence)).where(*old).group_by(*days)
        place = tuple_(_SEALS.chain, _SEALS.sequence)
        some = select(_SEALS.chain, _SEALS.sequence).where(*old, place.not_in(kept))
        gone = delete(audit_seals).where(*old, place.in_(some.limit(_SEALS_MAX)))

        async def work(connection: AsyncConnection) -> int:
            await lock_sink(connection, _SINK)
            return (await connection.execute(gone)).rowcount

        return await self._database.write(work)

    async def erasures(self, after: tuple[str, str], limit: int) -> list[Erasure]:
        """See `AuditStore.erasures`."""
        order = (audit_erasures.c.chain, audit_erasures.c.person)
        where = tuple_(*order) > tuple_(*after)
        some = select(audit_erasures).where(where).order_by(*order).limit(limit)
        return [Erasure(row.chain, row.person, row.at_ms) for row in await self._rows(some)]

    async def _rows(self, chosen: Any) -> Sequence[Row[Any]]:
        async def look(connection: AsyncConnection) -> Sequence[Row[Any]]:
            return (await connection.execute(chosen)).all()

        return await self._database.read(look)


async def _heads(connection: AsyncConnection, chains: Collection[str]) -> dict[str, Head]:
    some = select(audit_chains).where(_CHAINS.chain.in_(chains))
    return {row.chain: Head(row.sequence, row.hash) for row in await connection.execute(some)}


async def _known(
    connection: AsyncConnection, ids: Collection[tuple[str, str]]
) -> set[tuple[str, str]]:
    by_chain: dict[str, list[str]] = defaultdict(list)
    for chain, id_ in ids:
        by_chain[chain].append(id_)
    known = set()
    for chain, some in by_chain.items():
        for begin in range(0, len(some), _IDS_MAX):
            where = (_RECORDS.chain == chain, _RECORDS.id.in_(some[begin : begin + _IDS_MAX]))
            rows = await connection.execute(select(_RECORDS.id).where(*where))
            known |= {(chain, row.id) for row in rows}
    return known


async def _apply(connection: AsyncConnection, held: Mapping[str, Head], change: Change) -> None:
    await _move_heads(connection, held, change.placed)
    if change.placed:
        await connection.execute(audit_records.insert(), [_row(one) for one in change.placed])
    await _add_seals(connection, change.seals)
    if change.erasures:
        rows = [
            {"chain": one.chain, "person": one.index, "at_ms": one.at_ms} for one in change.erasures
        ]
        await connection.execute(_insert(connection, audit_erasures).on_conflict_do_nothing(), rows)
    for chain, (sequences, number) in change.dropped.items():
        where = (
            _RECORDS.chain == chain,
            _RECORDS.sequence.in_(sequences),
            _RECORDS.data.is_not(None),
        )
        emptied = update(audit_records).where(*where).values(checkpoint=number, **_EMPTIED)
        if (await connection.execute(emptied)).rowcount != len(sequences):
            raise Forked("somebody else dropped these contents")
    for chain, head in change.begins.items():
        await _begin_at(connection, chain, head)


async def _move_heads(
    connection: AsyncConnection, held: Mapping[str, Head], placed: Iterable[Placed]
) -> None:
    """Each chain's row goes from the head that it has to the new one; never from another."""
    heads: dict[str, Head] = {}
    for one in placed:
        chain, linked = one.record.chain, one.link.head
        before = heads.get(chain) or held.get(chain) or beginning(chain)
        follows = linked.sequence == before.sequence + 1
        if not follows or linked.hash != follow(before.hash, one.link.digest):
            raise Forked(f"record {linked.sequence} does not follow from record {before.sequence}")
        heads[chain] = linked
    for chain, head in heads.items():
        values = {"sequence": head.sequence, "hash": head.hash}
        was = held.get(chain)
        if was is None:
            first = beginning(chain)
            more = {"chain": chain, "begin_sequence": 0, "begin_hash": first.hash, "sealed": -1}
            await connection.execute(audit_chains.insert().values(**values, **more))
            continue
        place = (_CHAINS.chain == chain, _CHAINS.sequence == was.sequence, _CHAINS.hash == was.hash)
        moved = await connection.execute(update(audit_chains).where(*place).values(values))
        if moved.rowcount != 1:
            raise Forked(f"the chain {chain} has another head by now")


async def _add_seals(connection: AsyncConnection, seals: Iterable[Seal]) -> None:
    for seal in seals:
        told = seal.statement
        row = {
            "chain": told.chain, "kind": told.kind.value, "sequence": told.sequence,
            "number": told.number, "first": told.first, "at_ms": told.at_ms, "line": seal.line,
        }  # fmt: skip
        await connection.execute(
            _insert(connection, audit_seals).values(row).on_conflict_do_nothing()
        )
        if told.kind is StatementKind.SEAL:
            place = (_CHAINS.chain == told.chain, _CHAINS.sealed < told.sequence)
            await connection.execute(
                update(audit_chains).where(*place).values(sealed=told.sequence)
            )


async def _begin_at(connection: AsyncConnection, chain: str, head: Head) -> None:
    """Remove what was before, with the seals that nothing is left for."""
    gone = (_RECORDS.chain == chain, _RECORDS.sequence <= head.sequence)
    await connection.execute(delete(audit_records).where(*gone))
    old = (_SEALS.chain == chain, _SEALS.sequence < head.sequence)
    await connection.execute(delete(audit_seals).where(*old))
    await connection.execute(
        update(audit_chains)
        .where(_CHAINS.chain == chain)
        .values(begin_sequence=head.sequence, begin_hash=head.hash)
    )


async def _place(connection: AsyncConnection, chain: str, id_: str, param: str) -> int:
    """A record's number, by its id. Raises `NotFound`."""
    found: int | None = None
    if id_.isprintable():  # PostgreSQL refuses some characters outright; no id has them
        where = (_RECORDS.chain == chain, _RECORDS.id == id_)
        chosen = select(_RECORDS.sequence).where(*where)
        found = (await connection.execute(chosen)).scalar_one_or_none()
    if found is None:
        raise NotFound(Refusal.RESOURCE_NOT_FOUND, "There is nothing with this id.", param=param)
    return found


def _conditions(filters: Filters) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    if filters.since_ms is not None:
        where.append(_RECORDS.at_ms >= filters.since_ms)
    if filters.until_ms is not None:
        where.append(_RECORDS.at_ms < filters.until_ms)
    either = []
    if filters.actions:
        either.append(_RECORDS.action.in_(filters.actions))
    if filters.kinds:
        either.append(_RECORDS.kind.in_([kind.value for kind in filters.kinds]))
    if either:
        where.append(or_(*either))
    for column, wanted in (
        (_RECORDS.actor, filters.actors),
        (_RECORDS.target, filters.targets),
        (_RECORDS.project, filters.projects),
        (_RECORDS.outcome, filters.outcomes),
    ):
        if wanted:
            where.append(column.in_(wanted))
    return where


def _row(placed: Placed) -> dict[str, Any]:
    record, link = placed.record, placed.link
    return {
        "chain": record.chain,
        "sequence": link.head.sequence,
        "hash": link.head.hash,
        "digest": link.digest,
        "id": record.id,
        "at_ms": record.at_ms,
        "kind": record.kind.value,
        "data": link.data,
        "checkpoint": 0,
        "action": record.action,
        "outcome": record.outcome.value,
        "actor": record.actor.index or record.actor.id,
        "target": record.target.index or record.target.id,
        "project": record.project,
    }


def _stored(row: Row[*tuple[Any, ...]]) -> Stored:
    return Stored(row.sequence, row.hash, row.digest, row.data or b"", row.checkpoint)


def _state(row: Row[Any]) -> ChainState:
    begin, head = Head(row.begin_sequence, row.begin_hash), Head(row.sequence, row.hash)
    return ChainState(row.chain, begin, head, row.sealed)


def _insert(connection: AsyncConnection, table: Any) -> Any:
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    return dialect.insert(table)
