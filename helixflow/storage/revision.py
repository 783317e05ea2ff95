"""The identity revision: one row, raised in the transaction of every change.

A writer holds the row's lock until it commits, so changes commit in the order of their revisions:
whoever reads a revision sees every change up to it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.exc import NoResultFound
from sqlalchemy.ext.asyncio import AsyncConnection

from helixflow.storage.tables import identity_revision

REVISION = select(identity_revision.c.revision)


async def lock_revision(connection: AsyncConnection) -> None:
    """Wait for the writer before, if there is one. (On SQLite the transaction is the lock.)"""
    await connection.execute(select(identity_revision.c.revision).with_for_update())


async def raise_revision(connection: AsyncConnection) -> None:
    """Raise the revision by one, within the caller's transaction."""
    raised = identity_revision.c.revision + 1
    await connection.execute(update(identity_revision).values(revision=raised))


async def read_revision(connection: AsyncConnection) -> int:
    """The revision as of the caller's transaction."""
    return revision_of((await connection.execute(REVISION)).first())


def revision_of(row: Row[*tuple[Any, ...]] | None) -> int:
    """The revision in the row of `REVISION`, or of a statement that reads it with more."""
    if row is None:
        raise NoResultFound("the row of the identity revision is gone")
    revision: int = row.revision
    return revision
