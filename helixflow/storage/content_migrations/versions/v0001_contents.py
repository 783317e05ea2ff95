"""Kept content, and the ledger of what was erased of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    _create_contents()
    op.create_table(
        "content_erasures",
        sa.Column("tag", sa.LargeBinary(length=32), nullable=False),
        sa.Column("period", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tag", name=op.f("pk_content_erasures")),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("content_erasures")
    op.drop_table("contents")


def _create_contents() -> None:
    op.create_table(
        "contents",
        sa.Column("organization_id", sa.String(length=128), nullable=False),
        sa.Column("project_id", sa.String(length=128), nullable=False),
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("operation", sa.String(length=128), nullable=False),
        sa.Column("outcome", sa.String(length=128), nullable=False),
        sa.Column("request_bytes", sa.BigInteger(), nullable=False),
        sa.Column("answer_bytes", sa.BigInteger(), nullable=False),
        sa.Column("truncated", sa.Boolean(), nullable=False),
        sa.Column("period", sa.Integer(), nullable=False),
        sa.Column("session", sa.String(length=32), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "project_id", "id", name=op.f("pk_contents")),
    )
    for columns in (["organization_id", "project_id", "at", "id"], ["expires_at"], ["at"]):
        op.create_index(op.f("ix_contents_" + "_".join(columns)), "contents", columns, unique=False)
