"""The keys of what projects keep of the content of their requests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "content_keys",
        sa.Column("tag", sa.LargeBinary(length=32), nullable=False),
        sa.Column("period", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("tag", "period", name=op.f("pk_content_keys")),
    )


def downgrade() -> None:
    """Drop it: what was kept is unreadable from then on."""
    op.drop_table("content_keys")
