"""Tiers and shares of organizations, and the limits that stand in the place of a tier's."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Widen the organizations, and make the table of limits."""
    with op.batch_alter_table("organizations") as batch:
        batch.add_column(sa.Column("tier", sa.String(length=64), nullable=True))
        batch.add_column(sa.Column("weight", sa.Double(), nullable=True))
        batch.add_column(sa.Column("service_class", sa.String(length=16), nullable=True))
        batch.create_check_constraint(op.f("ck_organizations_weight_positive"), "weight > 0")
        batch.create_check_constraint(
            op.f("ck_organizations_service_class_known"),
            "service_class IN ('batch', 'critical', 'interactive', 'standard')",
        )
    _create_quotas()


def downgrade() -> None:
    """Drop the limits, and what organizations were given."""
    op.drop_table("quotas")
    with op.batch_alter_table("organizations") as batch:
        batch.drop_constraint(op.f("ck_organizations_service_class_known"), type_="check")
        batch.drop_constraint(op.f("ck_organizations_weight_positive"), type_="check")
        batch.drop_column("service_class")
        batch.drop_column("weight")
        batch.drop_column("tier")


def _create_quotas() -> None:
    op.create_table(
        "quotas",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("organization_id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=True),
        sa.Column("entity", sa.String(length=16), nullable=False),
        sa.Column("entity_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("scopes", sa.String(length=32), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("hard", sa.Boolean(), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_quotas_amount_positive")),
        sa.CheckConstraint(
            "entity <> 'key' OR project_id IS NOT NULL", name=op.f("ck_quotas_key_in_project")
        ),
        sa.CheckConstraint(
            "entity <> 'model' OR model = entity_id", name=op.f("ck_quotas_model_is_entity")
        ),
        sa.CheckConstraint(
            "entity <> 'organization' OR model = ''",
            name=op.f("ck_quotas_organization_names_none"),
        ),
        sa.CheckConstraint(
            "entity <> 'project' OR (project_id IS NOT NULL AND project_id = entity_id)",
            name=op.f("ck_quotas_project_is_entity"),
        ),
        sa.CheckConstraint(
            "entity IN ('key', 'model', 'organization', 'project', 'user')",
            name=op.f("ck_quotas_entity_known"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "project_id"],
            ["projects.organization_id", "projects.id"],
            name=op.f("fk_quotas_organization_id_project_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_quotas_organization_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quotas")),
        sa.UniqueConstraint(
            "organization_id", "entity", "entity_id", "name", "scopes", "model",
            name=op.f("uq_quotas_place"),
        ),
    )  # fmt: skip
    op.create_index(
        op.f("ix_quotas_organization_id_created_at_id"),
        "quotas",
        ["organization_id", "created_at", "id"],
        unique=False,
    )
