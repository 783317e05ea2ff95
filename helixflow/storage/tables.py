"""The tables, as SQLAlchemy Core knows them. `migrations/` makes them; a test compares the two.

Times are epoch seconds (double precision), ids are text (helixflow/ids.py), sets are sorted JSON
arrays. Every tenant's row names its organization, and composite foreign keys hold what belongs
together to one organization (and one project).
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

ID_LENGTH = 64
NAME_LENGTH = 256

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _id() -> Column[str]:
    return Column("id", String(ID_LENGTH), primary_key=True)


def _reference(name: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, String(ID_LENGTH), nullable=nullable)


def _organization() -> Column[str]:
    key = ForeignKey("organizations.id", ondelete="RESTRICT")
    return Column("organization_id", String(ID_LENGTH), key, nullable=False)


def _name() -> Column[str]:
    return Column("name", String(NAME_LENGTH), nullable=False)


def _at(name: str, *, nullable: bool = True) -> Column[float]:
    return Column(name, Double, nullable=nullable)


def _mac() -> Column[bytes]:
    return Column("mac", LargeBinary(32), nullable=False)


def _within_project() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["organization_id", "project_id"],
        ["projects.organization_id", "projects.id"],
        ondelete="RESTRICT",
    )


organizations = Table(
    "organizations",
    metadata,
    _id(),
    _name(),
    _at("created_at", nullable=False),
    _at("disabled_at"),
    Column("tier", String(ID_LENGTH)),
    Column("weight", Double),
    Column("service_class", String(16)),
    CheckConstraint("weight > 0", name="weight_positive"),
    CheckConstraint(
        "service_class IN ('batch', 'critical', 'interactive', 'standard')",
        name="service_class_known",
    ),
)

projects = Table(
    "projects",
    metadata,
    _id(),
    _organization(),
    _name(),
    _at("created_at", nullable=False),
    _at("archived_at"),
    Column("content_days", Integer),
    Column("content_period", Integer),
    CheckConstraint("content_days > 0", name="content_days_positive"),
    CheckConstraint(
        "content_days IS NULL OR content_period IS NOT NULL", name="kept_content_has_a_period"
    ),
    UniqueConstraint("organization_id", "id"),
    Index(None, "organization_id", "created_at", "id"),
)

users = Table(
    "users",
    metadata,
    _id(),
    _organization(),
    Column("email", String(320), nullable=False),
    _name(),
    _at("created_at", nullable=False),
    Column("password", String(256)),
    Column("failures", Integer, nullable=False),
    _at("locked_until"),
    _at("disabled_at"),
    UniqueConstraint("organization_id", "id"),
    UniqueConstraint("organization_id", "email"),
    CheckConstraint("email = lower(email)", name="email_lower_case"),
    CheckConstraint("failures >= 0", name="failures_not_negative"),
    Index(None, "organization_id", "created_at", "id"),
)

service_accounts = Table(
    "service_accounts",
    metadata,
    _id(),
    _reference("organization_id"),
    _reference("project_id"),
    _name(),
    _at("created_at", nullable=False),
    _at("disabled_at"),
    _within_project(),
    UniqueConstraint("project_id", "id"),
    Index(None, "project_id", "created_at", "id"),
)

api_keys = Table(
    "api_keys",
    metadata,
    _id(),
    _organization(),
    _reference("project_id", nullable=True),
    _name(),
    Column("kind", String(8), nullable=False),
    _mac(),
    Column("hint", String(32), nullable=False),
    Column("permissions", JSON, nullable=False),
    Column("models", JSON(none_as_null=True)),
    _at("created_at", nullable=False),
    _at("expires_at"),
    _at("revoked_at"),
    _reference("service_account_id", nullable=True),
    Column("cidrs", JSON(none_as_null=True)),
    _at("last_used_at"),
    _within_project(),
    ForeignKeyConstraint(
        ["project_id", "service_account_id"],
        ["service_accounts.project_id", "service_accounts.id"],
        ondelete="RESTRICT",
    ),
    UniqueConstraint("mac"),
    CheckConstraint("length(mac) = 32", name="mac_length"),
    CheckConstraint("kind IN ('adm', 'proj', 'svc')", name="kind_known"),
    CheckConstraint("(kind = 'adm') = (project_id IS NULL)", name="project_unless_admin"),
    CheckConstraint("service_account_id IS NULL OR kind = 'svc'", name="account_kind"),
    Index(None, "project_id", "created_at", "id"),
    Index(None, "organization_id", "created_at", "id"),
    Index(None, "service_account_id"),
)

identity_revision = Table(
    "identity_revision",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
    CheckConstraint("revision >= 0", name="revision_not_negative"),
)

installations = Table(
    "installations",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    _reference("organization_id"),
    _reference("project_id"),
    Column("master_check", LargeBinary(32), nullable=False),
    _at("created_at", nullable=False),
    _within_project(),
    CheckConstraint("id = 1", name="one_row"),
)

outbox = Table(
    "outbox",
    metadata,
    Column(
        "sequence",
        BigInteger().with_variant(Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    Column("id", String(ID_LENGTH), nullable=False),
    Column("name", String(64), nullable=False),
    _organization(),
    _reference("project_id", nullable=True),
    Column("actor", String(ID_LENGTH), nullable=False),
    Column("target", String(NAME_LENGTH), nullable=False),
    _at("at", nullable=False),
    Column("detail", JSON, nullable=False),
    UniqueConstraint("id"),
    sqlite_autoincrement=True,  # a number is never given twice, also after the rows were shipped
)

memberships = Table(
    "memberships",
    metadata,
    _id(),
    _reference("organization_id"),
    _reference("project_id", nullable=True),
    _reference("user_id"),
    Column("role", String(16), nullable=False),
    _at("created_at", nullable=False),
    _within_project(),
    ForeignKeyConstraint(
        ["organization_id", "user_id"],
        ["users.organization_id", "users.id"],
        ondelete="CASCADE",
    ),
    UniqueConstraint("user_id", "project_id"),
    CheckConstraint(
        "role IN ('admin', 'auditor', 'developer', 'owner', 'viewer')", name="role_known"
    ),
    Index(None, "organization_id", "created_at", "id"),
    Index(
        "uq_memberships_user_id_organization",
        "user_id",
        unique=True,
        sqlite_where=text("project_id IS NULL"),
        postgresql_where=text("project_id IS NULL"),
    ),
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    _id(),
    _reference("organization_id"),
    _reference("project_id"),
    _reference("family_id"),
    _reference("subject_id"),
    _mac(),
    Column("scopes", JSON, nullable=False),
    _at("created_at", nullable=False),
    _at("expires_at", nullable=False),
    _at("used_at"),
    _at("revoked_at"),
    _within_project(),
    UniqueConstraint("mac"),
    CheckConstraint("length(mac) = 32", name="mac_length"),
    Index(None, "family_id"),
    Index(None, "subject_id"),
    Index(None, "expires_at"),
    Index(None, "organization_id", "created_at", "id"),
)

revoked_tokens = Table(
    "revoked_tokens",
    metadata,
    _id(),
    _organization(),
    _at("created_at", nullable=False),
    _at("expires_at", nullable=False),
    Index(None, "expires_at"),
)

signing_keys = Table(
    "signing_keys",
    metadata,
    _id(),
    Column("public", Text, nullable=False),
    Column("private", LargeBinary, nullable=False),
    _at("created_at", nullable=False),
    _at("signs_from", nullable=False),
    _at("signs_until", nullable=False),
    _at("verifies_until", nullable=False),
    _at("revoked_at"),
    CheckConstraint(
        "signs_from < signs_until AND signs_until <= verifies_until", name="times_in_order"
    ),
)

policies = Table(
    "policies",
    metadata,
    _id(),
    _organization(),
    _reference("project_id", nullable=True),
    _name(),
    Column("source", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    _at("created_at", nullable=False),
    _at("updated_at", nullable=False),
    _within_project(),
    UniqueConstraint("organization_id", "name"),
    Index(None, "organization_id", "created_at", "id"),
)

quotas = Table(
    "quotas",
    metadata,
    _id(),
    _organization(),
    _reference("project_id", nullable=True),
    Column("entity", String(16), nullable=False),
    _reference("entity_id"),
    Column("name", String(32), nullable=False),
    Column("scopes", String(32), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("hard", Boolean, nullable=False),
    Column("model", String(ID_LENGTH), nullable=False),
    _at("created_at", nullable=False),
    _at("updated_at", nullable=False),
    _within_project(),
    UniqueConstraint(
        "organization_id", "entity", "entity_id", "name", "scopes", "model",
        name="uq_quotas_place",
    ),
    CheckConstraint(
        "entity IN ('key', 'model', 'organization', 'project', 'user')", name="entity_known"
    ),
    CheckConstraint("entity <> 'project' OR (project_id IS NOT NULL AND project_id = entity_id)", name="project_is_entity"),
    CheckConstraint("entity <> 'key' OR project_id IS NOT NULL", name="key_in_project"),
    CheckConstraint("entity <> 'model' OR model = entity_id", name="model_is_entity"),
    CheckConstraint("entity <> 'organization' OR model = ''", name="organization_names_none"),
    CheckConstraint("amount > 0", name="amount_positive"),
    Index(None, "organization_id", "created_at", "id"),
)  # fmt: skip

models = Table(
    "models",
    metadata,
    _id(),
    _organization(),
    Column("spec", Text, nullable=False),
    _at("created_at", nullable=False),
    _at("updated_at", nullable=False),
    Index(None, "organization_id", "created_at", "id"),
)

answered = Table(
    "idempotency",
    metadata,
    Column("id", String(NAME_LENGTH), primary_key=True),
    _organization(),
    Column("request", LargeBinary(32), nullable=False),
    Column("status", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    _at("created_at", nullable=False),
    Index(None, "created_at"),
)
