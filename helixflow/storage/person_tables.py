"""Keys that can be erased: the audit log's persons' and the kept contents'. They belong into no backup."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

audit_persons = Table(
    "audit_persons",
    metadata,
    Column("tag", LargeBinary(32), primary_key=True),
    Column("person", String(32), nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("used_at", Double, nullable=False),
    UniqueConstraint("person"),
    Index(None, "used_at"),
)

content_keys = Table(
    "content_keys",
    metadata,
    Column("tag", LargeBinary(32), primary_key=True),
    Column("period", Integer, primary_key=True, autoincrement=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("created_at", Double, nullable=False),
)
"""The data key of each period in which a project kept content, by a keyed hash of the project."""
