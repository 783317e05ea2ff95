"""Kept content and its data keys over SQL: two databases, so that one can be left out of backups.

Failure behavior: see database.py. What is deleted is overwritten in an SQLite file, and in its
journal: by the keys' `erase` before it returns, by `delete` then or (while somebody reads) by the
next `expire`. PostgreSQL overwrites in its own time; it has contents sealed, and keys wrapped.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, func, literal, or_, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from helixflow.errors import NotFound, Refusal, Unavailable
from helixflow.settings import StorageSettings, TelemetrySettings
from helixflow.storage.audit_stores import beside
from helixflow.storage.content_tables import content_erasures, contents
from helixflow.storage.database import Database
from helixflow.storage.person_tables import content_keys
from helixflow.storage.records import may_be_id
from helixflow.storage.schema import CONTENT
from helixflow.telemetry.content.ports import Sealed

_ROWS = contents.c
_DAY_S = 86_400.0
_SHOWN = [column for column in contents.c if column.name not in ("sealed", "size")]


class SqlContents:
    """`telemetry.content.ports.ContentStore` over SQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, kept: Sequence[Sealed]) -> None:
        """See `ContentStore.add`."""
        values = [_values(one) for one in kept]

        async def work(connection: AsyncConnection) -> None:
            add = _dialect(connection).insert(contents).on_conflict_do_nothing()
            await connection.execute(add, values)

        if values:
            await self._database.write(work)

    async def get(self, organization: str, project: str, request: str) -> Sealed | None:
        """See `ContentStore.get`."""
        if not may_be_id(request):
            return None

        async def look(connection: AsyncConnection) -> Any:
            mine = _place(organization, project), _ROWS.id == request
            return (await connection.execute(select(*_SHOWN, _ROWS.sealed).where(*mine))).first()

        row = await self._database.read(look)
        return None if row is None else _sealed(row)

    async def page(
        self, organization: str, project: str, after: str | None, limit: int
    ) -> list[Sealed]:
        """See `ContentStore.page`."""

        async def look(connection: AsyncConnection) -> Sequence[Any]:
            order = (_ROWS.at, _ROWS.id)
            mine = [_place(organization, project)]
            if after is not None:
                place = select(*order).where(*mine, _ROWS.id == after)
                mark = (await connection.execute(place)).first() if may_be_id(after) else None
                if mark is None:
                    raise NotFound(
                        Refusal.RESOURCE_NOT_FOUND, "There is nothing with this id.", param="after"
                    )
                mine.append(tuple_(*order) < tuple_(*mark))
            chosen = select(*_SHOWN, literal(b"").label("sealed")).where(*mine)
            chosen = chosen.order_by(*(column.desc() for column in order)).limit(limit)
            return (await connection.execute(chosen)).fetchall()

        return [_sealed(row) for row in await self._database.read(look)]

    async def delete(self, organization: str, project: str, request: str) -> int:
        """See `ContentStore.delete`."""
        mine = and_(_place(organization, project), _ROWS.id == request)

        async def work(connection: AsyncConnection) -> int | None:
            size: int | None = (await connection.execute(select(_ROWS.size).where(mine))).scalar()
            await _delete(connection, mine)
            return size

        size = await self._database.write(work)
        if size is None:
            return 0
        await self._empty_journal()
        return size

    async def erase(self, organization: str, project: str, period: int, limit: int) -> int:
        """See `ContentStore.erase`."""
        mine = and_(_place(organization, project), _ROWS.period <= period)
        return await self._delete_some(mine, limit)

    async def shorten(self, organization: str, project: str, days: int) -> None:
        """See `ContentStore.shorten`."""
        end = _ROWS.at + days * _DAY_S
        mine = _place(organization, project), _ROWS.expires_at > end
        change = update(contents).where(*mine).values(expires_at=end)

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(change)

        await self._database.write(work)

    async def expire(self, now: float, before: float, limit: int) -> int:
        """See `ContentStore.expire`."""
        count = await self._delete_some(or_(_ROWS.expires_at <= now, _ROWS.at < before), limit)
        await self._empty_journal()
        return count

    async def total(self) -> int:
        """See `ContentStore.total`."""
        asked = select(func.coalesce(func.sum(_ROWS.size), 0))

        async def look(connection: AsyncConnection) -> int:
            return int((await connection.execute(asked)).scalar_one())

        return await self._database.read(look)

    async def erased(self, tag: bytes) -> int:
        """See `ContentStore.erased`."""
        asked = select(content_erasures.c.period).where(content_erasures.c.tag == tag)

        async def look(connection: AsyncConnection) -> int:
            return (await connection.execute(asked)).scalar() or 0

        return await self._database.read(look)

    async def note_erased(self, tag: bytes, period: int) -> None:
        """See `ContentStore.note_erased`."""

        async def work(connection: AsyncConnection) -> None:
            note = _dialect(connection).insert(content_erasures).values(tag=tag, period=period)
            later = content_erasures.c.period < note.excluded.period
            note = note.on_conflict_do_update(
                index_elements=[content_erasures.c.tag],
                set_={"period": note.excluded.period},
                where=later,
            )
            await connection.execute(note)

        await self._database.write(work)

    async def erasures(self, after: bytes, limit: int) -> list[tuple[bytes, int]]:
        """See `ContentStore.erasures`."""
        chosen = select(content_erasures).where(content_erasures.c.tag > after)
        chosen = chosen.order_by(content_erasures.c.tag).limit(limit)

        async def look(connection: AsyncConnection) -> Sequence[Row[Any]]:
            return (await connection.execute(chosen)).fetchall()

        return [(row.tag, row.period) for row in await self._database.read(look)]

    async def _empty_journal(self) -> None:
        with suppress(Unavailable):  # somebody reads an old state: the next sweep does it
            await self._database.empty_journal()

    async def _delete_some(self, which: ColumnElement[bool], limit: int) -> int:
        key = (_ROWS.organization_id, _ROWS.project_id, _ROWS.id)
        some = select(*key).where(which).limit(limit)

        async def work(connection: AsyncConnection) -> int:
            return await _delete(connection, tuple_(*key).in_(some))

        return await self._database.write(work)


