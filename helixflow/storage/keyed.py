"""Rows by their keys, many at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, bindparam, delete
from sqlalchemy.ext.asyncio import AsyncConnection


async def delete_by_key(
    connection: AsyncConnection,
    key: Sequence[Column[Any]],
    values: Sequence[tuple[Any, ...]],
    *where: ColumnElement[bool],
) -> int:
    """Delete the rows with these keys, as far as they fit `where`; how many keys it were."""
    if values:
        names = [f"key_{column.name}" for column in key]
        place = [column == bindparam(name) for column, name in zip(key, names, strict=True)]
        await connection.execute(
            delete(key[0].table).where(*place, *where),
            [dict(zip(names, each, strict=True)) for each in values],
        )
    return len(values)
