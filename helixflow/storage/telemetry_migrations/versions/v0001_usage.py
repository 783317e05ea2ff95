"""Usage: what sinks hold, a row per request, and sums per hour and day."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = ("sink_marks", "usage_requests", "usage_rollups")


def upgrade() -> None:
    """Make the tables."""
    _create_sink_marks()
    _create_usage_requests()
    _create_usage_rollups()


def downgrade() -> None:
    """Drop them."""
    for table in reversed(_TABLES):
        op.drop_table(table)


def _create_sink_marks() -> None:
    op.create_table(
        "sink_marks",
        sa.Column("sink", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("sink", "source", name=op.f("pk_sink_marks")),
    )
    op.create_index(op.f("ix_sink_marks_updated_at"), "sink_marks", ["updated_at"], unique=False)


def _create_usage_requests() -> None:
    op.create_table(
        "usage_requests",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("first_at", sa.Double(), nullable=False),
        sa.Column("admitted_at", sa.Double(), nullable=True),
        sa.Column("minute_at", sa.BigInteger(), nullable=True),
        sa.Column("organization_id", sa.String(length=128), nullable=True),
        sa.Column("project_id", sa.String(length=128), nullable=True),
        sa.Column("key_id", sa.String(length=128), nullable=True),
        sa.Column("subject_id", sa.String(length=128), nullable=True),
        sa.Column("model", sa.String(length=128), nullable=True),
        sa.Column("region", sa.String(length=128), nullable=True),
        sa.Column("operation", sa.String(length=128), nullable=True),
        sa.Column("service_class", sa.String(length=128), nullable=True),
        sa.Column("stream", sa.Boolean(), nullable=True),
        sa.Column("estimated_tokens", sa.BigInteger(), nullable=True),
        sa.Column("input_price", sa.BigInteger(), nullable=True),
        sa.Column("cached_input_price", sa.BigInteger(), nullable=True),
        sa.Column("output_price", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.Column("ended_outcome", sa.String(length=128), nullable=True),
        sa.Column("ended_input_tokens", sa.BigInteger(), nullable=True),
        sa.Column("ended_cached_tokens", sa.BigInteger(), nullable=True),
        sa.Column("ended_output_tokens", sa.BigInteger(), nullable=True),
        sa.Column("duration_s", sa.Double(), nullable=True),
        sa.Column("first_token_s", sa.Double(), nullable=True),
        sa.Column("generated_at", sa.Double(), nullable=True),
        sa.Column("generated_model", sa.String(length=128), nullable=True),
        sa.Column("generated_outcome", sa.String(length=128), nullable=True),
        sa.Column("generated_input_tokens", sa.BigInteger(), nullable=True),
        sa.Column("generated_cached_tokens", sa.BigInteger(), nullable=True),
        sa.Column("generated_output_tokens", sa.BigInteger(), nullable=True),
        sa.Column("lost", sa.Boolean(), nullable=False),
        sa.Column("outcome", sa.String(length=128), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cached_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("input_nano_usd", sa.BigInteger(), nullable=False),
        sa.Column("cached_input_nano_usd", sa.BigInteger(), nullable=False),
        sa.Column("output_nano_usd", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "(admitted_at IS NULL) = (organization_id IS NULL)",
            name=op.f("ck_usage_requests_admitted_has_a_tenant"),
        ),
        sa.CheckConstraint(
            "cached_tokens <= input_tokens", name=op.f("ck_usage_requests_cached_is_input")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_requests")),
    )
    op.create_index(
        op.f("ix_usage_requests_first_at"), "usage_requests", ["first_at"], unique=False
    )
    op.create_index(
        "ix_usage_requests_open",
        "usage_requests",
        ["first_at"],
        unique=False,
        sqlite_where=sa.text("ended_at IS NULL AND NOT lost"),
        postgresql_where=sa.text("ended_at IS NULL AND NOT lost"),
    )
    op.create_index(
        op.f("ix_usage_requests_organization_id_admitted_at"),
        "usage_requests",
        ["organization_id", "admitted_at"],
        unique=False,
    )


def _create_usage_rollups() -> None:
    op.create_table(
        "usage_rollups",
        sa.Column("width_s", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("organization_id", sa.String(length=128), nullable=False),
        sa.Column("start_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("project_id", sa.String(length=128), nullable=False),
        sa.Column("key_id", sa.String(length=128), nullable=False),
        sa.Column("subject_id", sa.String(length=128), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("region", sa.String(length=128), nullable=False),
        sa.Column("operation", sa.String(length=128), nullable=False),
        sa.Column("service_class", sa.String(length=128), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cached_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("input_nano_usd", sa.BigInteger(), nullable=False),
        sa.Column("cached_input_nano_usd", sa.BigInteger(), nullable=False),
        sa.Column("output_nano_usd", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "width_s",
            "organization_id",
            "start_at",
            "project_id",
            "key_id",
            "subject_id",
            "model",
            "region",
            "operation",
            "service_class",
            name=op.f("pk_usage_rollups"),
        ),
    )
    op.create_index(
        op.f("ix_usage_rollups_width_s_start_at"),
        "usage_rollups",
        ["width_s", "start_at"],
        unique=False,
    )
