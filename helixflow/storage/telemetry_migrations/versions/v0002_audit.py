"""The audit log: chains, their records, their seals, and the ledger of erasures."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = ("audit_chains", "audit_records", "audit_seals", "audit_erasures")


def upgrade() -> None:
    """Make the tables, what others refer to first."""
    _create_audit_chains()
    _create_audit_records()
    _create_audit_seals()
    _create_audit_erasures()


def downgrade() -> None:
    """Drop them, what refers to others first."""
    for table in reversed(_TABLES):
        op.drop_table(table)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False)


def _of_a_chain(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["chain"], ["audit_chains.chain"], name=op.f(f"fk_{table}_chain"), ondelete="RESTRICT"
    )


def _create_audit_chains() -> None:
    op.create_table(
        "audit_chains",
        sa.Column("chain", sa.String(length=256), nullable=False),
        _number("begin_sequence"),
        sa.Column("begin_hash", sa.LargeBinary(length=32), nullable=False),
        _number("sequence"),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        _number("sealed"),
        sa.CheckConstraint(
            "begin_sequence <= sequence", name=op.f("ck_audit_chains_begins_before_it_ends")
        ),
        sa.PrimaryKeyConstraint("chain", name=op.f("pk_audit_chains")),
    )


def _create_audit_records() -> None:
    op.create_table(
        "audit_records",
        sa.Column("chain", sa.String(length=256), nullable=False),
        _number("sequence"),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        _number("at_ms"),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=True),
        _number("checkpoint"),
        sa.Column("action", sa.String(length=128), nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("actor", sa.String(length=256), nullable=True),
        sa.Column("target", sa.String(length=256), nullable=True),
        sa.Column("project", sa.String(length=256), nullable=True),
        sa.CheckConstraint(
            "(data IS NULL) = (checkpoint > 0)",
            name=op.f("ck_audit_records_dropped_by_a_checkpoint"),
        ),
        _of_a_chain("audit_records"),
        sa.PrimaryKeyConstraint("chain", "sequence", name=op.f("pk_audit_records")),
        sa.UniqueConstraint("chain", "id", name=op.f("uq_audit_records_chain_id")),
    )
    for column in ("action", "actor", "target"):
        op.create_index(
            op.f(f"ix_audit_records_chain_{column}_sequence"),
            "audit_records",
            ["chain", column, "sequence"],
            unique=False,
        )
    op.create_index(
        op.f("ix_audit_records_chain_at_ms_sequence"),
        "audit_records",
        ["chain", "at_ms", "sequence"],
        unique=False,
    )
    op.create_index(
        "ix_audit_records_served",
        "audit_records",
        ["chain", "kind", "at_ms"],
        unique=False,
        sqlite_where=sa.text("data IS NOT NULL"),
        postgresql_where=sa.text("data IS NOT NULL"),
    )


def _create_audit_seals() -> None:
    op.create_table(
        "audit_seals",
        sa.Column("chain", sa.String(length=256), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        _number("sequence"),
        _number("number"),
        _number("first"),
        _number("at_ms"),
        sa.Column("line", sa.LargeBinary(), nullable=False),
        _of_a_chain("audit_seals"),
        sa.PrimaryKeyConstraint("chain", "kind", "sequence", "number", name=op.f("pk_audit_seals")),
    )


def _create_audit_erasures() -> None:
    op.create_table(
        "audit_erasures",
        sa.Column("chain", sa.String(length=256), nullable=False),
        sa.Column("person", sa.String(length=32), nullable=False),
        _number("at_ms"),
        _of_a_chain("audit_erasures"),
        sa.PrimaryKeyConstraint("chain", "person", name=op.f("pk_audit_erasures")),
    )
