"""Kept content: sealed, with what it is found by in clear. A database of its own.

Times are epoch seconds (double precision). Nothing refers to a tenant's row: see
telemetry_tables.py. The keys lie elsewhere (person_tables.py).
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
)

from helixflow.telemetry.content.ports import WORD_LENGTH_MAX

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _word(name: str, *, key: bool = False) -> Column[str]:
    return Column(name, String(WORD_LENGTH_MAX), primary_key=key, nullable=False)


contents = Table(
    "contents",
    metadata,
    _word("organization_id", key=True),
    _word("project_id", key=True),
    _word("id", key=True),
    Column("at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    _word("model"),
    _word("operation"),
    _word("outcome"),
    Column("request_bytes", BigInteger, nullable=False),
    Column("answer_bytes", BigInteger, nullable=False),
    Column("truncated", Boolean, nullable=False),
    Column("period", Integer, nullable=False),
    Column("session", String(32), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Index(None, "organization_id", "project_id", "at", "id"),
    Index(None, "expires_at"),
    Index(None, "at"),
)
"""What was kept of a request, by its id. `size` is that of `sealed`, in bytes."""

content_erasures = Table(
    "content_erasures",
    metadata,
    Column("tag", LargeBinary(32), primary_key=True),
    Column("period", Integer, nullable=False),
)
"""The ledger: the last period of each project whose key is gone, or must go."""
