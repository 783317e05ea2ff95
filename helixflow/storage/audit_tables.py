"""The audit log's tables, in telemetry's database.

A chain's row is its end: whoever appends changes it from what it was, or not at all. A record's
columns beside its bytes are there to find it by; what is proven is its bytes (docs/audit.md). What
was dropped keeps its digest, its time and its id.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
    text,
)

from helixflow.storage import telemetry_tables

metadata = telemetry_tables.metadata
"""Of all of telemetry's tables, with these among them."""

_CHAIN_LENGTH = 256
_NAME_LENGTH = 256


def _chain() -> Column[str]:
    key = ForeignKey("audit_chains.chain", ondelete="RESTRICT")
    return Column("chain", String(_CHAIN_LENGTH), key, primary_key=True)


def _number(name: str, *, key: bool = False) -> Column[int]:
    return Column(name, BigInteger, primary_key=key, nullable=False, autoincrement=False)


def _hash(name: str) -> Column[bytes]:
    return Column(name, LargeBinary(32), nullable=False)


def _name(name: str, length: int = _NAME_LENGTH) -> Column[str]:
    return Column(name, String(length))


audit_chains = Table(
    "audit_chains",
    metadata,
    Column("chain", String(_CHAIN_LENGTH), primary_key=True),
    _number("begin_sequence"),
    _hash("begin_hash"),
    _number("sequence"),
    _hash("hash"),
    _number("sealed"),
    CheckConstraint("begin_sequence <= sequence", name="begins_before_it_ends"),
)

audit_records = Table(
    "audit_records",
    metadata,
    _chain(),
    _number("sequence", key=True),
    _hash("hash"),
    _hash("digest"),
    Column("id", String(64), nullable=False),
    _number("at_ms"),
    Column("kind", String(16), nullable=False),
    Column("data", LargeBinary),
    _number("checkpoint"),
    _name("action", 128),
    _name("outcome", 16),
    _name("actor"),
    _name("target"),
    _name("project"),
    UniqueConstraint("chain", "id"),
    CheckConstraint("(data IS NULL) = (checkpoint > 0)", name="dropped_by_a_checkpoint"),
    Index(None, "chain", "at_ms", "sequence"),
    Index(None, "chain", "action", "sequence"),
    Index(None, "chain", "actor", "sequence"),
    Index(None, "chain", "target", "sequence"),
    Index(
        "ix_audit_records_served",
        "chain",
        "kind",
        "at_ms",
        sqlite_where=text("data IS NOT NULL"),
        postgresql_where=text("data IS NOT NULL"),
    ),
)

audit_seals = Table(
    "audit_seals",
    metadata,
    _chain(),
    Column("kind", String(16), primary_key=True),
    _number("sequence", key=True),
    _number("number", key=True),
    _number("first"),
    _number("at_ms"),
    Column("line", LargeBinary, nullable=False),
)

audit_erasures = Table(
    "audit_erasures",
    metadata,
    _chain(),
    Column("person", String(32), primary_key=True),
    _number("at_ms"),
)
"""The ledger: blind indexes of those whose keys are gone, or must go."""
