"""Questions about usage, always within one organization (and, for most callers, one project).

Hours and days are read from their sums, minutes from the rows.

Failure behavior: see database.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Row, and_, func, literal_column, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from helixflow.inference.price import Cost
from helixflow.inference.quota import ServiceClass
from helixflow.storage.database import Database
from helixflow.storage.telemetry_tables import usage_requests, usage_rollups
from helixflow.storage.usage_rows import row_of
from helixflow.telemetry.desk import Scope
from helixflow.telemetry.rollups import MINUTE_S, Sums
from helixflow.telemetry.usage import UsageRow
from helixflow.telemetry.usage_query import (
    Field,
    Group,
    Only,
    RequestQuery,
    UsageQuery,
)

_COLUMNS: Mapping[Field, str] = MappingProxyType(
    {
        Field.API_KEY_ID: "key_id",
        Field.MODEL: "model",
        Field.PROJECT_ID: "project_id",
        Field.REGION: "region",
        Field.SERVICE_TIER: "service_class",
        Field.USER_ID: "subject_id",
    }
)
_SUMMED = (
    "input_tokens", "cached_tokens", "output_tokens", "input_nano_usd", "cached_input_nano_usd",
    "output_nano_usd",
)  # fmt: skip
_IS_BATCH = f"service_class = '{ServiceClass.BATCH.value}'"  # no bind: it stands in GROUP BY too


class SqlUsageQueries:
    """`telemetry.usage_ports.UsageReader` over SQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def groups(self, query: UsageQuery, limit: int) -> list[Group]:
        """See `UsageReader.groups`."""
        minutes = query.width_s == MINUTE_S
        table: FromClause = usage_requests if minutes else usage_rollups
        start = table.c.minute_at if minutes else table.c.start_at
        at = table.c.admitted_at if minutes else start
        where = [
            *_within(table, query.scope, query.only),
            at >= query.start,
            at < query.end,
            *_of_batch(query.batch),
        ]
        if query.operations:
            where.append(table.c.operation.in_(query.operations))
        if not minutes:
            where.append(table.c.width_s == query.width_s)
        fields = [_field(table, field) for field in query.group_by]
        requests = func.count() if minutes else func.sum(table.c.requests)
        sums = [func.sum(table.c[name]).label(name) for name in _SUMMED]
        wanted = (
            select(start.label("start"), *fields, requests.label("requests"), *sums)
            .where(*where)
            .group_by(start, *fields)
            .order_by(start, *fields)
            .limit(limit)
        )

        async def look(connection: AsyncConnection) -> list[Group]:
            rows = await connection.execute(wanted)
            return [_group(row, query.group_by) for row in rows]

        return await self._database.read(look)

    async def requests(self, query: RequestQuery, limit: int) -> list[UsageRow]:
        """See `UsageReader.requests`."""
        table = usage_requests
        at, row_id = table.c.admitted_at, table.c.id
        where = [*_within(table, query.scope, query.only), at >= query.start, at < query.end]
        if query.after is not None:
            seen = query.after
            where.append(or_(at > seen.at, and_(at == seen.at, row_id > seen.id)))
        wanted = select(table).where(*where).order_by(at, row_id).limit(limit)

        async def look(connection: AsyncConnection) -> list[UsageRow]:
            return [row_of(record) for record in await connection.execute(wanted)]

        return await self._database.read(look)


def _within(table: FromClause, scope: Scope, only: Only) -> list[ColumnElement[bool]]:
    """The tenant first, whatever was asked for."""
    where = [table.c.organization_id == scope.organization]
    if scope.project is not None:
        where.append(table.c.project_id == scope.project)
    where += [table.c[_COLUMNS[field]].in_(values) for field, values in only]
    return where


def _of_batch(batch: bool | None) -> list[ColumnElement[bool]]:
    if batch is None:
        return []
    return [literal_column(_IS_BATCH if batch else f"NOT {_IS_BATCH}")]


def _field(table: FromClause, field: Field) -> ColumnElement[Any]:
    if field is Field.BATCH:
        return literal_column(f"CASE WHEN {_IS_BATCH} THEN 'true' ELSE 'false' END").label(field)
    return table.c[_COLUMNS[field]].label(field)


def _group(row: Row[*tuple[Any, ...]], fields: tuple[Field, ...]) -> Group:
    cost = Cost(int(row.input_nano_usd), int(row.cached_input_nano_usd), int(row.output_nano_usd))
    sums = Sums(
        int(row.requests), int(row.input_tokens), int(row.cached_tokens), int(row.output_tokens),
        cost,
    )  # fmt: skip
    values = row._mapping
    return Group(row.start, {field: values[field.value] for field in fields}, sums)
