"""The persons' keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "audit_persons",
        sa.Column("tag", sa.LargeBinary(length=32), nullable=False),
        sa.Column("person", sa.String(length=32), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("used_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("tag", name=op.f("pk_audit_persons")),
        sa.UniqueConstraint("person", name=op.f("uq_audit_persons_person")),
    )
    op.create_index(op.f("ix_audit_persons_used_at"), "audit_persons", ["used_at"], unique=False)


def downgrade() -> None:
    """Drop it."""
    op.drop_table("audit_persons")
