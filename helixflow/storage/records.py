"""One repository for every kind of record: rows in, frozen values out, a tenant in every query."""

from __future__ import annotations

import dataclasses
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import Column, ColumnElement, Row, Table, delete, insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from helixflow.errors import NotFound, Refusal
from helixflow.identity.ports import AlreadyThere, Page

R = TypeVar("R")
Scope = TypeVar("Scope", contravariant=True)

_WHERE_MAX = 1000
_ID_LENGTH_MAX = 256
_UNIQUE_VIOLATION = "23505"  # PostgreSQL's SQLSTATE


class Mapping(Generic[R]):
    """How a record's fields lie in a table's columns: `<field>`, or `<field>_id`."""

    def __init__(self, record: type[R], table: Table) -> None:
        self.record = record
        self.table = table
        self._columns: dict[str, Column[Any]] = {
            field.name: table.c[field.name if field.name in table.c else f"{field.name}_id"]
            for field in dataclasses.fields(record)  # type: ignore[arg-type]
        }

    def column(self, field: str) -> Column[Any]:
        """The column of a field."""
        return self._columns[field]

    def values(self, record: R) -> dict[str, Any]:
        """A record as column values; sets become sorted lists."""
        plain = msgspec.to_builtins(record, builtin_types=(bytes,), order="deterministic")
        return {self._columns[field].name: value for field, value in plain.items()}

    def value(self, row: Row[*tuple[Any, ...]]) -> R:
        """A row as a record."""
        held = row._mapping
        plain = {field: held[column.name] for field, column in self._columns.items()}
        return msgspec.convert(plain, self.record, builtin_types=(bytes,))


class SqlRecords(Generic[R, Scope]):
    """`identity.ports.Records` on a connection that is in a transaction.

    Args:
        scope: the column that holds the tenant; None for what the platform itself owns.
        only: a condition that every row meets, where a table holds several kinds.
    """

    def __init__(
        self,
        connection: AsyncConnection,
        mapping: Mapping[R],
        scope: Column[Any] | None,
        only: ColumnElement[bool] | None = None,
    ) -> None:
        self._connection = connection
        self._mapping = mapping
        self._table = mapping.table
        self._scope = scope
        self._only = only

    async def get(self, scope: Scope, record_id: str) -> R | None:
        """See `Records.get`."""
        if not may_be_id(record_id):
            return None
        mine = [*self._mine(scope), self._table.c.id == record_id]
        row = (await self._connection.execute(select(self._table).where(*mine))).first()
        return None if row is None else self._mapping.value(row)

    async def page(self, scope: Scope, after: str | None, limit: int, **fields: object) -> Page[R]:
        """See `Records.page`."""
        order = (self._table.c.created_at, self._table.c.id)
        mine = [*self._mine(scope), *self._alike(fields)]
        if after is not None:
            place = select(*order).where(*mine, self._table.c.id == after)
            known = may_be_id(after)
            mark = (await self._connection.execute(place)).first() if known else None
            if mark is None:
                raise NotFound(
                    Refusal.RESOURCE_NOT_FOUND, "There is nothing with this id.", param="after"
                )
            mine.append(tuple_(*order) > tuple_(*mark))
        chosen = select(self._table).where(*mine).order_by(*order).limit(limit + 1)
        rows = (await self._connection.execute(chosen)).fetchall()
        items = tuple(self._mapping.value(row) for row in rows[:limit])
        return Page(items, len(rows) > limit)

    async def where(self, scope: Scope, **fields: object) -> list[R]:
        """See `Records.where`."""
        chosen = select(self._table).where(*self._mine(scope), *self._alike(fields))
        chosen = chosen.order_by(self._table.c.created_at, self._table.c.id).limit(_WHERE_MAX)
        rows = await self._connection.execute(chosen)
        return [self._mapping.value(row) for row in rows]

    async def add(self, record: R) -> None:
        """See `Records.add`."""
        await add_row(self._connection, self._table, self._mapping.values(record))

    async def put(self, record: R) -> None:
        """See `Records.put`."""
        values = self._mapping.values(record)
        change = update(self._table).where(self._table.c.id == values.pop("id")).values(values)
        await self._connection.execute(change)

    async def remove(self, record: R) -> None:
        """See `Records.remove`."""
        record_id = self._mapping.values(record)["id"]
        await self._connection.execute(delete(self._table).where(self._table.c.id == record_id))

    def _alike(self, fields: dict[str, object]) -> list[ColumnElement[bool]]:
        columns = {self._mapping.column(field): value for field, value in fields.items()}
        return [
            column.is_(None) if value is None else column == value
            for column, value in columns.items()
        ]

    def _mine(self, scope: Scope) -> list[ColumnElement[bool]]:
        mine = [] if self._scope is None else [self._scope == scope]
        return mine if self._only is None else [*mine, self._only]


async def add_row(connection: AsyncConnection, table: Table, values: dict[str, Any]) -> None:
    """Insert a row. Raises `AlreadyThere` where a unique constraint says no."""
    try:
        await connection.execute(insert(table).values(values))
    except IntegrityError as error:
        if _is_unique_violation(error):
            raise AlreadyThere(table.name) from None
        raise


def may_be_id(text: str) -> bool:
    """Whether it can be asked about. PostgreSQL refuses some characters outright; no id has them."""
    return len(text) <= _ID_LENGTH_MAX and text.isprintable()


def _is_unique_violation(error: IntegrityError) -> bool:
    state = getattr(error.orig, "sqlstate", None)
    return state == _UNIQUE_VIOLATION or "UNIQUE constraint failed" in str(error.orig)