class SqlContentKeys:
    """`telemetry.content.ports.ContentKeyStore` over SQL, beside the persons' keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, tag: bytes, period: int) -> bytes | None:
        """See `ContentKeyStore.get`."""
        mine = content_keys.c.tag == tag, content_keys.c.period == period
        asked = select(content_keys.c.wrapped).where(*mine)

        async def look(connection: AsyncConnection) -> bytes | None:
            return (await connection.execute(asked)).scalar()

        return await self._database.read(look)

    async def add(self, tag: bytes, period: int, wrapped: bytes, at: float) -> None:
        """See `ContentKeyStore.add`."""
        values = {"tag": tag, "period": period, "wrapped": wrapped, "created_at": at}

        async def work(connection: AsyncConnection) -> None:
            add = _dialect(connection).insert(content_keys).on_conflict_do_nothing()
            await connection.execute(add, values)

        await self._database.write(work)

    async def erase(self, tag: bytes, period: int) -> int:
        """See `ContentKeyStore.erase`."""
        mine = and_(content_keys.c.tag == tag, content_keys.c.period <= period)

        async def work(connection: AsyncConnection) -> int:
            await _overwrite(connection)
            gone: int = (await connection.execute(delete(content_keys).where(mine))).rowcount
            return gone

        count = await self._database.write(work)
        await self._database.empty_journal()
        return count


@dataclass(frozen=True, slots=True)
class ContentStores:
    """The repositories. `database` is that of the contents: `close()` it when done."""

    contents: SqlContents
    keys: SqlContentKeys
    database: Database


async def prepare_contents(
    keys: Database, settings: TelemetrySettings, home: Path
) -> ContentStores:
    """The repositories of kept content. `keys` is the persons' database, which is prepared."""
    database = Database.open(content_storage(settings), home, CONTENT)
    try:
        await database.upgrade()
    except BaseException:
        await database.close()
        raise
    return ContentStores(SqlContents(database), SqlContentKeys(keys), database)


def content_storage(settings: TelemetrySettings) -> StorageSettings:
    """Where kept content is."""
    url = settings.content.url or beside(settings.storage.url, "content")
    return StorageSettings(url=url, call_s=settings.storage.call_s)


def _place(organization: str, project: str) -> ColumnElement[bool]:
    return and_(_ROWS.organization_id == organization, _ROWS.project_id == project)


def _values(kept: Sealed) -> dict[str, Any]:
    return {
        "organization_id": kept.organization,
        "project_id": kept.project,
        "id": kept.request,
        "at": kept.at,
        "expires_at": kept.at + kept.days * _DAY_S,
        "model": kept.model,
        "operation": kept.operation,
        "outcome": kept.outcome,
        "request_bytes": kept.request_bytes,
        "answer_bytes": kept.answer_bytes,
        "truncated": kept.truncated,
        "period": kept.period,
        "session": kept.session,
        "size": len(kept.sealed),
        "sealed": kept.sealed,
    }


def _sealed(row: Row[Any]) -> Sealed:
    return Sealed(
        row.organization_id, row.project_id, row.id, row.at, _days(row), row.model, row.operation,
        row.outcome, row.request_bytes, row.answer_bytes, bool(row.truncated), row.period,
        row.session, row.sealed,
    )  # fmt: skip


def _days(row: Row[Any]) -> int:
    days: int = round((row.expires_at - row.at) / _DAY_S)
    return days


def _dialect(connection: AsyncConnection) -> Any:
    return sqlite if connection.dialect.name == "sqlite" else postgresql


async def _overwrite(connection: AsyncConnection) -> None:
    if connection.dialect.name == "sqlite":
        await connection.exec_driver_sql("PRAGMA secure_delete = ON")


async def _delete(connection: AsyncConnection, which: ColumnElement[bool]) -> int:
    await _overwrite(connection)
    count: int = (await connection.execute(delete(contents).where(which))).rowcount
    return count
