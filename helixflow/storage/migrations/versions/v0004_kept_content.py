"""Whether a project keeps the content of its requests, and for how long."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_CHECKS = (
    ("ck_projects_content_days_positive", "content_days > 0"),
    (
        "ck_projects_kept_content_has_a_period",
        "content_days IS NULL OR content_period IS NOT NULL",
    ),
)


def upgrade() -> None:
    """Widen the projects; none keeps anything."""
    with op.batch_alter_table("projects") as batch:
        batch.add_column(sa.Column("content_days", sa.Integer(), nullable=True))
        batch.add_column(sa.Column("content_period", sa.Integer(), nullable=True))
        for name, condition in _CHECKS:
            batch.create_check_constraint(op.f(name), condition)


def downgrade() -> None:
    """Drop what projects were given."""
    with op.batch_alter_table("projects") as batch:
        for name, _ in _CHECKS:
            batch.drop_constraint(op.f(name), type_="check")
        batch.drop_column("content_period")
        batch.drop_column("content_days")
